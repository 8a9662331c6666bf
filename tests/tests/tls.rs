//! TLS on both sides: certificates are verified, and never silently not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use offpath_tests::{Authority, Collector, Gateway, Setup, Upstream, Wire, http2};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn trusting(setup: Setup, authority: &Authority) -> Setup {
    setup.set("upstreams/model/tls/ca", authority.ca().to_str())
}

#[tokio::test]
async fn an_upstream_under_the_named_authority_is_trusted() {
    let authority = Authority::new();
    let upstream = Upstream::answering_tls(OK, &authority).await;
    let gateway = trusting(Gateway::before(upstream.tls_url()), &authority)
        .start()
        .await;
    let (head, body) = gateway.exchange(GET).await;
    assert_eq!((head.status(), &body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn an_upstream_by_address_is_verified_by_the_name_that_is_named() {
    let authority = Authority::new();
    let upstream = Upstream::answering_tls(OK, &authority).await;
    let by_address = format!("https://{}", upstream.address());
    for (sni, status) in [("localhost", 200), ("elsewhere.example", 502)] {
        let setup = trusting(Gateway::before(&by_address), &authority);
        let gateway = setup.set("upstreams/model/tls/sni", sni).start().await;
        assert_eq!(gateway.exchange(GET).await.0.status(), status, "{sni}");
    }
}

#[tokio::test]
async fn an_upstream_under_another_authority_is_502_and_an_error() {
    let (its, ours) = (Authority::new(), Authority::new());
    let upstream = Upstream::answering_tls(OK, &its).await;
    let collector = Collector::start().await;
    let setup = trusting(Gateway::before(upstream.tls_url()), &ours);
    let gateway = setup.collect(&collector).start().await;
    let (head, body) = gateway.exchange(GET).await;
    assert_eq!(head.status(), 502);
    assert!(
        String::from_utf8_lossy(&body).contains("tls_failed"),
        "{body:?}"
    );
    assert!(upstream.seen().is_empty());
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.end_reason"), "upstream_error");
    assert!(trace.root.error.is_some());
}

#[tokio::test]
async fn a_listener_speaks_http1_and_http2_over_tls_and_says_https() {
    let authority = Authority::new();
    let upstream = Upstream::echo().await;
    let gateway = Gateway::before(upstream.url())
        .listen_tls(&authority)
        .start()
        .await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = authority
        .connector(&[b"http/1.1"])
        .connect(name, stream)
        .await
        .unwrap();
    let (head, _) = Wire::over(stream).exchange(GET).await;
    assert_eq!(head.status(), 200);
    let mut client = http2::Client::tls(gateway.address(), &authority).await;
    let request = http::Request::get("https://localhost/").body(http2::full(""));
    assert_eq!(client.send(request.unwrap()).await.unwrap().status(), 200);
    for request in upstream.seen() {
        assert_eq!(request.head.field("x-forwarded-proto"), Some("https"));
    }
}

#[tokio::test]
async fn an_upstream_that_demands_a_certificate_gets_the_one_that_is_named() {
    let (its, ours, strange) = (Authority::new(), Authority::new(), Authority::new());
    let upstream = Upstream::answering_mutual_tls(OK, &its, &ours).await;
    for (identity, status) in [(Some(&ours), 200), (Some(&strange), 502), (None, 502)] {
        let mut setup = trusting(Gateway::before(upstream.tls_url()), &its);
        if let Some(identity) = identity {
            setup = setup
                .set("upstreams/model/tls/client_cert", identity.cert().to_str())
                .set("upstreams/model/tls/client_key", identity.key().to_str());
        }
        let gateway = setup.start().await;
        assert_eq!(gateway.exchange(GET).await.0.status(), status);
    }
    assert_eq!(upstream.seen().len(), 1);
}

/// The status of an answer over TLS; `None`: the handshake or what follows it is refused.
async fn status_over(gateway: &Gateway, connector: TlsConnector) -> Option<u16> {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    // With TLS 1.3 a client learns of a refusal from its first read.
    let mut wire = Wire::over(connector.connect(name, stream).await.ok()?);
    wire.send(GET).await;
    Some(wire.try_head().await?.status())
}

#[tokio::test]
async fn a_listener_that_names_a_client_authority_serves_its_clients_alone() {
    let (its, clients, strange) = (Authority::new(), Authority::new(), Authority::new());
    let upstream = Upstream::echo().await;
    let gateway = Gateway::before(upstream.url())
        .listen_tls(&its)
        .set("listeners/0/tls/client_ca", clients.ca().to_str())
        .start()
        .await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let anybody = its.connector(&[protocol]);
        assert_eq!(status_over(&gateway, anybody).await, None);
        let stranger = its.connector_as(&strange, &[protocol]);
        assert_eq!(status_over(&gateway, stranger).await, None);
    }
    assert!(upstream.seen().is_empty());
    let client = its.connector_as(&clients, &[b"http/1.1"]);
    assert_eq!(status_over(&gateway, client).await, Some(200));
}
