use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers the first request of every connection with `answer`, and closes the connection.
async fn scripted(answer: &'static [u8]) -> (String, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            read_head(&mut socket).await;
            socket.write_all(answer).await.unwrap();
        }
    });
    (url, tasks)
}

async fn read_head(socket: &mut (impl AsyncRead + Unpin)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
}

#[track_caller]
fn check_kind<T: std::fmt::Debug>(result: Result<T>, kind: &str) {
    assert_eq!(result.unwrap_err().kind(), kind);
}

#[tokio::test]
async fn a_target_that_is_down_is_a_connect_error_that_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::default()
        .get(&format!("http://{addr}/"), &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "connect");
    assert_eq!(error.to_string(), format!("cannot connect to `{addr}`"));
}

#[tokio::test]
async fn broken_responses_are_distinguished_by_kind() {
    let (url, _server) = scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").await;
    check_kind(Client::default().get(&url, &[]).await, "cut");
    let (url, _server) = scripted(b"").await;
    check_kind(Client::default().get(&url, &[]).await, "cut");
    let (url, _server) = scripted(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    check_kind(Client::default().get(&url, &[]).await, "protocol");
    check_kind(
        Client::default().get(&url, &[("bad name", "x")]).await,
        "request",
    );
    check_kind(
        Client::default().get("https://127.0.0.1/", &[]).await,
        "request",
    );
}

#[tokio::test]
async fn tls_succeeds_with_the_trusted_authority_and_with_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let certified = || {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (cert, signing_key)
    };
    let (cert, key) = certified();
    let trusted = dir.path().join("trusted.pem");
    std::fs::write(&trusted, cert.pem()).unwrap();
    let stranger = dir.path().join("stranger.pem");
    std::fs::write(&stranger, certified().0.pem()).unwrap();

    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else {
                continue;
            };
            read_head(&mut socket).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            socket.write_all(answer).await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });

    let call = async |http, path: &std::path::Path| {
        let trust = Trust::from_pem_file(path).unwrap();
        Client::new(http, Some(trust)).get(&url, &[]).await
    };
    assert_eq!(call(Http::One, &trusted).await.unwrap().body, "hi");
    check_kind(call(Http::One, &stranger).await, "tls");
    // The server does not offer h2 by ALPN.
    check_kind(call(Http::Two, &trusted).await, "tls");
}
