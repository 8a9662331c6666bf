//! Sinks that are slow, busy, broken, picky, or forgetful.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use offpath_tests::{Collector, Gateway, Reaction, Setup, Upstream, Wire};
use serde_json::json;

use super::{check_each_once, dropped, keep, number, settled};

fn before(upstream: &Upstream, collector: &Collector) -> Setup {
    Gateway::before(upstream.url())
        .collect(collector)
        .set("export/retry/initial", "5ms")
        .set("export/retry/max", "20ms")
        .set("export/batch/max_traces", 8)
}

/// Sends so many requests; each is answered as always.
async fn send(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut client = Wire::connect(gateway.address()).await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(keep(&mut client, "word").await);
    }
    ids
}

/// A sink that reacts so for the first batches, then takes all: nothing is lost, nothing doubled.
async fn check_nothing_lost(reactions: &'static [Reaction], when: Option<&str>) {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let collector =
        Collector::reacting(|nth, _| reactions.get(nth).copied().unwrap_or(Reaction::Take)).await;
    let mut setup = before(&upstream, &collector);
    if let Some(when) = when {
        setup = setup.spool(folder.path(), when);
    }
    let gateway = setup.start().await;
    let ids = send(&gateway, 40).await;
    let account = settled(&gateway, 40).await;
    assert_eq!(dropped(&account), 0, "{reactions:?} {when:?}: {account}");
    check_each_once(&collector, &ids);
}

#[tokio::test]
async fn busy_and_broken_sinks_cost_nothing() {
    const BUSY: &[Reaction] = &[
        Reaction::Refuse(429, "retry-after: 0\r\n"),
        Reaction::Refuse(500, ""),
        Reaction::Refuse(503, ""),
        Reaction::Cut,
        Reaction::TakeSlowly(Duration::from_millis(300)),
        Reaction::Refuse(408, ""),
        Reaction::Cut,
        Reaction::Cut,
        Reaction::Refuse(401, ""),
        Reaction::Refuse(502, ""),
    ];
    for when in [None, Some("overflow"), Some("always")] {
        check_nothing_lost(BUSY, when).await;
    }
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_comes_again_with_the_same_ids() {
    let upstream = Upstream::echo().await;
    let collector = Collector::reacting(|nth, _| match nth {
        0 => Reaction::TakeAndCut,
        _ => Reaction::Take,
    })
    .await;
    let gateway = before(&upstream, &collector).start().await;
    let mut ids = send(&gateway, 20).await;
    let account = settled(&gateway, 20).await;
    assert_eq!(number(&account, "/exported"), 20, "{account}");
    let times = collector.times();
    ids.sort();
    assert_eq!(times.keys().cloned().collect::<Vec<_>>(), ids);
    assert!(times.values().any(|times| *times == 2), "{times:?}");
}

#[tokio::test]
async fn one_trace_that_the_sink_refuses_costs_that_one() {
    let upstream = Upstream::echo().await;
    for when in [None, Some("always")] {
        let folder = tempfile::tempdir().unwrap();
        let poisoned = Arc::new(Mutex::new(None::<String>));
        let chosen = Arc::clone(&poisoned);
        let collector = Collector::reacting(move |_, spans| {
            let mut poisoned = chosen.lock().unwrap();
            let poisoned = poisoned.get_or_insert_with(|| spans[0].trace_id.clone());
            match spans.iter().any(|span| span.trace_id == *poisoned) {
                true => Reaction::Refuse(400, ""),
                false => Reaction::Take,
            }
        })
        .await;
        let mut setup = before(&upstream, &collector);
        if let Some(when) = when {
            setup = setup.spool(folder.path(), when);
        }
        let gateway = setup.start().await;
        let mut ids = send(&gateway, 30).await;
        let account = settled(&gateway, 30).await;
        assert_eq!(account["dropped"], json!({"rejected": 1}), "{account}");
        let poisoned = poisoned.lock().unwrap().take().unwrap();
        ids.retain(|id| *id != poisoned);
        check_each_once(&collector, &ids);
        if when.is_some() {
            let file = set_aside(folder.path());
            assert!(file.contains(&poisoned) && file.contains("400"), "{file}");
        }
        let log = gateway.log();
        assert!(
            log.contains("Sink rejected traces") && log.contains(&poisoned),
            "{log}"
        );
    }
}

/// The only trace that is set aside in a spool.
fn set_aside(spool: &std::path::Path) -> String {
    let folders = std::fs::read_dir(spool).unwrap();
    let mut refused = folders.map(|folder| folder.unwrap().path().join("refused"));
    let refused = refused.find(|folder| folder.is_dir()).unwrap();
    let files: Vec<_> = std::fs::read_dir(refused).unwrap().collect();
    assert_eq!(files.len(), 1);
    std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap()
}

#[tokio::test]
async fn a_slow_sink_delays_neither_users_nor_another_sink() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let slow = Collector::reacting(|_, _| Reaction::TakeSlowly(Duration::from_secs(3600))).await;
    let fast = Collector::start().await;
    let otlp = |collector: &Collector| json!({"type": "otlp", "endpoint": collector.endpoint(), "compression": "none"});
    let setup = before(&upstream, &fast)
        .set(
            "export/sinks",
            json!({"slow": otlp(&slow), "fast": otlp(&fast)}),
        )
        .set("export/queue/max_traces", 64)
        .set("limits/drain", "100ms")
        .spool(folder.path(), "overflow");
    let gateway = setup.start().await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.extend(send(&gateway, 20).await);
        fast.wait_for(ids.len()).await;
    }
    check_each_once(&fast, &ids);
    let stopped = gateway.terminate().await;
    assert!(stopped.status.success(), "{stopped:?}");
    let listed = super::said(&super::spool("ls", folder.path()));
    assert!(listed.contains("slow: 200 traces"), "{listed}");
}
