//! SIGTERM and SIGINT: what is under way ends well, or is cut and recorded; then the process ends.

use std::sync::Arc;

use offpath_tests::{Collector, Gateway, Upstream, Wire, ask, eventually};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const GET: &str = "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n";

/// An hour: a test that waited for it would fail.
const LONG: &str = "1h";

async fn under_way(gateway: &Gateway, count: u64) {
    eventually("requests under way", async || {
        (gateway.status().await.pointer("/requests_in_flight") == Some(&count.into())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_cut_at_shutdown_is_recorded() {
    let upstream = Upstream::stuck_halfway().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("limits/drain", "500ms").start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(GET).await;
    client.head().await;
    assert_eq!(client.exact(4).await, "half");
    let stopped = gateway.terminate().await;
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(client.rest().await, "");
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.end_reason"), "shutdown");
    assert_eq!(trace.value("offpath.response.bytes"), 4);
    assert!(trace.root.error.is_some());
}

/// Sends half of its answer, and the other half once it may.
async fn in_halves() -> (Upstream, Arc<Semaphore>) {
    let go_on = Arc::new(Semaphore::new(0));
    let permit = Arc::clone(&go_on);
    let upstream = Upstream::script(move |_, mut wire| {
        let permit = Arc::clone(&permit);
        async move {
            wire.head().await;
            wire.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\nhalf",
            )
            .await;
            permit
                .acquire()
                .await
                .expect("the semaphore stays open because nothing closes it")
                .forget();
            wire.send("half").await;
        }
    })
    .await;
    (upstream, go_on)
}

/// A client that has the first half of its answer.
async fn half_served(gateway: &Gateway) -> Wire {
    let mut client = Wire::connect(gateway.address()).await;
    client.send(GET).await;
    client.head().await;
    assert_eq!(client.exact(4).await, "half");
    client
}

#[tokio::test]
async fn a_stream_under_way_ends_within_the_drain() {
    for signal in [Signal::TERM, Signal::INT] {
        let (upstream, go_on) = in_halves().await;
        let collector = Collector::start().await;
        let setup = Gateway::before(upstream.url()).collect(&collector);
        let gateway = setup.set("limits/drain", LONG).start().await;
        let (address, telemetry) = (gateway.address(), gateway.telemetry());
        let mut client = half_served(&gateway).await;
        gateway.signal(signal);
        // New clients go elsewhere, and the probes say so.
        eventually("new connections to be refused", async || {
            TcpStream::connect(address).await.is_err().then_some(())
        })
        .await;
        assert_eq!(ask(telemetry, "/readyz").await.unwrap().0, 503);
        assert_eq!(ask(telemetry, "/healthz").await.unwrap().0, 200);
        go_on.add_permits(1);
        assert_eq!(client.exact(4).await, "half");
        let stopped = gateway.stopped().await;
        assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
        let trace = collector.trace().await;
        assert_eq!(trace.text("offpath.end_reason"), "complete");
        assert_eq!(trace.root.error, None);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_drain_lasts_as_long_as_its_limit_and_no_longer() {
    use std::time::Duration;
    let world = offpath_tests::World::build();
    let (upstream, go_on) = in_halves().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup
        .set("limits/drain", "10m")
        .set("upstreams/model/timeouts/read", LONG)
        .within(&world)
        .start()
        .await;
    let (mut first, mut second) = (half_served(&gateway).await, half_served(&gateway).await);
    gateway.ask_to_stop();
    eventually("the drain", async || {
        gateway.log().contains("Draining.").then_some(())
    })
    .await;
    // Far past all other times that the end takes: requests are still served.
    world.pass(Duration::from_secs(9 * 60), &gateway);
    // Answered by the thread that waits for the drain's end: it has seen what time it is.
    for _ in 0..2 {
        assert_eq!(ask(gateway.telemetry(), "/healthz").await.unwrap().0, 200);
    }
    assert!(!gateway.log().contains("Requests are cut"));
    go_on.add_permits(1);
    let answered = tokio::select! {
        rest = first.exact(4) => rest,
        rest = second.exact(4) => rest,
    };
    assert_eq!(answered, "half");
    under_way(&gateway, 1).await;
    world.pass(Duration::from_secs(2 * 60), &gateway);
    let stopped = gateway.stopped().await;
    assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
    assert!(stopped.log.contains("limits.drain is over"), "{stopped:?}");
    let mut ends = collector.wait_for(2).await;
    ends.sort_by_key(|trace| trace.root.nanos);
    let ends: Vec<_> = ends
        .iter()
        .map(|trace| trace.text("offpath.end_reason"))
        .collect();
    assert_eq!(ends, ["complete", "shutdown"]);
}

#[tokio::test]
async fn a_drain_ends_at_once_where_nothing_is_under_way() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("limits/drain", LONG).start().await;
    // A client that keeps its connection open is not under way.
    let mut client = Wire::connect(gateway.address()).await;
    client.exchange(GET).await;
    under_way(&gateway, 0).await;
    let stopped = gateway.terminate().await;
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(client.try_head().await.is_none());
}

#[tokio::test]
async fn traces_that_wait_for_their_batch_are_delivered_at_shutdown() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("export/batch/linger", "1h").start().await;
    for _ in 0..7 {
        gateway.exchange(GET).await;
    }
    gateway.account(|account| account["kept"] == 7).await;
    assert!(collector.traces().is_empty());
    let stopped = gateway.terminate().await;
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(collector.traces().len(), 7);
}

#[tokio::test]
async fn a_dead_sink_does_not_hold_the_process() {
    let upstream = Upstream::echo().await;
    let sink = Upstream::hanging().await;
    let endpoint = format!("{}/v1/traces", sink.url());
    let setup = Gateway::before(upstream.url()).set("limits/drain", "300ms");
    let gateway = setup
        .set("export/sinks/nowhere/endpoint", endpoint)
        .start()
        .await;
    gateway.exchange(GET).await;
    gateway.account(|account| account["kept"] == 1).await;
    let stopped = gateway.terminate().await;
    assert!(stopped.status.success(), "{stopped:?}");
}
