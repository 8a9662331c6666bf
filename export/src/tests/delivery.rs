//! What sinks are sent, and what their answers do.

use std::collections::BTreeSet;
use std::time::Duration;

use prost::Message;

use super::stub::{Answer, Sent, Stub, status};
use super::support::{Export, config, hex, with_sinks};
use crate::DestinationState;
use crate::otlp::proto::{Any, ExportTraceServiceRequest};

const LONG: Duration = Duration::from_secs(3600);

fn batch_sizes(sent: &[Sent]) -> Vec<usize> {
    sent.iter().map(|sent| sent.traces().len()).collect()
}

#[test]
fn a_batch_leaves_when_it_has_enough_traces() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.batch.linger = LONG;
    config.export.batch.max_traces = 3;
    let export = Export::open(&config);
    (1..=7).for_each(|id| export.offer(id, "{}"));
    export.wait(|sinks| sinks[0].exported == 6);
    assert_eq!(batch_sizes(&stub.seen()), [3, 3]);
    let drained = export.pipeline.drain(LONG);
    assert_eq!((drained.delivered, drained.dropped), (1, 0));
    assert_eq!(batch_sizes(&stub.seen()), [3, 3, 1]);
}

#[test]
fn a_batch_leaves_when_it_has_enough_bytes_and_a_large_trace_goes_alone() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.batch.linger = LONG;
    config.export.batch.max_bytes = 4000;
    let export = Export::open(&config);
    export.offer(1, "x".repeat(1500));
    export.offer(2, "x".repeat(1500));
    export.offer(3, "x".repeat(9000));
    export.offer(4, "x".repeat(3900));
    export.wait(|sinks| sinks[0].exported == 4);
    assert_eq!(batch_sizes(&stub.seen()), [2, 1, 1]);
}

#[test]
fn a_lone_trace_leaves_after_its_linger() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.export.batch.linger = Duration::from_millis(300);
    let export = Export::open(&config);
    let offered = std::time::Instant::now();
    export.offer(1, "{}");
    let sent = stub.wait(|sent| sent.len() == 1);
    assert!(sent[0].at - offered >= Duration::from_millis(300));
}

