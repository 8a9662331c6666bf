//! The spool under the whole pipeline: lags, ends, restarts, and what the accounts say.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offpath_config::{Config, Spool, SpoolWhen};
use tempfile::TempDir;

use super::stub::{Answer, Stub, status};
use super::support::{Export, balances, config, hex, wait};
use crate::{Drained, OpenError, RouteSink};

const LONG: Duration = Duration::from_secs(3600);

fn spooled(stub: &Stub, folder: &Path, when: SpoolWhen) -> Config {
    let mut config = config(stub);
    config.export.spool = Some(Spool {
        path: folder.join("spool"),
        max_bytes: 64 << 20,
        when,
    });
    config
}

fn unwilling() -> Stub {
    Stub::start(|_| status(503))
}

/// Each of these traces came once, and nothing else.
#[track_caller]
fn check_each_once(stub: &Stub, ids: impl Iterator<Item = u128>) {
    let expect = ids.map(|id| (hex(id), 1)).collect();
    assert_eq!(stub.traces(), expect);
}

fn exported(count: u64) -> impl Fn(&[RouteSink]) -> bool {
    move |sinks| sinks[0].exported == count
}

/// What a process that dies at this moment leaves behind.
fn left_behind(config: &Config) -> (TempDir, PathBuf) {
    let from = &config.export.spool.as_ref().unwrap().path;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("spool");
    copy(from, &to);
    (folder, to)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn what_a_lagging_sink_does_not_take_waits_on_disk_and_arrives_once() {
    let folder = tempfile::tempdir().unwrap();
    let down = unwilling();
    let mut config = spooled(&down, folder.path(), SpoolWhen::Overflow);
    config.export.queue.max_traces = 20;
    config.export.batch.max_traces = 7;
    let export = Export::open(&config);
    for id in 1..=200 {
        export.offer(id, "{}");
        // No faster than the encoder looks: the queue is for lags of the sink here.
        while export.handle.status().queue.traces > 10 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let sinks = export.wait(|sinks| sinks[0].kept == 200 && sinks[0].pending.spool > 180);
    assert!(sinks[0].dropped.is_empty(), "{sinks:?}");
    let spool = export.handle.status().destinations[0]
        .spool
        .clone()
        .unwrap();
    assert!(spool.bytes > 0 && spool.failing.is_none(), "{spool:?}");
    assert_eq!(export.metric("offpath_spool_bytes"), spool.bytes as f64);
    let drained = export.pipeline.drain(LONG);
    let expect = Drained {
        delivered: 0,
        dropped: 0,
        spooled: 200,
    };
    assert_eq!(drained, expect);
    // The next process, with a sink that takes them.
    let up = Stub::willing();
    let config = spooled(&up, folder.path(), SpoolWhen::Overflow);
    let export = Export::open(&config);
    let sinks = export.wait(exported(200));
    check_each_once(&up, 1..=200);
    assert_eq!((sinks[0].kept, sinks[0].since_start.recovered), (200, 200));
    export.offer(201, "{}");
    let sinks = export.wait(exported(201));
    assert_eq!((sinks[0].since_start.kept, sinks[0].pending.spool), (1, 0));
    assert_eq!(
        export.metric(r#"offpath_kept_total{because="ratio",route="r"}"#),
        201.0
    );
}

#[test]
fn files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let down = unwilling();
    let config = spooled(&down, folder.path(), SpoolWhen::Always);
    let export = Export::open(&config);
    export.offer(1, "{}");
    export.wait(|sinks| sinks[0].kept == 1);
    export.pipeline.drain(Duration::ZERO);
    let mut folders = vec![folder.path().join("spool")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{folder:?}");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{path:?}");
                files += 1;
            }
        }
    }
    // The lock, a segment, and the state.
    assert_eq!(files, 3);
}

#[test]
fn always_keeps_every_written_trace_through_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let stuck = Stub::start(|_| Answer {
        delay: LONG,
        ..status(200)
    });
    let config = spooled(&stuck, folder.path(), SpoolWhen::Always);
    let export = Export::open(&config);
    (1..=50).for_each(|id| export.offer(id, "{}"));
    let sinks = export.wait(|sinks| sinks[0].pending.queue == 0);
    assert_eq!(sinks[0].pending.spool + sinks[0].pending.in_flight, 50);
    let (_left, path) = left_behind(&config);
    let up = Stub::willing();
    let mut config = spooled(&up, folder.path(), SpoolWhen::Always);
    config.export.spool.as_mut().unwrap().path = path;
    let next = Export::open(&config);
    let sinks = next.wait(exported(50));
    check_each_once(&up, 1..=50);
    assert!(sinks[0].dropped.is_empty(), "{sinks:?}");
    drop(export.pipeline);
}

