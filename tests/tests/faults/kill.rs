//! `kill -9` at random instants: in `always` mode a kept exchange survives once it is written.

use std::sync::Mutex;
use std::time::Duration;

use offpath_tests::{Collector, Gateway, Setup, Upstream, Wire, free_address};
use rand::Rng as _;

use super::{balances, keep, number, settled};

const KILLS: usize = 50;

fn always(upstream: &Upstream, folder: &std::path::Path, endpoint: &str) -> Setup {
    Gateway::before(upstream.url())
        .set("export/sinks/nowhere/endpoint", endpoint)
        .set("export/sinks/nowhere/compression", "none")
        .set("export/retry/initial", "20ms")
        .set("export/retry/max", "50ms")
        .set("export/batch/linger", "10ms")
        .spool(folder, "always")
}

/// Sends requests for ever. What is on disk for sure, because nothing is left that is not
/// written, is `written`.
async fn traffic(gateway: &Gateway, written: &Mutex<Vec<String>>) {
    let mut client = Wire::connect(gateway.address()).await;
    loop {
        let mut ended = Vec::new();
        for _ in 0..5 {
            ended.push(keep(&mut client, "word").await);
        }
        gateway
            .account(|account| number(account, "/pending/queue") == 0 && balances(account))
            .await;
        written.lock().unwrap().extend(ended);
    }
}

/// Kills `gateway` at a random instant under traffic; the ids that must survive.
async fn kill_under_traffic(gateway: Gateway) -> Vec<String> {
    let written = Mutex::new(Vec::new());
    let instant = Duration::from_millis(rand::rng().random_range(20..900));
    tokio::select! {
        () = traffic(&gateway, &written) => {}
        () = tokio::time::sleep(instant) => {}
    }
    gateway.kill();
    written.into_inner().unwrap()
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
        .account(|account| super::pending(account) == 0 && balances(account))
        .await;
    let times = collector.times();
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(
        number(&account, "/exported"),
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
        .account(|account| super::pending(account) == 0 && balances(account))
        .await;
    settled(&gateway, number(&account, "/kept")).await;
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
    let crashed = number(&account, "/dropped/crash");
    assert_eq!(super::dropped(&account), crashed, "{account}");
    assert_eq!(
        number(&account, "/exported"),
        times.len() as u64,
        "{account}"
    );
}
