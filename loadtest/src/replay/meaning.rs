//! What an answer amounts to: its JSON, a stream's events put together, its token counts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sse::Splitter;

/// Token counts of an answer, where it states them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tokens {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
}

/// An answer's body as JSON; a stream of chat completion chunks as the completion that they make.
pub(super) fn json_of(content_type: &[u8], body: &[u8]) -> Option<Value> {
    if content_type.starts_with(b"text/event-stream") {
        return folded(body);
    }
    serde_json::from_slice(body).ok()
}

/// What `usage` says, in OpenAI's words or in the others'.
pub(super) fn tokens(answer: &Value) -> Tokens {
    let of = |names: [&str; 2]| {
        let mut names = names.into_iter();
        names.find_map(|name| answer.get("usage")?.get(name)?.as_u64())
    };
    Tokens {
        input: of(["prompt_tokens", "input_tokens"]),
        output: of(["completion_tokens", "output_tokens"]),
    }
}

#[derive(Default)]
struct Choice {
    role: Option<Value>,
    content: String,
    /// By index: the call without its arguments, and those.
    calls: BTreeMap<u64, (Map<String, Value>, String)>,
    finish_reason: Value,
}

fn folded(body: &[u8]) -> Option<Value> {
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
        for choice in event
            .get("choices")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
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
            let (head, arguments) = self.calls.entry(index).or_default();
            for name in ["id", "type"] {
                if let Some(value) = call.get(name) {
                    head.insert(name.to_owned(), value.clone());
                }
            }
            let function = call.get("function");
            if let Some(name) = function.and_then(|function| function.get("name")) {
                head.insert("name".to_owned(), name.clone());
            }
            let piece = function.and_then(|function| function.get("arguments"));
            arguments.push_str(piece.and_then(Value::as_str).unwrap_or_default());
        }
    }

    fn whole(self, index: u64) -> Value {
        let calls: Vec<Value> = self
            .calls
            .into_values()
            .map(|(mut head, arguments)| {
                let name = head.remove("name").unwrap_or_default();
                let function = json!({"name": name, "arguments": arguments});
                head.insert("function".to_owned(), function);
                Value::Object(head)
            })
            .collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_amounts_to_its_completion() {
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
        let found = json_of(b"text/event-stream; charset=utf-8", stream.as_bytes()).unwrap();
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
        let expect = Tokens {
            input: Some(4),
            output: Some(2),
        };
        assert_eq!(tokens(&found), expect);
        assert_eq!(json_of(b"text/event-stream", b"data: x\n\n"), None);
        assert_eq!(json_of(b"application/json", b"[1]"), Some(json!([1])));
    }
}
