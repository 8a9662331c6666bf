//! A spool that cannot be read for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use offpath_tests::{Collector, Gateway, Reaction, Upstream, Wire, World, eventually};

use super::{check_each_once, dropped, keep, number, settled};

#[tokio::test]
async fn a_spool_that_cannot_be_read_for_a_while_is_read_later_and_loses_nothing() {
    let world = World::build();
    let upstream = Upstream::echo().await;
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let collector = Collector::reacting(move |_, _| match is_down.load(SeqCst) {
        true => Reaction::Refuse(503, ""),
        false => Reaction::Take,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    // Five failures in a row are the end of it: ten seconds, with pauses between them.
    let gateway = Gateway::before(upstream.url())
        .collect(&collector)
        .set("export/batch/max_traces", 1)
        .set("export/retry/initial", "1s")
        .spool(folder.path(), "always")
        .within(&world)
        .start()
        .await;
    let mut client = Wire::connect(gateway.address()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(keep(&mut client, "word").await);
    }
    // The first is on its way, the others wait on disk.
    gateway
        .account(|account| {
            let pending = ["/pending/in_flight", "/pending/spool"];
            pending.map(|place| number(account, place)) == [1, 4]
        })
        .await;
    world.let_spools_be_read(false);
    down.store(false, SeqCst);
    eventually("a failure to read", async || {
        let log = gateway.log();
        log.contains("The spool cannot be read; trying again.")
            .then_some(())
    })
    .await;
    world.let_spools_be_read(true);
    let account = settled(&gateway, 5).await;
    assert_eq!(dropped(&account), 0, "{account}");
    check_each_once(&collector, &ids);
}
