//! TLS on both sides: certificates are verified, and never silently not.

use offpath_tests::{Authority, Collector, Gateway, Setup, Upstream, Wire, http2};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

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
