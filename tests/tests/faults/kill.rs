//! `kill -9` at random instants: in `always` mode a kept exchange survives once it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use offpath_tests::{Collector, Gateway, Setup, Upstream, Wire, free_address};
use rand::Rng as _;

use super::{id, post, settled};

const KILLS: usize = 50;

/// An exchange that ended this long before the kill is on disk: the encoders look every 50 ms at
/// least; the rest is for a machine that does other things.
const WINDOW: Duration = Duration::from_millis(500);

fn always(upstream: &Upstream, folder: &std::path::Path, endpoint: &str) -> Setup {
    Gateway::before(upstream.url())
        .set("export/sinks/nowhere/endpoint", endpoint)
        .set("export/sinks/nowhere/compression", "none")
        .set("export/retry/initial", "20ms")
        .set("export/retry/max", "50ms")
        .set("export/batch/linger", "10ms")
        .spool(folder, "always")
}

/// Sends requests until told to stop; the ids of those that ended, and when.
async fn traffic(address: std::net::SocketAddr, stop: Arc<AtomicBool>) -> Vec<(String, Instant)> {
    let mut ended = Vec::new();
    let mut client = Wire::connect(address).await;
    while !stop.load(SeqCst) {
        client.send(post("word")).await;
        // The kill cuts the last one.
        let Some(head) = client.try_head().await else {
            break;
        };
        if client.exact_or_less(4).await != "word" {
            break;
        }
        ended.push((id(&head), Instant::now()));
    }
    ended
}

/// Kills `gateway` at a random instant under traffic; the ids that must survive.
async fn kill_under_traffic(gateway: Gateway) -> Vec<String> {
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn(traffic(gateway.address(), Arc::clone(&stop)));
    let instant = rand::rng().random_range(20..900);
    tokio::time::sleep(Duration::from_millis(instant)).await;
    stop.store(true, SeqCst);
    let killed = Instant::now();
    gateway.kill();
    let ended = traffic.await.unwrap().into_iter();
    ended
        .filter(|(_, at)| *at + WINDOW <= killed)
        .map(|(id, _)| id)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_cost_nothing_that_was_written() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let endpoint = format!("http://{address}/v1/traces");
    let mut owed = Vec::new();
    // Without a sink: nothing is delivered, so each trace may come once at most.
    for _ in 0..KILLS / 2 {
        let gateway = always(&upstream, folder.path(), &endpoint).start().await;
        owed.extend(kill_under_traffic(gateway).await);
    }
    let listed = super::said(&super::spool("ls", folder.path()));
    let collector = Collector::start_at(address).await;
    let gateway = always(&upstream, folder.path(), &endpoint).start().await;
    let account = gateway
        .account(|account| super::pending(account) == 0 && super::balances(account))
        .await;
    let times = collector.times();
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(
        super::number(&account, "/exported"),
        times.len() as u64,
        "{listed}"
    );
    // With a sink that takes: what was under way at the kill may come again, under its id.
    drop(gateway);
    for _ in 0..KILLS / 2 {
        let gateway = always(&upstream, folder.path(), &endpoint).start().await;
        owed.extend(kill_under_traffic(gateway).await);
    }
    let gateway = always(&upstream, folder.path(), &endpoint).start().await;
    let account = gateway
        .account(|account| super::pending(account) == 0 && super::balances(account))
        .await;
    settled(&gateway, super::number(&account, "/kept")).await;
    let times = collector.times();
    let lost: Vec<_> = owed.iter().filter(|id| !times.contains_key(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        owed.len()
    );
    assert!(owed.len() > 100, "{}", owed.len());
    // What died before it was written is counted, and what was delivered is counted once.
    let crashed = super::number(&account, "/dropped/crash");
    assert_eq!(super::dropped(&account), crashed, "{account}");
    assert_eq!(
        super::number(&account, "/exported"),
        times.len() as u64,
        "{account}"
    );
}
