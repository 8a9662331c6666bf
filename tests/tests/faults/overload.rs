//! More than sink and queue hold: contents give way, then the newest traces, each counted, and
//! memory stays under the bound that `validate` prints.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use offpath_tests::{Collector, Gateway, Upstream, Wire, ask, free_address, offpath};
use tokio::task::JoinSet;

use super::{balances, check_each_once, dropped, keep, number, pending, said, settled};

const CLIENTS: usize = 4;
const REQUESTS: usize = 400;
const BODY_BYTES: usize = 128 << 10;

/// Sends so many requests from each of a few clients; their ids.
async fn load(gateway: &Gateway, requests: usize) -> Vec<String> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let address = gateway.address();
        clients.spawn(async move {
            let (mut client, body) = (
                Wire::connect(address).await,
                "s3cret ".repeat(BODY_BYTES / 7),
            );
            let mut ids = Vec::new();
            for _ in 0..requests {
                ids.push(keep(&mut client, &body).await);
            }
            ids
        });
    }
    clients.join_all().await.concat()
}

/// A figure of the process' memory, in bytes.
fn memory(gateway: &Gateway, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.unwrap().trim_start_matches(':').trim_end_matches("kB");
    kib.trim().parse::<u64>().unwrap() << 10
}

/// The bound that `validate` prints, in bytes.
fn bound(gateway: &Gateway) -> u64 {
    let mut command = Command::new(offpath());
    let output = command
        .args(["validate", "--config"])
        .arg(gateway.config())
        .output();
    let said = said(&output.unwrap());
    let mebibytes = said.split("memory: at most ").nth(1).unwrap();
    let mebibytes: f64 = mebibytes.split(" MiB").next().unwrap().parse().unwrap();
    (mebibytes * f64::from(1 << 20)) as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_queue_the_newest_are_dropped_and_counted_and_memory_is_bounded() {
    let upstream = Upstream::echo().await;
    let address = free_address();
    let gateway = Gateway::before(upstream.url())
        .set(
            "export/sinks/nowhere/endpoint",
            format!("http://{address}/v1/traces"),
        )
        .set("export/sinks/nowhere/compression", "none")
        .set("export/retry/initial", "20ms")
        .set("export/retry/max", "50ms")
        .set("export/queue/max_traces", 50)
        .set("export/queue/max_bytes", "8MiB")
        .set("export/queue/when_full", "drop_newest")
        .set("export/batch/max_bytes", "1MiB")
        .set("export/batch/max_trace", "1MiB")
        .set("limits/capture_bytes", "8MiB")
        .set("limits/connections", 2 * CLIENTS)
        .start()
        .await;
    // Code and buffers of the first requests are not what is bounded.
    let mut ids = load(&gateway, 1).await;
    let idle = memory(&gateway, "VmRSS");
    let bound = bound(&gateway);
    // Several times as much passes as it may hold.
    assert!(
        ((CLIENTS * REQUESTS * BODY_BYTES) as u64) > 4 * bound,
        "{bound}"
    );
    ids.extend(load(&gateway, REQUESTS).await);
    let account = gateway
        .account(|account| number(account, "/kept") == ids.len() as u64 && balances(account))
        .await;
    let peak = memory(&gateway, "VmHWM");
    assert!(peak - idle <= bound, "{peak} of {idle} and {bound}");
    assert_eq!(pending(&account), 50, "{account}");
    let lost = dropped(&account);
    assert_eq!(lost, ids.len() as u64 - 50, "{account}");
    let by_queue = ["/dropped/queue_full", "/dropped/queue_bytes"].map(|key| number(&account, key));
    assert_eq!(by_queue.iter().sum::<u64>(), lost, "{account}");
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("offpath_degraded_total", &["because=\"queue\""]) >= 1.0);
    assert_eq!(
        metrics.sum("offpath_traces_dropped_total", &[]),
        lost as f64
    );
    // None of this is the users': they are served.
    assert_eq!(ask(gateway.telemetry(), "/readyz").await.unwrap().0, 200);
    assert!(
        gateway.log().contains("Export queue is full"),
        "{}",
        gateway.log()
    );
    // What was not dropped comes, each once, and the next one is whole again.
    let collector = Collector::start_at(address).await;
    settled(&gateway, ids.len() as u64).await;
    let whole = keep(&mut Wire::connect(gateway.address()).await, "s3cret").await;
    settled(&gateway, ids.len() as u64 + 1).await;
    let came: Vec<_> = collector.times().into_keys().collect();
    check_each_once(&collector, &came);
    let known: BTreeSet<_> = ids.iter().chain([&whole]).collect();
    assert!(came.len() == 51 && came.iter().all(|id| known.contains(id)));
    let traces = collector.traces();
    let last = traces
        .iter()
        .find(|trace| trace.root.trace_id == whole)
        .unwrap();
    assert!(last.value("offpath.degraded").is_null(), "{last:#?}");
}
