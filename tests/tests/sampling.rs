//! Which exchanges are kept, why, and what the two sides are told of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use offpath_tests::{Collector, Gateway, Head, Setup, Upstream, Wire, eventually};
use serde_json::json;

/// Answers with the status that the request's path names, and with the `traceparent` that came.
async fn by_path() -> Upstream {
    Upstream::script(|_, mut wire| async move {
        while let Some(head) = wire.try_head().await {
            let path = head.line.split(' ').nth(1).unwrap();
            let (status, body) = (&path[1..], head.field("traceparent").unwrap_or_default());
            let length = body.len();
            wire.send(format!(
                "HTTP/1.1 {status} As Asked\r\ncontent-length: {length}\r\n\r\n{body}"
            ))
            .await;
        }
    })
    .await
}

fn get(status: u16, fields: &str) -> String {
    format!("GET /{status} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
}

async fn exchange(gateway: &Gateway, request: String) -> (Head, Bytes) {
    let mut wire = Wire::connect(gateway.address()).await;
    wire.exchange(request).await
}

async fn sampled(
    collector: &Collector,
    endpoint: &Upstream,
    sampling: serde_json::Value,
) -> Gateway {
    let setup: Setup = Gateway::before(endpoint.url()).collect(collector);
    setup.set("routes/0/sampling", sampling).start().await
}

/// Once so many exchanges are decided.
async fn decided(gateway: &Gateway, count: f64) {
    eventually("decisions", async || {
        let metrics = gateway.metrics().await;
        (metrics.sum("offpath_exchanges_total", &[]) >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn with_a_ratio_of_nothing_a_rule_keeps_the_failures_and_says_why() {
    let (collector, upstream) = (Collector::start().await, by_path().await);
    let rules = json!({"ratio": 0, "keep": {"errors": true}});
    let gateway = sampled(&collector, &upstream, rules).await;
    for status in [200, 404, 503] {
        let (head, _) = exchange(&gateway, get(status, "")).await;
        assert_eq!(head.status(), status);
        // It may be kept, whatever the answer is.
        assert!(head.field("x-offpath-trace-id").is_some());
    }
    decided(&gateway, 3.0).await;
    let trace = collector.trace().await;
    assert_eq!(trace.value("http.response.status_code"), 503);
    assert_eq!(trace.text("offpath.kept_because"), "error");
    assert_eq!(trace.text("mlflow.traceTag.offpath.kept_because"), "error");
    assert!(trace.value("offpath.weight").is_null());
    let metrics = gateway.metrics().await;
    let kept = metrics.sum("offpath_kept_total", &["because=\"error\""]);
    let decision = |decision| metrics.sum("offpath_exchanges_total", &[decision]);
    assert_eq!(kept, 1.0);
    assert_eq!(decision("decision=\"kept\""), 1.0);
    assert_eq!(decision("decision=\"not_kept\""), 2.0);
}

#[tokio::test]
async fn a_storm_of_errors_is_kept_up_to_the_rules_cap() {
    let (collector, upstream) = (Collector::start().await, by_path().await);
    let rules = json!({"ratio": 0, "keep": {"errors": true, "max_per_second": 0.001}});
    let gateway = sampled(&collector, &upstream, rules).await;
    for _ in 0..20 {
        exchange(&gateway, get(500, "")).await;
    }
    decided(&gateway, 20.0).await;
    assert!(gateway.terminate().await.status.success());
    assert_eq!(collector.traces().len(), 1);
}

#[tokio::test]
async fn the_sampled_flag_of_a_caller_is_followed_where_the_route_says_so() {
    let (collector, upstream) = (Collector::start().await, by_path().await);
    let rules = json!({"ratio": 0, "parent": "follow"});
    let gateway = sampled(&collector, &upstream, rules).await;
    for (flags, kept) in [("00", false), ("01", true)] {
        let caller = format!(
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}\r\n"
        );
        let (head, _) = exchange(&gateway, get(200, &caller)).await;
        assert_eq!(head.field("x-offpath-trace-id").is_some(), kept);
    }
    // No caller: offpath starts a trace, and tells the upstream that it does not keep it.
    let (_, told) = exchange(&gateway, get(200, "")).await;
    assert!(told.ends_with(b"-00"), "{told:?}");
    decided(&gateway, 3.0).await;
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.kept_because"), "parent");
}

#[tokio::test]
async fn two_gateways_keep_the_same_sessions_and_each_whole() {
    let upstream = by_path().await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let collector = Collector::start().await;
        let setup = Gateway::before(upstream.url()).collect(&collector);
        let gateway = setup
            .set("routes/0/sampling", json!({"ratio": 0.5, "by": "session"}))
            .set(
                "routes/0/trace",
                json!({"session": [{"header": "x-session-id"}]}),
            )
            .start()
            .await;
        for turn in 0..60 {
            let session = format!("x-session-id: s-{}\r\n", turn % 20);
            exchange(&gateway, get(200, &session)).await;
        }
        assert!(gateway.terminate().await.status.success());
        let mut sessions: Vec<_> = collector
            .traces()
            .iter()
            .map(|trace| trace.text("session.id"))
            .collect();
        sessions.sort();
        kept.push(sessions);
    }
    assert_eq!(kept[0], kept[1]);
    assert!((1..60).contains(&kept[0].len()));
    for turns in kept[0].chunk_by(|a, b| a == b) {
        assert_eq!(turns.len(), 3, "{turns:?}");
    }
}

#[tokio::test]
async fn what_the_model_stopped_for_keeps_an_exchange_that_sampling_passed_over() {
    let (collector, upstream) = (Collector::start().await, Upstream::echo().await);
    let rules = json!({"ratio": 0, "keep_content": {"finish_reasons": ["length"]}});
    let gateway = sampled(&collector, &upstream, rules).await;
    for reason in ["stop", "length", "stop"] {
        let choice = json!({"index": 0, "finish_reason": reason, "message": {"role": "assistant"}});
        let body = json!({"object": "chat.completion", "choices": [choice]}).to_string();
        let (head, _) = exchange(
            &gateway,
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .await;
        assert!(head.field("x-offpath-trace-id").is_some());
    }
    decided(&gateway, 3.0).await;
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.kept_because"), "finish_reason");
    let metrics = gateway.metrics().await;
    let decision = |decision| metrics.sum("offpath_exchanges_total", &[decision]);
    assert_eq!(decision("decision=\"kept\""), 1.0);
    assert_eq!(decision("decision=\"not_kept\""), 2.0);
    assert_eq!(decision("decision=\"undecided_dropped\""), 0.0);
    let because = ["because=\"finish_reason\""];
    assert_eq!(metrics.sum("offpath_kept_total", &because), 1.0);
}

/// So many requests with these fields, over eight connections.
async fn send(gateway: &Gateway, count: usize, fields: &'static str) {
    const CONNECTIONS: usize = 8;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut wire = Wire::connect(gateway.address()).await;
        tasks.spawn(async move {
            for _ in 0..count / CONNECTIONS {
                let (head, _) = wire.exchange(get(200, fields)).await;
                assert_eq!(head.status(), 200);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn two_tasks_on_one_path_are_kept_each_by_its_own_ratio() {
    let upstream = by_path().await;
    let route = |name: &str, matcher: serde_json::Value, ratio: f64| json!({"name": name, "match": matcher, "upstream": "model", "sampling": {"ratio": ratio}});
    let billing = json!({"path": "/200", "headers": {"x-task": "billing"}});
    let routes = json!([
        route("billing", billing, 1.0),
        route("faq", json!({"path": "/200"}), 0.05)
    ]);
    let setup = Gateway::before(upstream.url()).set("routes", routes);
    let gateway = setup.start().await;
    let (billed, asked) = (2_000, 20_000);
    send(&gateway, billed, "x-task: billing\r\n").await;
    send(&gateway, asked, "x-task: faq\r\n").await;
    decided(&gateway, (billed + asked) as f64).await;
    let metrics = gateway.metrics().await;
    let kept = |route| metrics.sum("offpath_exchanges_total", &["decision=\"kept\"", route]);
    assert_eq!(kept("route=\"billing\""), billed as f64);
    let mean = 0.05 * asked as f64;
    let error = (mean * 0.95).sqrt();
    let off = (kept("route=\"faq\"") - mean).abs();
    assert!(off <= 4.0 * error, "{off} from {mean}");
    let ratio = metrics.sum("offpath_sampling_ratio", &["route=\"faq\""]);
    assert_eq!(ratio, 0.05);
}
