//! Clients that leave before the end: what they saw is recorded, and the upstream is let go.

use offpath_tests::{Collector, Gateway, Trace, Upstream, Wire, eventually, http2, within};

/// A trace that is an error because its client left.
#[track_caller]
fn check_left(trace: &Trace) {
    assert_eq!(trace.text("offpath.end_reason"), "client_left");
    assert!(trace.root.error.is_some(), "{trace:#?}");
}

const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
    content-length: 78\r\n\r\n{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi there!\"}]}";

const FIRST_EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
    52\r\ndata: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Half an answer, \"}}]}\n\n\r\n";

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_recorded_with_what_it_saw() {
    let (left, mut upstream_sees) = tokio::sync::mpsc::channel(1);
    let upstream = Upstream::script(move |_, mut wire| {
        let left = left.clone();
        async move {
            let head = wire.head().await;
            wire.body(&head).await;
            wire.send(FIRST_EVENTS).await;
            wire.rest().await;
            left.send(()).await.unwrap();
        }
    })
    .await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(CHAT).await;
    client.head().await;
    assert_eq!(client.chunk().await.unwrap().len(), 0x52);
    drop(client);
    let closed = within("the upstream's connection to close", upstream_sees.recv());
    assert!(closed.await.is_some());
    let trace = collector.trace().await;
    check_left(&trace);
    let said = &trace.json("mlflow.spanOutputs")["choices"][0]["message"]["content"];
    assert_eq!(said, "Half an answer, ");
}

#[tokio::test]
async fn a_client_that_leaves_its_upload_is_recorded() {
    let upstream = Upstream::hanging().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf")
        .await;
    eventually("the upload to be under way", async || {
        (gateway.status().await["requests_in_flight"] == 1).then_some(())
    })
    .await;
    drop(client);
    let trace = collector.trace().await;
    check_left(&trace);
    assert!(trace.value("http.response.status_code").is_null());
}

#[tokio::test]
async fn a_client_that_resets_its_http2_stream_is_recorded() {
    let upstream = Upstream::script(|_, mut wire| async move {
        let head = wire.head().await;
        wire.body(&head).await;
        wire.send(FIRST_EVENTS).await;
        wire.rest().await;
    })
    .await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    let request = http::Request::get("http://a/stream").body(http2::full(""));
    let response = client.send(request.unwrap()).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(http2::piece(&mut body).await.unwrap().len(), 0x52);
    drop(body);
    check_left(&collector.trace().await);
}