#[test]
fn what_died_in_memory_is_counted_as_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let stuck = Stub::start(|_| Answer {
        delay: LONG,
        ..status(200)
    });
    let config = spooled(&stuck, folder.path(), SpoolWhen::Overflow);
    let export = Export::open(&config);
    (1..=5).for_each(|id| export.offer(id, "{}"));
    export.wait(|sinks| sinks[0].pending.in_flight > 0);
    // The books are saved every second.
    let begun = Instant::now();
    let books = loop {
        let (left, path) = left_behind(&config);
        let states = fs::read_dir(&path).unwrap().filter_map(|entry| {
            let state = entry.unwrap().path().join("state");
            fs::read_to_string(state).ok()
        });
        if states
            .into_iter()
            .any(|state| state.contains(r#""kept":5"#))
        {
            break (left, path);
        }
        assert!(begun.elapsed() < super::stub::PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut config = spooled(&stuck, folder.path(), SpoolWhen::Overflow);
    config.export.spool.as_mut().unwrap().path = books.1;
    let next = Export::open(&config);
    let sinks = wait(&next.handle, |_| true);
    assert_eq!(
        (sinks[0].kept, &sinks[0].dropped),
        (5, &[("crash", 5)].into())
    );
    drop((export.pipeline, next.pipeline));
}

#[test]
fn a_poisoned_batch_from_disk_costs_the_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let down = unwilling();
    let export = Export::open(&spooled(&down, folder.path(), SpoolWhen::Always));
    (1..=16).for_each(|id| export.offer(id, "{}"));
    export.wait(|sinks| sinks[0].kept == 16 && sinks[0].pending.queue == 0);
    export.pipeline.drain(Duration::ZERO);
    let picky = Stub::start(|sent| {
        let poisoned = sent.traces().contains(&hex(11));
        status(if poisoned { 400 } else { 200 })
    });
    let export = Export::open(&spooled(&picky, folder.path(), SpoolWhen::Always));
    let sinks = export.wait(exported(15));
    assert_eq!(sinks[0].dropped, [("rejected", 1)].into());
    export.pipeline.drain(LONG);
    // All of it is settled: the next process finds nothing.
    let export = Export::open(&spooled(&picky, folder.path(), SpoolWhen::Always));
    let sinks = wait(&export.handle, |_| true);
    assert_eq!((sinks[0].kept, sinks[0].exported), (16, 15));
    assert_eq!(sinks[0].since_start.recovered, 0);
}

#[test]
fn a_batch_that_is_half_delivered_at_the_end_is_not_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let down = unwilling();
    let export = Export::open(&spooled(&down, folder.path(), SpoolWhen::Always));
    (1..=8).for_each(|id| export.offer(id, "{}"));
    export.wait(|sinks| sinks[0].kept == 8 && sinks[0].pending.queue == 0);
    export.pipeline.drain(Duration::ZERO);
    // Takes the first half, then nothing: the second half of the batch is left.
    let half = Stub::start(|sent| {
        status(match sent.traces() {
            traces if traces.len() == 8 => 400,
            traces if traces.contains(&hex(1)) => 200,
            _ => 503,
        })
    });
    let export = Export::open(&spooled(&half, folder.path(), SpoolWhen::Always));
    export.wait(exported(4));
    let drained = export.pipeline.drain(Duration::ZERO);
    assert_eq!((drained.spooled, drained.dropped), (4, 0));
    let up = Stub::willing();
    let export = Export::open(&spooled(&up, folder.path(), SpoolWhen::Always));
    let sinks = export.wait(exported(8));
    assert_eq!((sinks[0].kept, sinks[0].since_start.recovered), (8, 4));
    check_each_once(&up, 5..=8);
}

#[test]
fn past_the_quota_traces_wait_in_memory_and_then_the_newest_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let down = unwilling();
    let mut config = spooled(&down, folder.path(), SpoolWhen::Always);
    config.export.spool.as_mut().unwrap().max_bytes = 20_000;
    config.export.queue.max_traces = 4;
    let export = Export::open(&config);
    let offered = 60;
    for id in 1..=offered {
        export.offer(id, "x".repeat(1_000));
        // Encoded, or refused, before the next comes: what waits then waits for the sink.
        export.wait(|sinks| {
            let encoded = export.metric("offpath_encode_seconds_count") as u64;
            let refused = sinks[0].dropped.get("queue_full").copied();
            encoded + refused.unwrap_or(0) == id as u64
        });
    }
    let sinks = export.wait(|sinks| sinks[0].kept == offered as u64);
    let spool = export.handle.status().destinations[0]
        .spool
        .clone()
        .unwrap();
    assert!(spool.bytes <= 20_000 && spool.bytes > 15_000, "{spool:?}");
    assert_eq!(spool.failing.as_deref(), Some("the quota is used up"));
    assert_eq!(export.handle.status().queue.traces, 4);
    assert_eq!(sinks[0].dropped.keys().collect::<Vec<_>>(), [&"queue_full"]);
    assert!(sinks[0].dropped["queue_full"] >= 20, "{sinks:?}");
}

