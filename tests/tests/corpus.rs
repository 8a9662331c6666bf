//! Recorded exchanges of real providers through the real gateway, each in several chunkings: the
//! response comes out byte for byte, and the trace's usage, model and finish reason are what the
//! recorded bodies say.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../../trace/tests/cassette/recording.rs"]
#[expect(dead_code, reason = "these recordings hold no trailers")]
mod recording;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use offpath_tests::{Collector, Gateway, Trace, Upstream, Wire, chunked};
use serde_json::{Value, json};

use self::recording::Recording;

/// Sizes of the chunks in which a response is sent, one after the other.
const CHUNKINGS: [&[usize]; 3] = [&[1 << 20], &[7], &[1, 300, 2, 4_000]];

/// The recorded fields, but for those that frame the body.
fn fields(pairs: &[(String, String)]) -> String {
    let framing = [
        "content-length",
        "transfer-encoding",
        "connection",
        "host",
        "trailer",
        "expect",
    ];
    let kept = pairs.iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !framing.contains(&name.as_str())
    });
    let lines = kept.map(|(name, value)| format!("{name}: {value}\r\n"));
    lines.collect()
}

fn request(recording: &Recording, at: usize, chunking: usize) -> Bytes {
    let head = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\nx-request-id: {at}-{chunking}\r\ncontent-length: {}\r\n{}\r\n",
        recording.method,
        recording.path,
        recording.host,
        recording.request.len(),
        fields(&recording.request_fields),
    );
    [head.as_bytes(), &recording.request].concat().into()
}

fn answer(recording: &Recording, sizes: &[usize]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {} Recorded\r\ntransfer-encoding: chunked\r\n{}\r\n",
        recording.status,
        fields(&recording.response_fields),
    );
    [head.as_bytes(), &chunked(&recording.response, sizes)].concat()
}

/// An upstream that plays what the request's id names.
async fn player(recordings: Arc<Vec<Recording>>) -> Upstream {
    Upstream::script(move |_, mut wire| {
        let recordings = Arc::clone(&recordings);
        async move {
            while let Some(head) = wire.try_head().await {
                let body = wire.body(&head).await;
                let id = head.field("x-request-id").unwrap_or_default();
                let (at, chunking) = id.split_once('-').unwrap();
                let recording = recordings.get(at.parse::<usize>().unwrap()).unwrap();
                assert!(
                    body == recording.request,
                    "{id}: the request is not as it was"
                );
                let chunking = CHUNKINGS.get(chunking.parse::<usize>().unwrap()).unwrap();
                wire.send(answer(recording, chunking)).await;
            }
        }
    })
    .await
}

#[derive(Default)]
struct Count {
    traces: usize,
    with_usage: usize,
    with_model: usize,
    with_reason: usize,
}

#[tokio::test]
async fn recorded_exchanges_pass_unchanged_and_are_told_as_recorded() {
    check(recording::chosen()).await;
}

#[tokio::test]
#[ignore = "needs the folder of all recordings, which OFFPATH_CORPUS names"]
async fn all_recorded_exchanges_pass_unchanged_and_are_told_as_recorded() {
    check(recording::all()).await;
}

async fn check(recordings: Vec<Recording>) {
    let recordings = Arc::new(recordings);
    let upstream = player(Arc::clone(&recordings)).await;
    let collector = Collector::start().await;
    let gateway = Gateway::before(upstream.url())
        .set("export/queue", json!({"max_bytes": "1GiB"}))
        .collect(&collector)
        .start()
        .await;
    let mut client = Wire::connect(gateway.address()).await;
    let mut sent = 0;
    for (at, recording) in recordings.iter().enumerate() {
        for chunking in 0..CHUNKINGS.len() {
            let (_, body) = client.exchange(request(recording, at, chunking)).await;
            assert!(
                body == recording.response,
                "{}: bytes differ",
                recording.name()
            );
            sent += 1;
        }
    }
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for trace in collector.wait_for(sent).await {
        let id = trace.text("offpath.request_id");
        let at: usize = id.split('-').next().unwrap().parse().unwrap();
        let recording = &recordings[at];
        let told = |key: &str| attribute(&trace, key);
        let told_of = |key: &str| usize::from(told(key).is_some());
        let count = counts.entry(&recording.wire).or_default();
        count.traces += 1;
        count.with_usage += told_of("mlflow.chat.tokenUsage");
        count.with_model += told_of("mlflow.llm.model");
        count.with_reason += told_of("gen_ai.response.finish_reasons");
        wrong.extend(recording.faults(told));
    }
    eprintln!("{:40} traces usage  model reason", "wire");
    for (wire, count) in counts {
        eprintln!(
            "{wire:40} {:>6} {:>5} {:>6} {:>6}",
            count.traces, count.with_usage, count.with_model, count.with_reason
        );
    }
    eprintln!(
        "{sent} responses byte for byte, {} mismatches of usage, model or finish reason",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An attribute of the upstream span as text, of a list with commas between.
fn attribute(trace: &Trace, key: &str) -> Option<String> {
    Some(match trace.call.as_ref()?.attributes.get(key)? {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items = list.iter().map(|item| item.as_str().unwrap());
            items.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    })
}
