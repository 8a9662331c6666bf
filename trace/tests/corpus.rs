//! Recorded exchanges of real providers through `decode`, each in several chunkings: what a trace
//! says of usage, model and finish reason is what the recorded body says.
//!
//! The recordings are not part of this repository. They are looked for in the folder that
//! `OFFPATH_CORPUS` names, or else in `shared/data/cassettes` beside the checkout; where there is
//! none, this says so and checks nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and says what it read"
)]

mod cassette;
mod servers;

use std::collections::BTreeMap;

use offpath_trace::{Trace, Value, decode};
use serde_json::Value as Json;

use self::cassette::{Cassette, Chunking};

/// Where the recorded figures, read by another program, are wrong and the body is right: a
/// guardrail blocked the input, and the one event counts 6 tokens in and 3 out.
const DISPUTED: [&str; 1] = ["f07ba048eb496284"];

/// What a trace says in the words of the recordings.
fn usage_of(trace: &Trace) -> BTreeMap<&'static str, i64> {
    let mut usage = BTreeMap::new();
    let Some(text) = attribute(trace, "mlflow.chat.tokenUsage") else {
        return usage;
    };
    let json: Json = serde_json::from_str(&text).unwrap();
    for (key, name) in [
        ("input_tokens", "input"),
        ("output_tokens", "output"),
        ("total_tokens", "total"),
        ("cache_read_input_tokens", "cache_read"),
        ("cache_creation_input_tokens", "cache_write"),
    ] {
        if let Some(count) = json.get(key) {
            usage.insert(name, count.as_i64().unwrap());
        }
    }
    let reasoning = attribute(trace, "gen_ai.usage.reasoning.output_tokens");
    usage.extend(reasoning.map(|count| ("reasoning", count.parse().unwrap())));
    usage
}

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
    let Some(cassettes) = cassette::all() else {
        println!("SKIPPED: no recorded exchanges here (OFFPATH_CORPUS names the folder)");
        return;
    };
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut wrong = Vec::new();
    for cassette in &cassettes {
        let whole = decode(&cassette.exchange(Chunking::Whole)).0;
        let count = counts
            .entry(format!("{} ({})", cassette.wire, cassette.kind))
            .or_default();
        count.exchanges += 1;
        check(cassette, &whole, count, &mut wrong);
        for chunking in [Chunking::Events, Chunking::Bytes(7), Chunking::Bytes(1)] {
            let (split, _) = decode(&cassette.exchange(chunking));
            if shown(&split) != shown(&whole) {
                wrong.push(format!(
                    "{}: {chunking:?} differs from whole",
                    cassette.name()
                ));
            }
        }
    }
    println!("wire                                            exchanges usage model reason");
    for (wire, count) in &counts {
        println!(
            "{wire:48} {:>8} {:>5} {:>5} {:>6}",
            count.exchanges, count.with_usage, count.with_model, count.with_reason
        );
    }
    println!("{} exchanges in 4 chunkings each", cassettes.len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(cassette: &Cassette, trace: &Trace, count: &mut Count, wrong: &mut Vec<String>) {
    let name = cassette.name();
    let disputed = DISPUTED.contains(&cassette.id.as_str());
    let usage = usage_of(trace);
    // The other program did not know every name for what was read from a cache.
    let mut known = usage.clone();
    known.retain(|key, _| cassette.usage.contains_key(key) || !key.starts_with("cache"));
    if known != cassette.usage && !disputed {
        wrong.push(format!(
            "{name}: usage {usage:?}, recorded {:?}",
            cassette.usage
        ));
    }
    count.with_usage += usize::from(!usage.is_empty());

    let model = attribute(trace, "mlflow.llm.model");
    let told = cassette.models();
    if !told.is_empty() && !model.as_ref().is_some_and(|model| told.contains(model)) {
        wrong.push(format!("{name}: model {model:?}, the bodies say {told:?}"));
    }
    count.with_model += usize::from(model.is_some());

    let reasons = attribute(trace, "gen_ai.response.finish_reasons");
    let told = cassette.finish_reasons();
    let reasons: Vec<_> = reasons.iter().flat_map(|list| list.split(',')).collect();
    let fit = reasons.iter().all(|reason| told.contains(*reason));
    if !fit || reasons.is_empty() != told.is_empty() {
        wrong.push(format!("{name}: ended {reasons:?}, the body says {told:?}"));
    }
    count.with_reason += usize::from(!reasons.is_empty());
}
