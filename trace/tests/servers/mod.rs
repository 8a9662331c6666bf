//! Recorded exchanges of real model servers through `decode`, each in several chunkings, and every
//! word that their traces say of them beside the bodies.
//!
//! `tools/record` makes the recordings. What is expected of them stands beside each file;
//! `UPDATE_GOLDEN=1` writes what was got instead.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use offpath_trace::{Defect, Plan, Span, Trace, Value, decode};

use crate::cassette::{self, Chunking, Recording};

/// What is alike in all traces, or of the run.
const SAME: [&str; 17] = [
    "client.",
    "http.request.",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.traceTag.",
    "network.",
    "offpath.first_byte",
    "offpath.kept_because",
    "offpath.overhead",
    "offpath.request",
    "offpath.response",
    "offpath.route",
    "offpath.tokens_per_second",
    "offpath.version",
    "offpath.weight",
    "server.",
    "url.",
];

fn decoded(recording: &Recording, chunking: Chunking) -> (Trace, Vec<Defect>) {
    let mut exchange = cassette::exchange(recording, chunking);
    exchange.plan = Arc::new(Plan {
        statistics: true,
        ..(*exchange.plan).clone()
    });
    decode(&exchange)
}

/// A line per fact; an answer that was put together from its pieces, too.
fn shown(recording: &Recording, trace: &Trace, defects: &[Defect]) -> String {
    let (root, upstream) = (&trace.spans[0], &trace.spans[1]);
    let mut text = format!("{}\n", recording.id);
    let mut tell = |key: &str, value: &str| {
        writeln!(text, "  {key} = {}", value.replace('\n', "\\n")).unwrap();
    };
    tell("status", &format!("{:?}", root.status));
    tell("call", &upstream.name);
    for (key, value) in &root.attributes {
        if !SAME.iter().any(|same| key.starts_with(same)) {
            tell(key, &said(value));
        }
    }
    for (key, value) in &upstream.attributes {
        let new = attribute(root, key).is_none_or(|known| known != said(value));
        if new && !SAME.iter().any(|same| key.starts_with(same)) {
            tell(key, &said(value));
        }
    }
    if recording.kind == "sse" {
        tell("outputs", &attribute(root, "mlflow.spanOutputs").unwrap());
    }
    if !defects.is_empty() {
        tell("defects", &format!("{defects:?}"));
    }
    text
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let mut found = span.attributes.iter().filter(|(name, _)| name == key);
    found.next().map(|(_, value)| said(value))
}

fn said(value: &Value) -> String {
    match value {
        Value::Text(text) => text.as_str().to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Texts(list) => format!(
            "{:?}",
            list.iter().map(|text| text.as_str()).collect::<Vec<_>>()
        ),
    }
}

#[track_caller]
fn check(server: &str) {
    let file = |end| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/servers");
        folder.join(format!("{server}.{end}"))
    };
    let recordings = cassette::read(&file("jsonl"));
    assert!(!recordings.is_empty());
    let mut got = String::new();
    for recording in &recordings {
        let (trace, defects) = decoded(recording, Chunking::Whole);
        got += &shown(recording, &trace, &defects);
        check_model_and_reasons(recording, &trace);
        for chunking in [Chunking::Events, Chunking::Bytes(7), Chunking::Bytes(1)] {
            let (split, found) = decoded(recording, chunking);
            let same = format!("{:?}", split.spans) == format!("{:?}", trace.spans);
            assert!(
                same && found == defects,
                "{}: {chunking:?}",
                recording.name()
            );
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file("trace"), &got).unwrap();
    }
    let expect = std::fs::read_to_string(file("trace")).unwrap();
    assert_eq!(got, expect, "\n{got}");
}

/// Against a reader of the bodies that shares nothing with what is tested.
#[track_caller]
fn check_model_and_reasons(recording: &Recording, trace: &Trace) {
    if !recording.wire.starts_with("openai.") && recording.wire != "anthropic.messages" {
        return;
    }
    let name = recording.name();
    let (models, reasons) = (recording.models(), recording.finish_reasons());
    let model = attribute(&trace.spans[1], "mlflow.llm.model");
    assert_eq!(model.is_some(), !models.is_empty(), "{name}: {models:?}");
    assert!(model.is_none_or(|model| models.contains(&model)), "{name}");
    let told = attribute(&trace.spans[1], "gen_ai.response.finish_reasons");
    let expect = (!reasons.is_empty()).then(|| format!("{:?}", Vec::from_iter(&reasons)));
    assert_eq!(told, expect, "{name}");
}

#[test]
fn llama_cpp_is_told_word_for_word() {
    check("llama");
}

#[test]
fn kserve_is_told_word_for_word() {
    check("kserve");
}

#[test]
fn triton_is_told_word_for_word() {
    check("triton");
}

#[test]
fn mlflows_model_server_is_told_word_for_word() {
    check("mlflow");
}
