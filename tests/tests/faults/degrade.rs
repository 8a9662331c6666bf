//! Budgets that tighten: contents give way first, say so, and come back.

use std::time::Duration;

use offpath_tests::{Collector, Gateway, Trace, Upstream, Wire, eventually, free_address};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{dropped, id, keep, number, pending, post, settled};

fn has_contents(trace: &Trace) -> bool {
    format!("{:?}", trace.root.attributes).contains("s3cret")
}

#[tokio::test]
async fn a_queue_that_fills_loses_contents_before_traces_and_recovers() {
    let upstream = Upstream::echo().await;
    let address = free_address();
    let endpoint = format!("http://{address}/v1/traces");
    let setup = Gateway::before(upstream.url())
        .set("export/sinks/nowhere/endpoint", endpoint)
        .set("export/sinks/nowhere/compression", "none")
        .set("export/queue/max_traces", 40)
        .set("export/retry/initial", "20ms")
        .set("export/retry/max", "50ms");
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let mut ids = Vec::new();
    for sent in 1..=40 {
        ids.push(keep(&mut client, "s3cret").await);
        // Encoded one by one: what is decided for each depends on what waits.
        gateway.account(|account| pending(account) == sent).await;
        encoded(&gateway, sent).await;
    }
    let metrics = gateway.metrics().await;
    assert_eq!(
        metrics.sum("offpath_degraded_total", &["because=\"queue\""]),
        11.0
    );
    let collector = Collector::start_at(address).await;
    let account = settled(&gateway, 40).await;
    assert_eq!(dropped(&account), 0, "{account}");
    ids.push(keep(&mut client, "s3cret").await);
    settled(&gateway, 41).await;
    for trace in collector.traces() {
        let place = ids
            .iter()
            .position(|id| *id == trace.root.trace_id)
            .unwrap();
        let full = !(29..40).contains(&place);
        assert_eq!(has_contents(&trace), full, "trace {place}");
        assert_eq!(
            trace.value("offpath.degraded") == "queue",
            !full,
            "trace {place}"
        );
        assert_eq!(trace.value("offpath.request.bytes"), 6);
    }
}

/// Waits until so many were encoded.
async fn encoded(gateway: &Gateway, count: u64) {
    eventually("an encoded trace", async || {
        let metrics = gateway.metrics().await;
        (metrics.sum("offpath_encode_seconds_count", &[]) == count as f64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn past_its_latency_budget_a_route_captures_less_and_says_so() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    // No machine is that fast.
    let budget = json!({"overhead_p99": "1us", "degrade_to": "metadata"});
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("routes/0/latency_budget", budget).start().await;
    let degraded = async || {
        gateway.exchange(post("s3cret")).await;
        let status = gateway.status().await;
        let counted = status["requests_in_flight"] == 0;
        (counted && status["latency"][0]["capture"] == "metadata").then_some(status)
    };
    let status = eventually("the budget to be passed", degraded).await;
    assert!(number(&status, "/latency/0/waiting_p99_us") > 1, "{status}");
    let (head, body) = gateway.exchange(post("s3cret")).await;
    assert_eq!((head.status(), &body[..]), (200, &b"s3cret"[..]));
    let last = id(&head);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("offpath_capture_degraded", &[]), 1.0);
    let kept = number(&status, "/export/routes/0/kept") + 1;
    settled(&gateway, kept).await;
    let traces = collector.traces();
    let trace = traces
        .iter()
        .find(|trace| trace.root.trace_id == last)
        .unwrap();
    assert!(!has_contents(trace), "{trace:#?}");
    assert_eq!(trace.text("offpath.degraded"), "latency");
    assert!(has_contents(&traces[0]), "{:#?}", traces[0]);
}

/// The process does not run for so long, as when its share of the CPU is used up.
async fn stall(gateway: &Gateway, pause: Duration) {
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    tokio::time::sleep(pause).await;
    kill_process(pid, Signal::CONT).unwrap();
}

#[tokio::test]
async fn a_process_that_gets_no_cpu_captures_less_until_it_does_again() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    // Far more than a busy machine takes, and far less than a process that stands still.
    let budget = json!({"overhead_p99": "1s", "degrade_to": "metadata"});
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("routes/0/latency_budget", budget).start().await;
    let capture = async |expect: &str| {
        eventually("capture to change", async || {
            let status = gateway.status().await;
            (status["latency"][0]["capture"] == expect).then_some(status)
        })
        .await
    };
    let mut client = Wire::connect(gateway.address()).await;
    let before = keep(&mut client, "s3cret").await;
    stall(&gateway, Duration::from_secs(2)).await;
    let status = capture("metadata").await;
    let waiting = number(&status, "/latency/0/waiting_p99_us");
    assert!(waiting > 1_000_000, "{status}");
    let degraded = keep(&mut client, "s3cret").await;
    let gauge = async || gateway.metrics().await.sum("offpath_capture_degraded", &[]);
    assert_eq!(gauge().await, 1.0);
    capture("as_configured").await;
    assert_eq!(gauge().await, 0.0);
    let after = keep(&mut client, "s3cret").await;
    settled(&gateway, 3).await;
    for trace in collector.traces() {
        let id = &trace.root.trace_id;
        assert_eq!(
            has_contents(&trace),
            *id == before || *id == after,
            "{trace:#?}"
        );
        let why = trace.text("offpath.degraded");
        assert_eq!(why == "latency", *id == degraded, "{trace:#?}");
    }
    let log = gateway.log();
    let places = ["The latency budget is passed", "Capture is back"].map(|said| log.find(said));
    assert!(places[0].is_some() && places[0] < places[1], "{log}");
}
