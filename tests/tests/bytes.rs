//! Client bytes equal upstream bytes, and upstream bytes equal client bytes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use offpath_tests::http2::{self, Body};
use offpath_tests::{Authority, Gateway, Head, Setup, Upstream, Wire, chunked, pattern};

/// Sizes around pingora's buffers of 64 KiB, and far from them.
const SIZES: [usize; 8] = [0, 1, 1_024, 65_535, 65_536, 65_537, 1 << 20, 50_000_000];

/// Both bodies are held whole up to the largest.
fn capturing(setup: Setup) -> Setup {
    setup
        .set("routes/0/capture/max_body", "64MiB")
        .set("limits/drain", "1s")
}

#[tokio::test]
async fn bodies_with_a_length_pass_over_http1_unchanged() {
    let upstream = Upstream::echo().await;
    let gateway = capturing(Gateway::before(upstream.url())).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    for size in SIZES {
        let sent = pattern(size);
        let head = format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
        let (answer, came_back) = client.exchange([head.as_bytes(), &sent].concat()).await;
        assert_eq!(answer.status(), 200);
        assert!(came_back == sent, "{size} bytes are not the same");
        assert!(upstream.seen().last().unwrap().body == sent, "{size} bytes");
    }
}

#[tokio::test]
async fn bodies_in_chunks_of_any_size_pass_over_http1_unchanged() {
    let upstream = Upstream::script(|_, mut wire| async move {
        while let Some(head) = wire.try_head().await {
            let body = wire.body(&head).await;
            let odd = chunked(&body, &[7, 1, 8_191, 65_536, 3]);
            wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await;
            wire.send(odd).await;
        }
    })
    .await;
    let gateway = capturing(Gateway::before(upstream.url())).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let chunkings: [&[usize]; 4] = [&[1, 2, 3], &[65_535, 1], &[65_537], &[1 << 20, 17]];
    for size in SIZES {
        let fit = |sizes: &&[usize]| size < 2_000 || sizes.iter().sum::<usize>() > 1_000;
        for sizes in chunkings.into_iter().filter(fit) {
            let sent = pattern(size);
            let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
            let request = [head.as_bytes(), &chunked(&sent, sizes)].concat();
            let (_, came_back) = client.exchange(request).await;
            assert!(came_back == sent, "{size} bytes in chunks of {sizes:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_passes_unchanged() {
    let body = pattern(200_000);
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";
    let upstream = Upstream::dying_after([&head[..], &body].concat()).await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let (_, came) = client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(came == body);
}

/// What came, under the same field.
async fn echo(request: http::Request<hyper::body::Incoming>) -> http::Response<Body> {
    let kind = request.headers()["x-kind"].clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut response = http::Response::new(http2::full(body));
    response.headers_mut().insert("x-kind", kind);
    response
}

async fn all_sizes_pass(client: &mut http2::Client) {
    for size in SIZES {
        let sent = pattern(size);
        let request = http::Request::post("http://a/echo")
            .header("x-kind", "odd")
            .body(http2::full(sent.clone()))
            .unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.headers()["x-kind"], "odd");
        let (came_back, _) = http2::collect(response.into_body()).await;
        assert!(came_back == sent, "{size} bytes are not the same");
    }
}

#[tokio::test]
async fn bodies_pass_over_h2c_unchanged() {
    let upstream = http2::Upstream::plain(echo).await;
    let setup = capturing(Gateway::before(upstream.url())).set("upstreams/model/http", 2);
    let gateway = setup.start().await;
    all_sizes_pass(&mut http2::Client::plain(gateway.address()).await).await;
}

#[tokio::test]
async fn bodies_pass_over_http2_with_tls_unchanged() {
    let authority = Authority::new();
    let upstream = http2::Upstream::tls(&authority, echo).await;
    let setup = capturing(Gateway::before(upstream.tls_url()))
        .set("upstreams/model/tls/ca", authority.ca().to_str())
        .listen_tls(&authority);
    let gateway = setup.start().await;
    all_sizes_pass(&mut http2::Client::tls(gateway.address(), &authority).await).await;
}

#[tokio::test]
async fn bodies_pass_between_http2_and_http1_unchanged() {
    let upstream = Upstream::echo().await;
    let gateway = capturing(Gateway::before(upstream.url())).start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    for size in SIZES {
        let sent = pattern(size);
        let request = http::Request::post("http://a/echo").body(http2::full(sent.clone()));
        let response = client.send(request.unwrap()).await.unwrap();
        let (came_back, _) = http2::collect(response.into_body()).await;
        assert!(came_back == sent, "{size} bytes are not the same");
    }
}

/// pingora 0.9.1 reads no trailers of a request; its body is whole without them.
#[tokio::test]
async fn trailers_of_a_response_pass_over_http2() {
    let upstream = http2::Upstream::plain(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut trailers = http::HeaderMap::new();
        trailers.append("x-checksum", "17".parse().unwrap());
        trailers.append("x-checksum", "18".parse().unwrap());
        let trailers = std::future::ready(Some(Ok(trailers)));
        http::Response::new(http2::full(body).with_trailers(trailers).boxed_unsync())
    })
    .await;
    let setup = Gateway::before(upstream.url()).set("upstreams/model/http", 2);
    let gateway = setup.start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    let (mut sender, body) = http2::streamed();
    let request = http::Request::post("http://a/").body(body).unwrap();
    let (response, ()) = tokio::join!(client.send(request), async {
        sender.send_data(Bytes::from_static(b"body")).await.unwrap();
        sender.send_trailers(http::HeaderMap::new()).await.unwrap();
        drop(sender);
    });
    let (body, trailers) = http2::collect(response.unwrap().into_body()).await;
    let trailers = trailers.expect("trailers came");
    let values = trailers.get_all("x-checksum").iter();
    let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
    assert_eq!((&body[..], values), (&b"body"[..], vec!["17", "18"]));
}

/// A head without the fields that are documented as offpath's, and without `connection`, which
/// is each connection's own (RFC 9110, section 7.6.1).
fn without_ours(head: &Head) -> BytesMut {
    const OURS: [&str; 10] = [
        "x-request-id",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "traceparent",
        "server-timing",
        "x-offpath-overhead-us",
        "x-offpath-trace-id",
        "date",
        "connection",
    ];
    let mut kept = BytesMut::new();
    for line in head.raw.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !OURS.contains(&name.as_str()) {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[tokio::test]
async fn heads_pass_over_http1_in_their_order_case_and_number() {
    let answer = "HTTP/1.1 299 Quite OK\r\nX-Model: a\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nX-EMPTY: \r\n\
        x-bytes: \u{e4}\u{df}\r\nContent-Length: 2\r\n\r\n";
    let upstream = Upstream::answering(format!("{answer}ok")).await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let request = "POST /a%20b/../c?q=1&q=%zz HTTP/1.1\r\nHost: model.internal\r\nauthorization: Bearer x\r\n\
        X-Twice: 2\r\nX-TWICE: 1\r\nx-other: 2\r\nAccept: */*\r\nContent-Length: 3\r\n\r\n";
    let mut client = Wire::connect(gateway.address()).await;
    let (head, _) = client.exchange(format!("{request}abc")).await;
    let seen = upstream.first().await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&without_ours(&seen.head)), request);
    assert_eq!(text(&without_ours(&head)), answer);
    for added in [
        "date",
        "connection",
        "server-timing",
        "x-offpath-overhead-us",
        "x-offpath-trace-id",
    ] {
        assert_eq!(head.all(added).count(), 1, "{added}");
    }
}
