//! Drains, and pipelines that are just dropped.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::stub::{Answer, PATIENCE, Stub, status};
use super::support::{Export, config, hex, wait};
use crate::Drained;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_drain_sends_what_waits_at_once() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.batch.linger = LONG;
    let export = Export::open(&config);
    (1..=250).for_each(|id| export.offer(id, "{}"));
    let drained = export.pipeline.drain(LONG);
    assert_eq!(
        drained,
        Drained {
            delivered: 250,
            dropped: 0,
            spooled: 0,
        }
    );
    let traces = stub.traces();
    assert!(
        (1..=250).all(|id| traces.get(&hex(id)) == Some(&1)),
        "{traces:?}"
    );
}

#[test]
fn a_drain_cuts_a_pause_short() {
    let stub = Stub::start(|sent| status(if sent.nth == 0 { 503 } else { 200 }));
    let mut config = config(&stub);
    config.export.retry.initial = LONG;
    config.export.retry.max = LONG;
    let export = Export::open(&config);
    export.offer(1, "{}");
    export.wait(|_| export.handle.status().destinations[0].failures == 1);
    let drained = export.pipeline.drain(LONG);
    assert_eq!(
        drained,
        Drained {
            delivered: 1,
            dropped: 0,
            spooled: 0,
        }
    );
}

/// Offers three traces to a sink that never takes one, and stops.
#[track_caller]
fn check_hopeless(answer: impl Fn() -> Answer + Send + Sync + 'static) {
    let stub = Stub::start(move |_| answer());
    let export = Export::open(&config(&stub));
    (1..=3).for_each(|id| export.offer(id, "{}"));
    stub.wait(|sent| !sent.is_empty());
    // The sink would take an hour: a drain that waited for it would not end.
    let (ended, end) = sync_channel(1);
    let pipeline = export.pipeline;
    std::thread::spawn(move || ended.send(pipeline.drain(Duration::from_millis(200))));
    let drained = end.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        drained,
        Drained {
            delivered: 0,
            dropped: 3,
            spooled: 0,
        }
    );
    let sinks = wait(&export.handle, |_| true);
    assert_eq!(sinks[0].dropped, [("shutdown", 3)].into());
    assert_eq!(export.handle.status().queue.traces, 0);
}

#[test]
fn a_drain_ends_at_its_deadline_whatever_the_sink_does() {
    check_hopeless(|| Answer {
        delay: LONG,
        ..status(200)
    });
    check_hopeless(|| status(503));
    check_hopeless(|| status(401));
}

#[test]
fn an_offer_after_the_end_is_dropped_and_counted() {
    let stub = Stub::willing();
    let Export {
        handle,
        pipeline,
        door,
        ..
    } = Export::open(&config(&stub));
    assert_eq!(pipeline.drain(LONG), Drained::default());
    door.offer(1, "{}");
    let sinks = wait(&handle, |sinks| sinks[0].kept == 1);
    assert_eq!(sinks[0].dropped, [("shutdown", 1)].into());
}

#[test]
fn a_pipeline_that_is_dropped_stops_at_once_and_counts_the_rest() {
    let stub = Stub::start(|_| Answer {
        delay: LONG,
        ..status(200)
    });
    let export = Export::open(&config(&stub));
    (1..=3).for_each(|id| export.offer(id, "{}"));
    stub.wait(|sent| !sent.is_empty());
    drop(export.pipeline);
    let sinks = wait(&export.handle, |_| true);
    assert_eq!(sinks[0].dropped, [("shutdown", 3)].into());
}

#[test]
fn the_accounts_balance_when_offers_race_with_the_end() {
    let stub = Stub::willing();
    let Export {
        handle,
        pipeline,
        door,
        ..
    } = Export::open(&config(&stub));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let door = door.clone();
            scope.spawn(move || (1..=500).for_each(|id| door.offer(thread * 1000 + id, "{}")));
        }
        drop(pipeline);
    });
    let sinks = wait(&handle, |_| true);
    assert_eq!(sinks[0].kept, 2000);
    assert_eq!((sinks[0].pending.queue, sinks[0].pending.in_flight), (0, 0));
    assert_eq!(handle.status().queue.bytes, 0);
}
