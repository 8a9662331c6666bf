//! Sinks in trouble, and what is kept at all: the user's traffic never notices, and the accounts
//! are exact.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use offpath_tests::{Collector, Gateway, Upstream, Wire, eventually, free_address, pattern};
use serde_json::{Value, json};

fn post(body: &[u8]) -> Bytes {
    let length = body.len();
    let head = format!(
        "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat().into()
}

/// The number under this path.
#[track_caller]
fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn dropped(account: &Value) -> u64 {
    let reasons = account["dropped"].as_object().unwrap();
    reasons.values().filter_map(Value::as_u64).sum()
}

fn pending(account: &Value) -> u64 {
    number(account, "/pending/queue") + number(account, "/pending/in_flight")
}

#[tokio::test]
async fn while_no_sink_answers_traffic_flows_the_queue_fills_and_the_rest_is_counted() {
    let hanging = Upstream::hanging().await;
    for base in [format!("http://{}", free_address()), hanging.url()] {
        let otlp = json!({"type": "otlp", "endpoint": format!("{base}/v1/traces")});
        check_full(otlp).await;
        check_full(json!({"type": "mlflow", "tracking_uri": base})).await;
    }
}

async fn check_full(sink: Value) {
    let upstream = Upstream::echo().await;
    let setup = Gateway::before(upstream.url()).set("export/queue/max_traces", 5);
    let gateway = setup
        .set("export/sinks", json!({"nowhere": sink}))
        .start()
        .await;
    let mut client = Wire::connect(gateway.address()).await;
    for size in 0..40 {
        let body = pattern(size);
        let (head, came_back) = client.exchange(post(&body)).await;
        assert_eq!((head.status(), came_back), (200, body));
    }
    let account = gateway.account(|account| account["kept"] == 40).await;
    assert_eq!(
        (number(&account, "/exported"), pending(&account)),
        (0, 5),
        "{account}"
    );
    assert_eq!(number(&account, "/dropped/queue_full"), 35, "{account}");
    let metrics = gateway.metrics().await;
    let because = ["sink=\"nowhere\"", "reason=\"queue_full\""];
    assert_eq!(metrics.sum("offpath_traces_dropped_total", &because), 35.0);
    assert_eq!(metrics.sum("offpath_traces_pending", &[]), 5.0);
    assert!(metrics.sum("offpath_queue_bytes", &[]) > 0.0);
}

#[tokio::test]
async fn kept_is_exported_and_dropped_and_pending_at_every_moment_of_rest() {
    let upstream = Upstream::echo().await;
    let address = free_address();
    let setup = Gateway::before(upstream.url())
        .set(
            "export/sinks/nowhere/endpoint",
            format!("http://{address}/v1/traces"),
        )
        .set("export/sinks/nowhere/compression", "none")
        .set("export/queue/max_traces", 8)
        .set("export/retry/initial", "20ms")
        .set("export/retry/max", "50ms");
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    for _ in 0..12 {
        client.exchange(post(b"x")).await;
    }
    let account = gateway.account(|account| account["kept"] == 12).await;
    assert_eq!((dropped(&account), pending(&account)), (4, 8), "{account}");
    // The sink comes back: what waited arrives, each trace once.
    let collector = Collector::start_at(address).await;
    let account = gateway.account(|account| pending(account) == 0).await;
    assert_eq!(
        (number(&account, "/exported"), dropped(&account)),
        (8, 4),
        "{account}"
    );
    let mut ids: Vec<_> = collector
        .traces()
        .into_iter()
        .map(|trace| trace.root.trace_id)
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), collector.traces().len()), (8, 8));
}