#[test]
fn what_arrives_is_what_was_encoded() {
    let stub = Stub::willing();
    let export = Export::open(&config(&stub));
    export.offer(7, r#"{"a": 1}"#);
    export.wait(|sinks| sinks[0].exported == 1);
    let sent = stub.seen().remove(0);
    assert_eq!(sent.path, "/v1/traces");
    assert_eq!(sent.header("content-type"), "application/x-protobuf");
    assert_eq!(sent.header("content-length"), sent.body.len().to_string());
    assert_eq!(sent.header("x-mlflow-experiment-id"), "0");
    assert_eq!(
        sent.request().encode_to_vec(),
        sent.body,
        "unknown or unordered fields"
    );
    assert_eq!(
        sent.request().resource_spans[0].resource,
        None,
        "MLflow makes tags of it"
    );
    let [root, child] = sent.spans().try_into().unwrap();
    assert_eq!(root.trace_id, child.trace_id);
    assert_eq!(root.span_id, child.parent_span_id);
    assert_eq!((root.kind, child.kind), (2, 3));
    assert_eq!(
        root.end_time_unix_nano - root.start_time_unix_nano,
        80_000_000
    );
    assert_eq!(root.attributes[0].key, "mlflow.spanInputs");
    let inputs = root.attributes[0].value.clone().unwrap().value.unwrap();
    assert_eq!(inputs, Any::String(r#"{"a": 1}"#.into()));
    assert_eq!(
        export.metric(r#"offpath_tokens_total{kind="input",route="r"}"#),
        12.0
    );
}

#[test]
fn a_busy_sink_is_sent_the_same_bytes_again() {
    let stub = Stub::start(|sent| status(if sent.nth < 3 { 503 } else { 200 }));
    let export = Export::open(&config(&stub));
    export.offer(1, "{}");
    export.wait(|sinks| sinks[0].exported == 1);
    let sent = stub.seen();
    assert_eq!(sent.len(), 4);
    assert!(
        sent.iter()
            .all(|again| again.body == sent[0].body && !again.body.is_empty())
    );
    let destination = export.handle.status().destinations.remove(0);
    assert_eq!(
        (destination.state, destination.failures),
        (DestinationState::Up, 0)
    );
    assert_eq!(
        destination.last_error.as_deref(),
        Some("503 Service Unavailable")
    );
}

#[test]
fn a_sink_that_asks_for_time_gets_it() {
    let wait = || vec![("retry-after", "1".to_owned())];
    let stub = Stub::start(move |sent| match sent.nth {
        0 => Answer {
            headers: wait(),
            ..status(429)
        },
        _ => status(200),
    });
    let mut config = config(&stub);
    config.export.retry.max = LONG;
    let export = Export::open(&config);
    export.offer(1, "{}");
    export.wait(|sinks| sinks[0].exported == 1);
    let sent = stub.seen();
    assert!(sent[1].at - sent[0].at >= Duration::from_secs(1));
}

#[test]
fn a_poisoned_batch_loses_its_bad_traces_alone() {
    let bad = BTreeSet::from([hex(5), hex(11)]);
    let poison = bad.clone();
    let stub = Stub::start(move |sent| {
        let poisoned = sent.traces().iter().any(|trace| poison.contains(trace));
        status(if poisoned { 422 } else { 200 })
    });
    let mut config = config(&stub);
    config.export.batch.linger = LONG;
    config.export.batch.max_traces = 16;
    let export = Export::open(&config);
    (1..=16).for_each(|id| export.offer(id, "{}"));
    let sinks = export.wait(|sinks| sinks[0].pending.queue + sinks[0].pending.in_flight == 0);
    assert_eq!(sinks[0].exported, 14);
    assert_eq!(sinks[0].dropped, [("rejected", 2)].into());
    let rejected = r#"offpath_traces_dropped_total{reason="rejected",route="r",sink="mlflow"}"#;
    assert_eq!(export.metric(rejected), 2.0);
    // What was taken came in exactly one request that was taken.
    let taken = |sent: &Sent| sent.traces().iter().all(|trace| !bad.contains(trace));
    let mut stored: Vec<_> = stub
        .seen()
        .iter()
        .filter(|sent| taken(sent))
        .flat_map(Sent::traces)
        .collect();
    stored.sort();
    let good = (1..=16).map(hex).filter(|trace| !bad.contains(trace));
    assert_eq!(stored, good.collect::<Vec<_>>());
}

#[test]
fn wrong_credentials_keep_the_traces_until_they_are_right() {
    let stub = Stub::start(|sent| status(if sent.nth < 5 { 401 } else { 200 }));
    let export = Export::open(&config(&stub));
    (1..=3).for_each(|id| export.offer(id, "{}"));
    export.wait(|sinks| sinks[0].exported == 3);
    let all_the_same = stub.seen()[..6]
        .windows(2)
        .all(|pair| pair[0].body == pair[1].body);
    assert!(all_the_same, "a batch was cut for what is not its fault");
}

#[test]
fn credentials_and_headers_are_sent() {
    let stub = Stub::willing();
    let sink = |auth| {
        with_sinks(&format!(
            "mlflow: {{type: mlflow, tracking_uri: \"http://{}/base\", {auth}, headers: {{x-a: b}}}}",
            stub.address
        ))
    };
    for (auth, expect) in [
        ("token: secret", "Bearer secret"),
        ("username: user, password: pass", "Basic dXNlcjpwYXNz"),
    ] {
        let before = stub.seen().len();
        let export = Export::open(&sink(auth));
        export.offer(1, "{}");
        let sent = stub.wait(|sent| sent.len() > before);
        assert_eq!(sent[before].header("authorization"), expect);
        assert_eq!(sent[before].header("x-a"), "b");
        assert_eq!(sent[before].path, "/base/v1/traces");
    }
}

#[test]
fn each_of_two_sinks_gets_every_trace_in_its_own_way_and_time() {
    let down = Stub::start(|_| status(503));
    let collector = Stub::willing();
    let config = with_sinks(&format!(
        "mlflow: {{type: mlflow, tracking_uri: \"http://{}\"}}\n    \
         collector: {{type: otlp, endpoint: \"http://{}/v1/traces\"}}",
        down.address, collector.address,
    ));
    let export = Export::open(&config);
    (1..=3).for_each(|id| export.offer(id, "{}"));
    let sinks = export.wait(|sinks| sinks.iter().any(|sink| sink.exported == 3));
    let by_name = |name: &str| sinks.iter().find(|sink| &*sink.sink == name).unwrap();
    assert_eq!(
        by_name("collector").pending.queue + by_name("collector").pending.in_flight,
        0
    );
    assert_eq!(by_name("mlflow").exported, 0);
    assert_eq!(
        export.handle.status().queue.traces,
        3,
        "the other sink still holds them"
    );
    let sent = collector.seen().remove(0);
    assert_eq!(sent.header("content-encoding"), "gzip");
    assert_eq!(sent.header("x-mlflow-experiment-id"), "");
    let mut plain = Vec::new();
    let mut decoder = flate2::write::GzDecoder::new(&mut plain);
    std::io::Write::write_all(&mut decoder, &sent.body).unwrap();
    decoder.finish().unwrap();
    let request = ExportTraceServiceRequest::decode(plain.as_slice()).unwrap();
    let resource = request.resource_spans[0].resource.clone().unwrap();
    assert_eq!(resource.attributes[0].key, "service.name");
}
