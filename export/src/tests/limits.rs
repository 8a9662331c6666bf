//! The queue's bounds, and traces that are too large or too old.

use std::time::Duration;

use super::stub::{Stub, status};
use super::support::{Export, config, decode, eventually};
use crate::otlp::proto::Any;

#[test]
fn a_sink_that_is_down_fills_the_queue_to_its_limit_and_the_rest_is_counted() {
    let stub = Stub::start(|_| status(503));
    let mut config = config(&stub);
    config.export.queue.max_traces = 20;
    config.export.batch.max_traces = 5;
    // The first batch is full, however slowly they come.
    config.export.batch.linger = Duration::from_secs(3600);
    let export = Export::open(&config);
    (1..=50).for_each(|id| export.offer(id, "{}"));
    let sinks = export.wait(|sinks| sinks[0].pending.in_flight == 5);
    assert_eq!(sinks[0].kept, 50);
    assert_eq!(sinks[0].dropped, [("queue_full", 30)].into());
    assert_eq!(sinks[0].pending.queue, 15);
    assert_eq!(export.handle.status().queue.traces, 20);
    let pending = r#"offpath_traces_pending{route="r",sink="mlflow",where="queue"}"#;
    assert_eq!(export.metric(pending), 15.0);
}

#[test]
fn bytes_are_bounded_too_and_given_back_after_delivery() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.queue.max_bytes = 100_000;
    config.export.batch.linger = Duration::from_secs(3600);
    let export = Export::open(&config);
    (1..=4).for_each(|id| export.offer(id, "x".repeat(30_000)));
    // What does not fit loses its contents before anything is dropped.
    let degraded = r#"offpath_degraded_total{because="queue",route="r"}"#;
    let sinks = export.wait(|sinks| sinks[0].pending.queue == 4 && export.metric(degraded) >= 1.0);
    assert!(sinks[0].dropped.is_empty(), "{sinks:?}");
    let bytes = export.metric("offpath_queue_bytes");
    assert!((30_000.0..=100_000.0).contains(&bytes), "{bytes}");
    let (handle, pipeline) = (export.handle, export.pipeline);
    assert_eq!(pipeline.drain(Duration::from_secs(30)).delivered, 4);
    let queue = handle.status().queue;
    assert_eq!((queue.traces, queue.bytes), (0, 0));
}

#[test]
fn a_record_that_outgrows_the_queue_is_dropped_and_counted() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.queue.max_bytes = 10_000;
    let export = Export::open_with(&config, |exchange| {
        let (mut trace, defects) = decode(exchange);
        trace.spans[0]
            .attributes
            .push(("unpacked".into(), "x".repeat(20_000).into()));
        (trace, defects)
    });
    export.offer(1, "{}");
    let sinks = export.wait(|sinks| sinks[0].pending.queue == 0);
    assert_eq!(sinks[0].dropped, [("queue_bytes", 1)].into());
}

#[test]
fn a_trace_over_its_limit_keeps_a_preview_and_says_so() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.batch.max_trace = 4000;
    let export = Export::open(&config);
    // Two bytes a character: a cut in the middle of one would not be UTF-8.
    export.offer(1, "é".repeat(9000));
    export.wait(|sinks| sinks[0].exported == 1);
    let root = stub.seen()[0].spans().remove(0);
    let value = |key: &str| {
        let found = root
            .attributes
            .iter()
            .find(|attribute| attribute.key == key);
        found.unwrap().value.clone().unwrap().value.unwrap()
    };
    let Any::String(inputs) = value("mlflow.spanInputs") else {
        panic!("not a text")
    };
    let inputs: serde_json::Value = serde_json::from_slice(&inputs).unwrap();
    let expect = serde_json::json!({"offpath.body":
        {"truncated": true, "bytes": 18_000, "kept_bytes": 2000, "text": "é".repeat(1000)}});
    assert_eq!(inputs, expect);
    let Any::Array(defects) = value("offpath.defects") else {
        panic!("not a list")
    };
    assert_eq!(
        defects.values[0].value,
        Some(Any::String("trace_too_large".into()))
    );
    assert_eq!(
        export.metric(r#"offpath_defects_total{kind="trace_too_large"}"#),
        1.0
    );
}

#[test]
fn a_trace_that_is_too_large_without_its_contents_is_dropped() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.batch.max_trace = 50;
    let export = Export::open(&config);
    export.offer(1, "{}");
    let sinks = export.wait(|sinks| sinks[0].pending.queue == 0);
    assert_eq!(sinks[0].dropped, [("too_large", 1)].into());
}

#[test]
fn a_panic_while_decoding_costs_one_trace() {
    let stub = Stub::willing();
    let export = Export::open_with(&config(&stub), |exchange| {
        assert!(
            &*exchange.request.body.chunks[0].bytes != b"bad",
            "as the test wants it"
        );
        decode(exchange)
    });
    export.offer(1, "bad");
    export.offer(2, "{}");
    let sinks = export.wait(|sinks| sinks[0].exported == 1);
    assert_eq!(sinks[0].dropped, [("encode_panic", 1)].into());
    assert_eq!(export.handle.status().queue.traces, 0);
}

#[test]
fn what_a_sink_does_not_take_in_time_is_given_up() {
    let stub = Stub::start(|_| status(503));
    let mut config = config(&stub);
    config.export.retry.give_up_after = Duration::from_millis(100);
    let export = Export::open(&config);
    (1..=3).for_each(|id| export.offer(id, "{}"));
    let sinks = export.wait(|sinks| sinks[0].dropped.get("gave_up") == Some(&3));
    assert_eq!((sinks[0].pending.queue, sinks[0].pending.in_flight), (0, 0));
    assert!(!stub.seen().is_empty());
}

#[test]
fn an_exchange_that_does_not_fit_without_its_bodies_is_dropped_and_counted() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.queue.max_bytes = 200;
    let export = Export::open(&config);
    export.offer(1, "{}");
    let sinks = export.wait(|sinks| sinks[0].kept == 1);
    assert_eq!(sinks[0].dropped, [("queue_bytes", 1)].into());
}

#[test]
fn a_queue_that_fills_loses_contents_first_and_says_so() {
    let stub = Stub::start(|_| status(503));
    let mut config = config(&stub);
    config.export.queue.max_traces = 20;
    let export = Export::open(&config);
    for id in 1..=20 {
        export.offer(id, "word");
        export.wait(|sinks| sinks[0].pending.queue + sinks[0].pending.in_flight == id as u64);
        // Encoded before the next comes: pinned bodies have become records.
        eventually(|| export.metric("offpath_encode_seconds_count") == id as f64);
    }
    let degraded = r#"offpath_degraded_total{because="queue",route="r"}"#;
    assert_eq!(export.metric(degraded), 6.0);
    assert!(export.wait(|_| true)[0].dropped.is_empty());
}
