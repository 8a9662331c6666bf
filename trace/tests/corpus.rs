//! Recorded exchanges of real providers through `decode`, each in several chunkings: what a trace
//! says of usage, model and finish reason is what the recorded body says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and says what it read"
)]

mod cassette;
mod servers;

use std::collections::BTreeMap;

use offpath_trace::{Trace, Value, decode};

use self::cassette::{Chunking, Recording, exchange};

fn attribute(trace: &Trace, key: &str) -> Option<String> {
    let attributes = &trace.spans[1].attributes;
    let value = attributes.iter().find(|(name, _)| name == key);
    value.map(|(_, value)| match value {
        Value::Text(text) => text.as_str().to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Texts(list) => list
            .iter()
            .map(|text| text.as_str())
            .collect::<Vec<_>>()
            .join(","),
        other => format!("{other:?}"),
    })
}

/// Everything that a trace says, times of pieces aside: they are the chunks' own.
fn shown(trace: &Trace) -> String {
    let mut text = String::new();
    for span in &trace.spans {
        text += &format!("{} {:?}\n", span.name, span.status);
        for (key, value) in &span.attributes {
            text += &format!("{key} = {value:?}\n");
        }
    }
    text
}

#[derive(Default)]
struct Count {
    exchanges: usize,
    with_usage: usize,
    with_model: usize,
    with_reason: usize,
}

#[test]
fn recorded_exchanges_are_read_as_their_bodies_have_it() {
    check(&cassette::chosen());
}

#[test]
#[ignore = "needs the folder of all recordings, which OFFPATH_CORPUS names"]
fn all_recorded_exchanges_are_read_as_their_bodies_have_it() {
    check(&cassette::all());
}

fn check(cassettes: &[Recording]) {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut wrong = Vec::new();
    for cassette in cassettes {
        let whole = decode(&exchange(cassette, Chunking::Whole)).0;
        let count = counts
            .entry(format!("{} ({})", cassette.wire, cassette.kind))
            .or_default();
        count.exchanges += 1;
        let told = |key: &str| attribute(&whole, key);
        let told_of = |key: &str| usize::from(told(key).is_some());
        count.with_usage += told_of("mlflow.chat.tokenUsage");
        count.with_model += told_of("mlflow.llm.model");
        count.with_reason += told_of("gen_ai.response.finish_reasons");
        wrong.extend(cassette.faults(told));
        if whole
            .fitted()
            .is_some_and(|(_, defects)| defects.is_empty())
        {
            let name = cassette.name();
            wrong.push(format!(
                "{name}: an attribute that is JSON is taken for words"
            ));
        }
        for chunking in [Chunking::Events, Chunking::Bytes(7), Chunking::Bytes(1)] {
            let (split, _) = decode(&exchange(cassette, chunking));
            if shown(&split) != shown(&whole) {
                wrong.push(format!(
                    "{}: {chunking:?} differs from whole",
                    cassette.name()
                ));
            }
        }
    }
    eprintln!("wire                                            exchanges usage model reason");
    for (wire, count) in &counts {
        eprintln!(
            "{wire:48} {:>8} {:>5} {:>5} {:>6}",
            count.exchanges, count.with_usage, count.with_model, count.with_reason
        );
    }
    eprintln!("{} exchanges in 4 chunkings each", cassettes.len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
