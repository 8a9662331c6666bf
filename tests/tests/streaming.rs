//! Nothing is stored and forwarded: each piece is out before the next comes in.
//!
//! That is shown by cause, not by time: who sends the next piece waits until the other end has
//! the last one. A gateway that held a piece back would wait for ever, and the test would end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use offpath_tests::{Gateway, Upstream, Wire, http2, within};
use tokio::sync::{Semaphore, mpsc};

const EVENTS: usize = 20;

fn event(number: usize) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word{number} \"}}}}]}}\n\n"
    )
}

/// An upstream that sends this head, then each piece once it is allowed to.
async fn paced<P>(head: &'static str, pieces: P) -> (Upstream, Arc<Semaphore>)
where
    P: Fn(usize) -> Vec<u8> + Clone + Send + Sync + 'static,
{
    let allowed = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&allowed);
    let upstream = Upstream::script(move |_, mut wire| {
        let (pieces, permits) = (pieces.clone(), Arc::clone(&permits));
        async move {
            let request = wire.head().await;
            wire.body(&request).await;
            wire.send(head).await;
            for number in 0..EVENTS {
                permits.acquire().await.unwrap().forget();
                wire.send(pieces(number)).await;
            }
            permits.acquire().await.unwrap().forget();
            wire.send("0\r\n\r\n").await;
        }
    })
    .await;
    (upstream, allowed)
}

const EVENT_STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(number: usize) -> Vec<u8> {
    let event = event(number);
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

#[tokio::test]
async fn each_event_is_out_before_the_next_comes_in_over_http1() {
    let (upstream, allowed) = paced(EVENT_STREAM, chunk).await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // The head as well comes before the first event.
    assert_eq!(client.head().await.status(), 200);
    for number in 0..EVENTS {
        allowed.add_permits(1);
        assert_eq!(client.chunk().await.unwrap(), event(number));
    }
    allowed.add_permits(1);
    assert_eq!(client.chunk().await.unwrap(), "");
}

#[tokio::test]
async fn each_event_is_out_before_the_next_comes_in_over_http2() {
    let (upstream, allowed) = paced(EVENT_STREAM, chunk).await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    let request = http::Request::get("http://a/").body(http2::full(""));
    let mut body = client.send(request.unwrap()).await.unwrap().into_body();
    for number in 0..EVENTS {
        allowed.add_permits(1);
        assert_eq!(http2::piece(&mut body).await.unwrap(), event(number));
    }
    allowed.add_permits(1);
    assert_eq!(http2::piece(&mut body).await.unwrap_or_default(), "");
}

#[tokio::test]
async fn a_trickle_with_a_content_length_is_not_held_back() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n";
    let (upstream, allowed) =
        paced(HEAD, |number| format!("piece {number:03}.").into_bytes()).await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.field("content-length"), Some("200"));
    for number in 0..EVENTS {
        allowed.add_permits(1);
        assert_eq!(client.exact(10).await, format!("piece {number:03}."));
    }
}

#[tokio::test]
async fn each_piece_of_a_request_is_at_the_upstream_before_the_next_is_sent() {
    let (arrived, mut arrivals) = mpsc::channel::<Bytes>(1);
    let upstream = Upstream::script(move |_, mut wire| {
        let arrived = arrived.clone();
        async move {
            wire.head().await;
            while let Some(piece) = wire.chunk().await.filter(|piece| !piece.is_empty()) {
                arrived.send(piece).await.unwrap();
            }
            wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    })
    .await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for number in 10..20 {
        client.send(format!("2\r\n{number}\r\n")).await;
        let piece = within("the piece at the upstream", arrivals.recv()).await;
        assert_eq!(piece.unwrap(), number.to_string());
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 204);
}

/// gRPC's messages, one for one: the shape of a bidirectional stream (gRPC over HTTP/2).
#[tokio::test]
async fn a_grpc_conversation_goes_to_and_fro_and_ends_with_its_status() {
    let upstream = http2::Upstream::plain(|request| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let mut asked = request.into_body();
        let body = http2::driven(async move |mut sender| {
            while let Some(piece) = http2::piece(&mut asked).await {
                sender.send_data(piece).await.unwrap();
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            sender.send_trailers(trailers).await.unwrap();
        });
        http::Response::builder()
            .header("content-type", "application/grpc")
            .body(body)
            .unwrap()
    })
    .await;
    let setup = Gateway::before(upstream.url()).set("upstreams/model/http", 2);
    let gateway = setup.start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    let (mut sender, body) = http2::streamed();
    let request = http::Request::post("http://a/inference.Service/Stream")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = client.send(request).await.unwrap();
    let mut answers = response.into_body();
    for number in 0..10_u8 {
        let message = Bytes::from(vec![0, 0, 0, 0, 1, number]);
        sender.send_data(message.clone()).await.unwrap();
        assert_eq!(http2::piece(&mut answers).await.unwrap(), message);
    }
    drop(sender);
    let (rest, trailers) = http2::collect(answers).await;
    assert_eq!(rest.len(), 0);
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
}