#[test]
fn traces_of_a_route_that_is_gone_are_delivered_and_counted_as_other() {
    let folder = tempfile::tempdir().unwrap();
    let down = unwilling();
    let mut config = spooled(&down, folder.path(), SpoolWhen::Always);
    config.routes[0].name = "gone".into();
    let export = Export::open(&config);
    (1..=3).for_each(|id| export.offer(id, "{}"));
    export.wait(|sinks| sinks[0].kept == 3 && sinks[0].pending.queue == 0);
    export.pipeline.drain(Duration::ZERO);
    let up = Stub::willing();
    let export = Export::open(&spooled(&up, folder.path(), SpoolWhen::Always));
    up.wait(|sent| sent.iter().flat_map(|sent| sent.traces()).count() == 3);
    let begun = Instant::now();
    loop {
        let status = export.handle.status();
        let other = status.routes.iter().find(|route| &*route.route == "other");
        let sink = &other.unwrap().sinks[0];
        if sink.exported == 3 {
            assert!(balances(sink) && sink.kept == 3, "{sink:?}");
            break;
        }
        assert!(begun.elapsed() < super::stub::PATIENCE, "{sink:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn one_destinations_outage_neither_delays_nor_displaces_another() {
    let folder = tempfile::tempdir().unwrap();
    let (down, up) = (unwilling(), Stub::willing());
    let sink = |name: &str, stub: &Stub| {
        format!(
            "{name}: {{type: otlp, endpoint: \"http://{}/v1/traces\", compression: none}}\n    ",
            stub.address
        )
    };
    let mut config = super::support::with_sinks(&format!("{}{}", sink("a", &down), sink("b", &up)));
    config.export.spool = spooled(&up, folder.path(), SpoolWhen::Overflow)
        .export
        .spool;
    config.export.queue.max_traces = 40;
    let export = Export::open(&config);
    for id in 1..=120 {
        export.offer(id, "{}");
        wait(&export.handle, |sinks| sinks[1].exported >= id as u64);
    }
    let sinks = export.wait(|sinks| sinks[1].exported == 120);
    assert!(
        sinks.iter().all(|sink| sink.dropped.is_empty()),
        "{sinks:?}"
    );
    assert!(sinks[0].pending.spool >= 100, "{sinks:?}");
    check_each_once(&up, 1..=120);
}

#[test]
fn a_spool_is_for_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let up = Stub::willing();
    let config = spooled(&up, folder.path(), SpoolWhen::Overflow);
    let _first = Export::open(&config);
    let second = crate::open(&config, &prometheus::Registry::new());
    assert!(matches!(second, Err(OpenError::Spool(_))));
}

#[test]
fn a_folder_that_cannot_be_made_costs_the_spool_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spool"), "a file").unwrap();
    let up = Stub::willing();
    let export = Export::open(&spooled(&up, folder.path(), SpoolWhen::Always));
    export.offer(1, "{}");
    export.wait(exported(1));
    assert!(export.handle.status().destinations[0].spool.is_none());
}

#[test]
fn a_second_signal_ends_a_drain_with_everything_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let stuck = Stub::start(|_| Answer {
        delay: LONG,
        ..status(200)
    });
    let export = Export::open(&spooled(&stuck, folder.path(), SpoolWhen::Overflow));
    (1..=30).for_each(|id| export.offer(id, "{}"));
    stuck.wait(|sent| !sent.is_empty());
    let hurry = export.pipeline.hurry();
    let drain = std::thread::spawn(move || export.pipeline.drain(LONG));
    hurry.now();
    let drained = drain.join().unwrap();
    assert_eq!((drained.spooled, drained.dropped), (30, 0));
}

#[test]
fn without_the_books_why_traces_were_kept_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let down = unwilling();
    let config = spooled(&down, folder.path(), SpoolWhen::Always);
    let export = Export::open(&config);
    (1..=5).for_each(|id| export.offer(id, "{}"));
    export.wait(|sinks| sinks[0].pending.queue == 0);
    export.pipeline.drain(Duration::ZERO);
    let shelves = fs::read_dir(folder.path().join("spool")).unwrap();
    let mut states = shelves.map(|shelf| shelf.unwrap().path().join("state"));
    fs::remove_file(states.find(|state| state.is_file()).unwrap()).unwrap();
    // What nobody knows is not made up a run later either.
    for kept in [6, 7] {
        let export = Export::open(&config);
        export.offer(kept, "{}");
        export.wait(|sinks| sinks[0].kept == kept as u64 && sinks[0].pending.queue == 0);
        let because = |why| {
            export.metric(&format!(
                "offpath_kept_total{{because=\"{why}\",route=\"r\"}}"
            ))
        };
        assert_eq!(
            (because("ratio"), because("unknown")),
            (kept as f64 - 5.0, 5.0)
        );
        export.pipeline.drain(Duration::ZERO);
    }
}
