//! A disk that is full, or changed under the spool.

use std::fs;

use offpath_tests::{Collector, Gateway, Upstream, Wire};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use super::{check_each_once, keep, number, pending, said, segments, settled, spool};

/// Files may have 4 KiB from the start on, and the signal that says so is ignored: writes fail.
const NO_ROOM: &str = r#"trap "" XFSZ; ulimit -S -f 8; exec "$@""#;

#[tokio::test]
async fn a_full_disk_costs_the_disk_and_nothing_else() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let setup = setup.spool(folder.path(), "always").through(NO_ROOM);
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let mut ids = Vec::new();
    let body = "word ".repeat(2_000);
    for _ in 0..30 {
        ids.push(keep(&mut client, &body).await);
    }
    settled(&gateway, 30).await;
    let shelf = |status: serde_json::Value| status["export"]["destinations"][0]["spool"].clone();
    let failing = shelf(gateway.status().await);
    assert!(failing["failing"].is_string(), "{failing}");
    // Room again: the next goes to disk first, as it should.
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap());
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, unlimited).unwrap();
    ids.push(keep(&mut client, &body).await);
    settled(&gateway, 31).await;
    let healed = shelf(gateway.status().await);
    assert!(healed["failing"].is_null(), "{healed}");
    check_each_once(&collector, &ids);
}

#[tokio::test]
async fn bytes_changed_and_cut_on_disk_cost_the_traces_that_they_hit() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = || Gateway::before(upstream.url()).spool(folder.path(), "always");
    let gateway = setup().start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(keep(&mut client, "word").await);
    }
    assert!(gateway.terminate().await.status.success());
    // One in the middle is changed, the last is cut.
    let segment = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    bytes.truncate(bytes.len() - 3);
    fs::write(&segment, bytes).unwrap();
    assert!(!spool("verify", folder.path()).status.success());

    let collector = Collector::start().await;
    let sink = json!({"nowhere": {"type": "otlp", "endpoint": collector.endpoint(), "compression": "none"}});
    let gateway = setup().set("export/sinks", sink).start().await;
    let account = settled(&gateway, 40).await;
    assert_eq!(number(&account, "/exported"), 38, "{account}");
    assert_eq!(number(&account, "/dropped/spool_damaged"), 2, "{account}");
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("offpath_spool_damaged_total", &[]) >= 1.0);
    let times = collector.times();
    assert!(times.values().all(|times| *times == 1) && times.len() == 38);
    assert!(times.keys().all(|id| ids.contains(id)));
}

#[tokio::test]
async fn past_the_quota_the_newest_are_dropped_and_users_see_nothing() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = Gateway::before(upstream.url())
        .spool(folder.path(), "overflow")
        .set("export/spool/max_bytes", "1MiB")
        .set("export/spool/when_full", "drop_newest")
        .set("export/queue/max_traces", 20);
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let body = "word ".repeat(4_000);
    for _ in 0..120 {
        keep(&mut client, &body).await;
    }
    let account = gateway
        .account(|account| number(account, "/kept") == 120 && super::balances(account))
        .await;
    let on_disk: u64 = segments(folder.path())
        .iter()
        .map(|segment| fs::metadata(segment).unwrap().len())
        .sum();
    assert!(on_disk <= 1 << 20, "{on_disk}");
    assert_eq!(
        pending(&account) + super::dropped(&account),
        120,
        "{account}"
    );
    assert!(said(&spool("ls", folder.path())).contains("traces wait"));
}
