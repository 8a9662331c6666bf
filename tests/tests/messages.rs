//! Messages that are not a head and a body: upgrades, informational responses, no bodies.

use offpath_tests::{Gateway, Upstream, Wire, pattern};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_websocket_goes_to_and_fro_and_is_traced() {
    let upstream = Upstream::script(|_, mut wire| async move {
        let head = wire.head().await;
        assert_eq!(head.field("upgrade"), Some("websocket"));
        wire.send(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        )
        .await;
        while let Some(piece) = wire.piece().await {
            wire.send(piece).await;
        }
    })
    .await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("GET /live HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 101);
    for size in [1, 125, 70_000] {
        let frame = pattern(size);
        client.send(&frame).await;
        assert!(client.exact(size).await == frame, "{size} bytes");
    }
    drop(client);
    let trace = collector.trace().await;
    assert_eq!(trace.value("http.response.status_code"), 101);
    assert_eq!(trace.value("offpath.request.bytes"), 70_126);
    assert_eq!(trace.value("offpath.response.bytes"), 70_126);
}

#[tokio::test]
async fn early_hints_pass_and_the_answer_is_what_is_traced() {
    let upstream = Upstream::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(GET).await;
    let hints = client.head().await;
    assert_eq!(
        (hints.status(), hints.field("link")),
        (103, Some("</a.css>; rel=preload"))
    );
    assert_eq!(hints.field("x-offpath-overhead-us"), None);
    let answer = client.head().await;
    assert_eq!(
        (answer.status(), &client.body(&answer).await[..]),
        (200, &b"ok"[..])
    );
    let trace = collector.trace().await;
    assert_eq!(trace.value("http.response.status_code"), 200);
}

#[tokio::test]
async fn a_client_that_expects_100_waits_for_the_upstreams_word() {
    let upstream = Upstream::script(|_, mut wire| async move {
        let head = wire.head().await;
        assert_eq!(head.field("expect"), Some("100-continue"));
        wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let body = wire.body(&head).await;
        assert_eq!(body, "patience");
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    })
    .await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 100);
    client.send("patience").await;
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn responses_without_a_body_pass_and_are_traced() {
    let rows = [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
            200,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 77\r\n\r\n",
            304,
        ),
    ];
    for (method, response, status) in rows {
        let upstream = Upstream::answering(response).await;
        let (collector, gateway) = Gateway::collected(upstream.url()).await;
        let mut client = Wire::connect(gateway.address()).await;
        // Twice on one connection: a body that does not come must not be waited for.
        for _ in 0..2 {
            client
                .send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"))
                .await;
            let head = client.head().await;
            assert_eq!(head.status(), status);
            let length = response.split_once("content-length: ").is_some();
            assert_eq!(head.field("content-length").is_some(), length, "{status}");
        }
        for trace in collector.wait_for(2).await {
            assert_eq!(trace.value("http.response.status_code"), status);
            assert_eq!(trace.value("offpath.response.bytes"), 0);
            assert_eq!(trace.text("offpath.end_reason"), "complete");
            assert_eq!(trace.root.error, None);
        }
    }
}

#[tokio::test]
async fn an_answer_before_the_requests_end_reaches_the_client() {
    let upstream = Upstream::script(|_, mut wire| async move {
        wire.head().await;
        wire.send(
            "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig",
        )
        .await;
        // What still comes is read, so that no reset overtakes the answer.
        wire.rest().await;
    })
    .await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nsome")
        .await;
    let head = client.head().await;
    assert_eq!(
        (head.status(), &client.body(&head).await[..]),
        (413, &b"big"[..])
    );
    drop(client);
    let trace = collector.trace().await;
    assert_eq!(trace.value("http.response.status_code"), 413);
    assert_eq!(trace.text("mlflow.spanOutputs"), "\"big\"");
    assert!(trace.root.error.unwrap().contains("413"));
}

#[tokio::test]
async fn one_connection_carries_many_exchanges() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    for number in 0..50 {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{number:02}");
        let (_, body) = client.exchange(request).await;
        assert_eq!(body, format!("{number:02}"));
    }
    let connections = upstream.seen().last().unwrap().connection;
    assert_eq!(connections, 0, "the upstream's connection is reused");
}
