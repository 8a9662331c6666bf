//! A real MLflow that goes away under load and comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use offpath_tests::mlflow::Own;
use offpath_tests::{Gateway, Upstream, Wire};
use serde_json::json;
use tokio::task::JoinSet;

use super::{dropped, keep, pending, settled};

/// How long MLflow is away; `OFFPATH_OUTAGE_SECONDS` says otherwise.
const OUTAGE_SECONDS: u64 = 10;

/// How long MLflow may take for what waited.
const CATCHING_UP: Duration = Duration::from_secs(180);

/// A request every so often: within what the reader lists of a minute's outage.
const EVERY: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mlflow_gone_under_load_and_back_has_each_trace_once() {
    let named = std::env::var("OFFPATH_OUTAGE_SECONDS").ok();
    let outage = named.map_or(OUTAGE_SECONDS, |seconds| seconds.parse().unwrap());
    let mut mlflow = tokio::task::spawn_blocking(Own::start).await.unwrap();
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let sink = json!({"mlflow": {"type": "mlflow", "tracking_uri": mlflow.uri()}});
    let setup = Gateway::before(upstream.url())
        .set("export/sinks", sink)
        .set("export/batch/linger", "50ms")
        .set("export/retry/max", "1s")
        .set("export/queue/max_traces", 40)
        .set("routes/0/trace/experiment", "outage")
        .spool(folder.path(), "overflow");
    let gateway = setup.start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (address, stopped) = (gateway.address(), Arc::clone(&stop));
    let mut load = JoinSet::new();
    load.spawn(async move {
        let (mut ids, mut client) = (BTreeSet::new(), Wire::connect(address).await);
        while !stopped.load(SeqCst) {
            ids.insert(keep(&mut client, "word").await);
            tokio::time::sleep(EVERY).await;
        }
        ids
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    mlflow = run(mlflow, Own::stop).await;
    tokio::time::sleep(Duration::from_secs(outage)).await;
    // More than the queue holds waited, and none was dropped.
    let account = gateway.account(|account| pending(account) > 40).await;
    assert_eq!(dropped(&account), 0, "{account}");
    let waited = pending(&account);
    mlflow = run(mlflow, Own::start_again).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, SeqCst);
    let ids = load.join_next().await.unwrap().unwrap();
    // MLflow takes what a busy machine lets it take.
    let back = Instant::now();
    let deadline = back + CATCHING_UP;
    while Instant::now() < deadline && pending(&own(&gateway).await) > 0 {
        tokio::time::sleep(EVERY).await;
    }
    let account = settled(&gateway, ids.len() as u64).await;
    eprintln!(
        "{outage} s away: {} traces kept, {waited} waited; the last was stored {:.1} s later",
        ids.len(),
        back.elapsed().as_secs_f64()
    );
    assert_eq!(dropped(&account), 0, "{account}");
    let stored = tokio::task::spawn_blocking(move || mlflow.traces("outage"));
    let stored = stored.await.unwrap();
    let found: BTreeSet<_> = stored
        .iter()
        .filter_map(|trace| Some(trace["id"].as_str()?.strip_prefix("tr-")?.to_owned()))
        .collect();
    assert_eq!((found.len(), stored.len()), (ids.len(), ids.len()));
    assert_eq!(found, ids);
}

/// The account of the only route at the only sink.
async fn own(gateway: &Gateway) -> serde_json::Value {
    gateway.status().await["export"]["routes"][0]["sinks"][0].clone()
}

/// MLflow's processes are waited for beside the load, not in its way.
async fn run(mut mlflow: Own, deed: fn(&mut Own)) -> Own {
    let ran = tokio::task::spawn_blocking(move || {
        deed(&mut mlflow);
        mlflow
    });
    ran.await.unwrap()
}
