//! Trouble on either side: what the client sees, and what is recorded of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use bytes::Bytes;
use offpath_tests::{Collector, Gateway, Head, Trace, Upstream, Wire, eventually, free_address};
use serde_json::{Value, json};

const GET: &str = "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n";

/// An answer that offpath made itself.
#[track_caller]
fn check_own(answer: &(Head, Bytes), status: u16, kind: &str) {
    let (head, body) = answer;
    assert_eq!(head.status(), status);
    assert_eq!(head.field("content-type"), Some("application/json"));
    assert!(head.field("server-timing").is_some() && head.field("x-offpath-overhead-us").is_some());
    let body: Value = serde_json::from_slice(body).unwrap();
    let error = |key| body.pointer(key).unwrap();
    assert_eq!(error("/error/type"), kind);
    assert!(error("/error/message").is_string());
    let trace_id = head
        .field("x-offpath-trace-id")
        .map_or(Value::Null, Value::from);
    assert_eq!(error("/error/trace_id"), &trace_id);
}

/// A trace that is an error for this reason.
#[track_caller]
fn check_error(trace: &Trace, end_reason: &str) {
    assert_eq!(trace.text("offpath.end_reason"), end_reason);
    assert!(trace.root.error.is_some(), "{trace:#?}");
}

#[tokio::test]
async fn a_request_that_no_route_takes_is_answered_404_and_not_traced() {
    let collector = Collector::start().await;
    let setup = Gateway::before("http://127.0.0.1:9").collect(&collector);
    let gateway = setup
        .set("routes/0/match", json!({"path": "/only"}))
        .start()
        .await;
    let answer = gateway.exchange(GET).await;
    check_own(&answer, 404, "no_route");
    assert_eq!(answer.0.field("x-offpath-trace-id"), None);
    // A request is counted once its answer is on the way.
    let metrics = eventually("the request to be counted", async || {
        let metrics = gateway.metrics().await;
        let refused = metrics.sum("offpath_requests_total", &["code=\"404\""]);
        (refused == 1.0).then_some(metrics)
    })
    .await;
    assert_eq!(metrics.sum("offpath_exchanges_total", &[]), 0.0);
    let stopped = gateway.terminate().await;
    assert!(stopped.status.success() && collector.traces().is_empty());
}

#[tokio::test]
async fn a_refused_connection_is_502_and_an_error_of_its_route() {
    let collector = Collector::start().await;
    let setup = Gateway::before(format!("http://{}", free_address()));
    let gateway = setup.collect(&collector).start().await;
    check_own(&gateway.exchange(GET).await, 502, "connect_failed");
    let trace = collector.trace().await;
    check_error(&trace, "upstream_error");
    assert_eq!(trace.value("http.response.status_code"), 502);
    assert_eq!(trace.value("error.type"), "502");
}

#[tokio::test]
async fn a_silent_upstream_is_504_and_a_timeout() {
    let upstream = Upstream::hanging().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup
        .set("upstreams/model/timeouts/read", "100ms")
        .start()
        .await;
    check_own(&gateway.exchange(GET).await, 504, "upstream_timeout");
    check_error(&collector.trace().await, "timeout");
}

#[tokio::test]
async fn an_upstream_that_closes_without_an_answer_is_502() {
    let upstream = Upstream::dying_after("").await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    check_own(&gateway.exchange(GET).await, 502, "upstream_failed");
    check_error(&collector.trace().await, "upstream_error");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_recorded_with_its_part() {
    let torn =
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nten bytes.";
    let upstream = Upstream::dying_after(torn).await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(GET).await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.rest().await, "ten bytes.");
    let trace = collector.trace().await;
    check_error(&trace, "upstream_cut");
    assert_eq!(trace.value("offpath.response.bytes"), 10);
    assert!(trace.text("mlflow.spanOutputs").contains("ten bytes."));
}

/// The first connection answers once and dies at its second request, as one does that the
/// upstream closed while it was idle.
async fn stale_once() -> Upstream {
    Upstream::script(|connection, mut wire| async move {
        let mut answered = 0;
        while let Some(head) = wire.try_head().await {
            let body = wire.body(&head).await;
            if connection == 0 && answered == 1 {
                return;
            }
            answered += 1;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            wire.send([head.as_bytes(), &body].concat()).await;
        }
    })
    .await
}

const POST: &str =
    "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\n";

#[tokio::test]
async fn a_request_on_a_stale_connection_is_sent_again_and_recorded_once() {
    let upstream = stale_once().await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    for body in ["first", "again"] {
        let (head, came_back) = gateway.exchange(format!("{POST}{body}")).await;
        assert_eq!((head.status(), &came_back[..]), (200, body.as_bytes()));
    }
    let traces = collector.wait_for(2).await;
    let again = &traces[1];
    assert_eq!(again.text("mlflow.spanInputs"), "\"again\"");
    assert_eq!(again.value("offpath.request.bytes"), 5);
    assert_eq!(again.root.error, None);
    let call = again.call.as_ref().unwrap();
    assert_eq!(call.attributes["http.request.resend_count"], 1);
    let account = gateway.account(|account| account["exported"] == 2).await;
    assert_eq!(account["kept"], 2);
}

