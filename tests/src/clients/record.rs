//! What a trace says of an answer beside what its client said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Trace;

/// Where the trace and the client's row (`py/clients/plan.py`) differ. What a client does not tell is
/// null in its row.
pub(super) fn differences(trace: &Trace, seen: &Value) -> Vec<String> {
    let outputs = outputs(trace);
    let recorded = json!({
        "text": text(&outputs),
        "calls": calls(&outputs),
        "finish": finish(trace),
        "usage": usage(trace),
        "vector": vector(&outputs),
    });
    let seen = seen.as_object().expect("a row is an object");
    let told = seen.iter().filter(|(_, value)| !value.is_null());
    let differs = told.filter(|(key, value)| recorded[*key] != in_openais_words(value));
    differs
        .map(|(key, value)| format!("{key}: {}, the client saw {value}", recorded[key]))
        .collect()
}

/// Where the text that came before the client left differs. Of an answer that is no stream it has none.
pub(super) fn text_differs(trace: &Trace, seen: &Value) -> Vec<String> {
    let recorded = text(&outputs(trace));
    let differs = seen["text"] != "" && seen["text"] != recorded;
    let words = || format!("text: {recorded}, the client saw {}", seen["text"]);
    differs.then(words).into_iter().collect()
}

fn outputs(trace: &Trace) -> Value {
    serde_json::from_str(&trace.text("mlflow.spanOutputs")).unwrap_or_default()
}

/// LiteLLM translates Anthropic's reasons to stop.
fn in_openais_words(value: &Value) -> Value {
    match value.as_str() {
        Some("end_turn") => "stop".into(),
        Some("max_tokens") => "length".into(),
        _ => value.clone(),
    }
}

/// The items of a list; none where it is none.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// All text of an answer of whichever API.
fn text(outputs: &Value) -> String {
    let choices = list(&outputs["choices"])
        .flat_map(|choice| [&choice["text"], &choice["message"]["content"]]);
    let blocks = list(&outputs["content"]).map(|block| &block["text"]);
    let items = list(&outputs["output"]).flat_map(|item| list(&item["content"]));
    let parts = items.map(|part| &part["text"]);
    choices
        .chain([&outputs["text_output"]])
        .chain(blocks)
        .chain(parts)
        .filter_map(Value::as_str)
        .collect()
}

/// Names and arguments of the functions that are called.
fn calls(outputs: &Value) -> Value {
    let chat = list(&outputs["choices"])
        .flat_map(|choice| list(&choice["message"]["tool_calls"]))
        .map(|call| json!([call["function"]["name"], call["function"]["arguments"]]));
    let responses = list(&outputs["output"])
        .filter(|item| item["type"] == "function_call")
        .map(|call| json!([call["name"], call["arguments"]]));
    chat.chain(responses).collect()
}

fn finish(trace: &Trace) -> Value {
    let call = trace.call.as_ref().expect("there was an upstream call");
    let reasons = call.attributes.get("gen_ai.response.finish_reasons");
    in_openais_words(reasons.map_or(&Value::Null, |reasons| &reasons[0]))
}

/// Input and output tokens.
fn usage(trace: &Trace) -> Value {
    let call = trace.call.as_ref().expect("there was an upstream call");
    let usage = call
        .attributes
        .get("mlflow.chat.tokenUsage")
        .and_then(Value::as_str);
    let usage: Value = serde_json::from_str(usage.unwrap_or("null")).expect("usage is JSON");
    json!([usage["input_tokens"], usage["output_tokens"]])
}

/// The numbers of an embedding, in either encoding, or of a tensor.
fn vector(outputs: &Value) -> Value {
    let embedding = &outputs["data"][0]["embedding"];
    let Some(coded) = embedding.as_str() else {
        return [embedding, &outputs["outputs"][0]["data"]]
            .into_iter()
            .find(|numbers| numbers.is_array())
            .cloned()
            .unwrap_or_default();
    };
    let bytes = STANDARD.decode(coded).expect("an embedding is base64");
    let numbers = bytes.chunks_exact(4);
    numbers
        .map(|number| f32::from_le_bytes(number.try_into().expect("four bytes")))
        .collect()
}