#[tokio::test]
async fn bodies_past_the_capture_budget_flow_on_and_are_marked() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let setup = setup.set("limits/capture_bytes", "256KiB");
    let gateway = setup.set("export/batch/linger", "10ms").start().await;
    let body = pattern(1 << 20);
    let (_, came_back) = gateway.exchange(post(&body)).await;
    assert!(came_back == body);
    let trace = collector.trace().await;
    assert_eq!(trace.value("offpath.request.bytes"), 1 << 20);
    assert_eq!(trace.value("offpath.defects")[0], "body_truncated");
    let cut = &trace.json("mlflow.spanInputs")["offpath.body"];
    assert_eq!(
        (&cut["truncated"], &cut["bytes"]),
        (&true.into(), &(1 << 20).into())
    );
    assert!(number(cut, "/kept_bytes") <= 256 * 1024, "{cut}");
    // All of it is given back.
    eventually("the capture budget to be free", async || {
        let used = gateway.metrics().await.sum("offpath_capture_bytes", &[]);
        (used == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_body_past_the_routes_limit_is_cut_in_the_trace_alone() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("routes/0/capture/max_body", "1KiB").start().await;
    let text = "word ".repeat(1_000);
    let request = format!(
        "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 5000\r\n\r\n{text}"
    );
    let (_, came_back) = gateway.exchange(request).await;
    assert_eq!(came_back, text);
    let trace = collector.trace().await;
    for message in ["mlflow.spanInputs", "mlflow.spanOutputs"] {
        let cut = &trace.json(message)["offpath.body"];
        assert_eq!(
            (number(cut, "/bytes"), number(cut, "/kept_bytes")),
            (5_000, 1_024)
        );
        assert_eq!(cut["content_type"], "text/plain");
        assert!(text.starts_with(cut["text"].as_str().unwrap()) && cut["text"] != "");
    }
}

#[tokio::test]
async fn the_ratio_decides_how_many_are_kept() {
    let upstream = Upstream::echo().await;
    let count = 900;
    for (ratio, expect, error) in [(0.0, 0.0, 0.0), (1.0, 900.0, 0.0), (0.5, 450.0, 15.0)] {
        let setup = Gateway::before(upstream.url()).set("routes/0/sampling/ratio", ratio);
        let gateway = setup.start().await;
        let mut client = Wire::connect(gateway.address()).await;
        let mut with_id = 0.0;
        for _ in 0..count {
            let (head, _) = client.exchange(post(b"")).await;
            with_id += f64::from(u8::from(head.field("x-offpath-trace-id").is_some()));
        }
        // Four standard errors: one run in 16,000 is further off.
        let kept: f64 = with_id - expect;
        assert!(kept.abs() <= 4.0 * error, "{with_id} of {count} at {ratio}");
        let metrics = gateway.metrics().await;
        let kept = metrics.sum("offpath_exchanges_total", &["decision=\"kept\""]);
        assert_eq!(
            (
                kept,
                metrics.sum("offpath_kept_total", &["because=\"ratio\""])
            ),
            (with_id, with_id)
        );
        let not_kept = metrics.sum("offpath_exchanges_total", &["decision=\"not_kept\""]);
        assert_eq!(kept + not_kept, f64::from(count));
    }
}

#[tokio::test]
async fn metadata_stores_sizes_and_no_content_and_off_stores_nothing() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let request = "POST /v1?q=s3cret HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\ns3cret";
    let setup = || Gateway::before(upstream.url()).collect(&collector);
    let off = setup().set("routes/0/capture/level", "off").start().await;
    let (head, _) = off.exchange(request).await;
    assert_eq!(head.field("x-offpath-trace-id"), None);
    assert!(off.terminate().await.status.success());
    let gateway = setup()
        .set("routes/0/capture/level", "metadata")
        .start()
        .await;
    gateway.exchange(request).await;
    let trace = collector.trace().await;
    assert_eq!(trace.value("offpath.request.bytes"), 6);
    assert!(!format!("{trace:?}").contains("s3cret"), "{trace:#?}");
}

#[tokio::test]
async fn connections_past_the_limit_are_closed_and_counted() {
    let upstream = Upstream::echo().await;
    let setup = Gateway::before(upstream.url()).set("limits/connections", 2);
    let gateway = setup.start().await;
    let mut first = Wire::connect(gateway.address()).await;
    let mut second = Wire::connect(gateway.address()).await;
    for client in [&mut first, &mut second] {
        assert_eq!(client.exchange(post(b"")).await.0.status(), 200);
    }
    let mut third = Wire::connect(gateway.address()).await;
    third.send(post(b"")).await;
    assert!(third.try_head().await.is_none());
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("offpath_connections_refused_total", &[]), 1.0);
    drop(first);
    eventually("a place to be free again", async || {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(post(b"")).await;
        client.try_head().await
    })
    .await;
    assert_eq!(second.exchange(post(b"")).await.0.status(), 200);
}
