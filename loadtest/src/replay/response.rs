//! The content of a response: its JSON, assembled from the events of a stream, and token counts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sse::Splitter;

/// The token counts that a response reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct TokenCounts {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
}

/// Parses a body as JSON. A stream of chat completion chunks becomes the completion that they form.
pub(super) fn json(content_type: &[u8], body: &[u8]) -> Option<Value> {
    if content_type.starts_with(b"text/event-stream") {
        return assemble_stream(body);
    }
    serde_json::from_slice(body).ok()
}

/// Reads the token counts from `usage`, under the names of OpenAI's chat completions or of its
/// responses API, which other vendors share.
pub(super) fn token_counts(response: &Value) -> TokenCounts {
    let first = |names: [&str; 2]| {
        names
            .into_iter()
            .find_map(|name| response.get("usage")?.get(name)?.as_u64())
    };
    TokenCounts {
        input: first(["prompt_tokens", "input_tokens"]),
        output: first(["completion_tokens", "output_tokens"]),
    }
}

#[derive(Default)]
struct Choice {
    role: Option<Value>,
    content: String,
    /// The tool calls by index.
    calls: BTreeMap<u64, Call>,
    finish_reason: Value,
}

/// A tool call of a stream.
#[derive(Default)]
struct Call {
    /// The members of the call except the function.
    members: Map<String, Value>,
    name: Value,
    /// The arguments received so far.
    arguments: String,
}

fn assemble_stream(body: &[u8]) -> Option<Value> {
    let mut choices: BTreeMap<u64, Choice> = BTreeMap::new();
    let mut usage = Value::Null;
    let mut splitter = Splitter::default();
    splitter.push(body, |data| {
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            return;
        };
        if let Some(found) = event.get("usage").filter(|usage| !usage.is_null()) {
            usage = found.clone();
        }
        let Some(deltas) = event.get("choices").and_then(Value::as_array) else {
            return;
        };
        for choice in deltas {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            choices.entry(index).or_default().add(choice);
        }
    });
    if choices.is_empty() {
        return None;
    }
    let choices: Vec<Value> = choices
        .into_iter()
        .map(|(index, choice)| choice.whole(index))
        .collect();
    let mut whole = json!({"choices": choices});
    if let (Some(whole), false) = (whole.as_object_mut(), usage.is_null()) {
        whole.insert("usage".to_owned(), usage);
    }
    Some(whole)
}

impl Choice {
    fn add(&mut self, choice: &Value) {
        if let Some(reason) = choice
            .get("finish_reason")
            .filter(|reason| !reason.is_null())
        {
            self.finish_reason = reason.clone();
        }
        let Some(delta) = choice.get("delta") else {
            return;
        };
        if let Some(role) = delta.get("role") {
            self.role = Some(role.clone());
        }
        if let Some(text) = delta.get("content").and_then(Value::as_str) {
            self.content.push_str(text);
        }
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            let index = call.get("index").and_then(Value::as_u64).unwrap_or(0);
            self.calls.entry(index).or_default().add(call);
        }
    }

    fn whole(self, index: u64) -> Value {
        let calls: Vec<Value> = self.calls.into_values().map(Call::whole).collect();
        let mut message = Map::new();
        message.extend(self.role.map(|role| ("role".to_owned(), role)));
        if calls.is_empty() || !self.content.is_empty() {
            message.insert("content".to_owned(), self.content.into());
        }
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), calls.into());
        }
        json!({"index": index, "message": message, "finish_reason": self.finish_reason})
    }
}

impl Call {
    fn add(&mut self, delta: &Value) {
        for name in ["id", "type"] {
            if let Some(value) = delta.get(name) {
                self.members.insert(name.to_owned(), value.clone());
            }
        }
        if let Some(name) = delta.pointer("/function/name") {
            self.name = name.clone();
        }
        if let Some(arguments) = delta.pointer("/function/arguments").and_then(Value::as_str) {
            self.arguments.push_str(arguments);
        }
    }

    fn whole(mut self) -> Value {
        let function = json!({"name": self.name, "arguments": self.arguments});
        self.members.insert("function".to_owned(), function);
        Value::Object(self.members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_assembled_to_its_completion() {
        let events = [
            json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": "two "}}], "usage": null}),
            json!({"choices": [{"index": 0, "delta": {"content": "words"}}]}),
            json!({"choices": [{"index": 1, "delta": {"tool_calls": [
                {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}}]}),
            json!({"choices": [{"index": 1, "delta": {"tool_calls": [
                {"index": 0, "function": {"arguments": "}"}}]}, "finish_reason": "tool_calls"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}),
        ];
        let stream: String = events.map(|event| format!("data: {event}\n\n")).concat();
        let stream = format!("{stream}data: [DONE]\n\n");
        let found = json(b"text/event-stream; charset=utf-8", stream.as_bytes()).unwrap();
        let call =
            json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let expect = json!({
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "two words"}, "finish_reason": null},
                {"index": 1, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"},
            ],
            "usage": {"prompt_tokens": 4, "completion_tokens": 2},
        });
        assert_eq!(found, expect);
        let expect = TokenCounts {
            input: Some(4),
            output: Some(2),
        };
        assert_eq!(token_counts(&found), expect);
        assert_eq!(json(b"text/event-stream", b"data: x\n\n"), None);
        assert_eq!(json(b"application/json", b"[1]"), Some(json!([1])));
    }
}