#[tokio::test]
async fn a_request_on_a_stale_connection_is_502_where_sending_again_is_off() {
    let upstream = stale_once().await;
    let setup = Gateway::before(upstream.url());
    let gateway = setup
        .set("upstreams/model/retry_stale_connection", false)
        .start()
        .await;
    assert_eq!(
        gateway.exchange(format!("{POST}first")).await.0.status(),
        200
    );
    check_own(
        &gateway.exchange(format!("{POST}again")).await,
        502,
        "upstream_failed",
    );
}

#[tokio::test]
async fn a_head_over_the_limit_is_431_and_an_error_of_its_route() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("limits/head_bytes", "2KiB").start().await;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n",
        "x".repeat(2_048)
    );
    check_own(&gateway.exchange(request).await, 431, "head_too_large");
    let trace = collector.trace().await;
    assert_eq!(trace.value("http.response.status_code"), 431);
    assert!(trace.root.error.is_some() && trace.call.is_none() && upstream.seen().is_empty());
}

/// Bytes that are not what they say: header lines, body, and the defect that is noted.
const LIES: [(&str, &[u8], &str); 7] = [
    (
        "content-type: application/json",
        b"{\"model\": \"m\", ",
        "malformed_json",
    ),
    (
        "content-type: application/json",
        b"{\"model\": \"\xff\xfe\"}",
        "invalid_utf8",
    ),
    ("content-type: text/plain", b"caf\xe9", "invalid_utf8"),
    (
        "content-type: application/json\r\ncontent-encoding: gzip",
        b"{\"plain\": true}",
        "bad_content_encoding",
    ),
    (
        "content-type: application/json\r\ncontent-encoding: gzip",
        b"\x1f\x8b\x08\x00torn",
        "bad_content_encoding",
    ),
    (
        "content-type: application/json\r\ncontent-encoding: snappy",
        b"\x00\x01",
        "unknown_content_encoding",
    ),
    (
        "content-type: text/event-stream",
        b"data: {\"choices\":[]}\n\ndata: {\"cho",
        "torn_sse",
    ),
];

#[tokio::test]
async fn what_is_not_what_it_says_passes_untouched_and_is_noted() {
    for (fields, body, defect) in LIES {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let upstream = Upstream::answering([head.as_bytes(), body].concat()).await;
        let (collector, gateway) = Gateway::collected(upstream.url()).await;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{fields}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (answer, came) = gateway.exchange([request.as_bytes(), body].concat()).await;
        assert_eq!((answer.status(), &came[..]), (200, body));
        assert_eq!(upstream.first().await.body, body);
        let trace = collector.trace().await;
        let defects: Vec<Value> = trace
            .value("offpath.defects")
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert!(defects.contains(&defect.into()), "{defects:?} for {fields}");
        let metrics = gateway.metrics().await;
        let kind = format!("kind=\"{defect}\"");
        assert!(metrics.sum("offpath_defects_total", &[&kind]) >= 1.0);
    }
}

#[tokio::test]
async fn a_refusing_endpoint_is_passed_over() {
    let upstream = Upstream::echo().await;
    let dead = format!("http://{}", free_address());
    let setup = Gateway::before("").set("upstreams/model/endpoints", json!([dead, upstream.url()]));
    let gateway = setup.start().await;
    let mut statuses = BTreeSet::new();
    for _ in 0..10 {
        statuses.insert(gateway.exchange(GET).await.0.status());
    }
    assert_eq!(statuses, BTreeSet::from([200]));
}

#[tokio::test]
async fn credentials_reach_the_upstream_and_no_trace() {
    let upstream = Upstream::echo().await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let request = "GET /v1?api_key=s3cret&q=1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer s3cret\r\n\
        cookie: session=s3cret\r\nx-api-key: s3cret\r\nproxy-authorization: s3cret\r\n\r\n";
    gateway.exchange(request).await;
    let seen = upstream.first().await.head;
    assert_eq!(seen.field("authorization"), Some("Bearer s3cret"));
    assert!(seen.line.contains("api_key=s3cret"));
    let trace = collector.trace().await;
    assert!(trace.text("url.query").contains("q=1"));
    assert!(
        !format!("{trace:?}{}", gateway.log()).contains("s3cret"),
        "{trace:#?}"
    );
}

#[tokio::test]
async fn a_gateway_that_says_it_is_ready_takes_connections() {
    let upstream = Upstream::echo().await;
    for _ in 0..20 {
        let gateway = Gateway::before(upstream.url()).start().await;
        let (head, _) = gateway.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(head.status(), 200);
        gateway.kill();
    }
}
