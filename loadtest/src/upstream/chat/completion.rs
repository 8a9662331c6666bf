//! One chat completion, serialized as a whole or as events.

use std::hash::{DefaultHasher, Hasher as _};
use std::iter;

use bytes::Bytes;
use serde_json::{Value, json};

use super::request::ChatRequest;
use crate::bodies::{WORDS, text};

/// Creation time of every completion. It is constant so that equal requests get equal responses.
const CREATED: u64 = 1_760_000_000;

/// A completion. It depends only on the request.
pub(super) struct Completion {
    id: String,
    model: String,
    prompt_tokens: usize,
    tokens: usize,
    /// Name of the called function; `None` for a completion with text.
    function: Option<String>,
    finish_reason: &'static str,
}

impl Completion {
    pub(super) fn new(request: &ChatRequest<'_>, body: &Bytes, tokens: usize) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(body);
        let function = request.called_function().map(str::to_owned);
        let finish_reason = match &function {
            Some(_) => "tool_calls",
            None if request.tokens_max() < tokens => "length",
            None => "stop",
        };
        Self {
            id: format!("{:016x}", hasher.finish()),
            model: request.model.clone().into_owned(),
            prompt_tokens: request.prompt_words(),
            tokens: tokens.min(request.tokens_max()),
            function,
            finish_reason,
        }
    }

    /// Returns the `chat.completion` object.
    pub(super) fn whole(&self) -> Value {
        let text = text(self.tokens);
        let message = match &self.function {
            None => json!({"role": "assistant", "content": text}),
            Some(name) => {
                let function =
                    json!({"name": name, "arguments": json!({"query": text}).to_string()});
                let call = json!({"id": self.call_id(), "type": "function", "function": function});
                json!({"role": "assistant", "content": null, "tool_calls": [call]})
            }
        };
        json!({
            "id": format!("chatcmpl-{}", self.id),
            "object": "chat.completion",
            "created": CREATED,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": self.finish_reason,
            }],
            "usage": self.usage(),
        })
    }

    /// Returns the events of a stream, including `data: ` and the blank line: the role, the tokens,
    /// the finish reason, the usage if `with_usage`, and `[DONE]`.
    pub(super) fn events(self, with_usage: bool) -> impl Iterator<Item = Bytes> + Send + 'static {
        let usage_field = if with_usage { r#","usage":null"# } else { "" };
        let start = self.event_start();
        let event = move |delta: &str, reason: &str| {
            let choice = format!(r#"{{"index":0,"delta":{delta},"finish_reason":{reason}}}"#);
            Bytes::from(format!("{start}[{choice}]{usage_field}}}\n\n"))
        };
        let content = if self.function.is_some() {
            "null"
        } else {
            r#""""#
        };
        let role = event(
            &format!(r#"{{"role":"assistant","content":{content}}}"#),
            "null",
        );
        let finish = event("{}", &format!(r#""{}""#, self.finish_reason));
        let usage = with_usage.then(|| {
            let (start, usage) = (self.event_start(), self.usage());
            Bytes::from(format!("{start}[],\"usage\":{usage}}}\n\n"))
        });
        let opening = self.function.as_ref().map(|name| {
            let call = json!([{
                "index": 0,
                "id": self.call_id(),
                "type": "function",
                "function": {"name": name, "arguments": ""},
            }]);
            event(&json!({"tool_calls": call}).to_string(), "null")
        });
        let is_call = self.function.is_some();
        iter::once(role)
            .chain(opening)
            .chain(pieces(self.tokens, is_call).map(move |piece| {
                let delta = if is_call {
                    let call = json!([{"index": 0, "function": {"arguments": piece}}]);
                    json!({"tool_calls": call})
                } else {
                    json!({"content": piece})
                };
                event(&delta.to_string(), "null")
            }))
            .chain([finish])
            .chain(usage)
            .chain([Bytes::from_static(b"data: [DONE]\n\n")])
    }

    /// The beginning of an event, up to its choices.
    fn event_start(&self) -> String {
        let model = Value::from(self.model.as_str());
        let Self { id, .. } = self;
        format!(
            r#"data: {{"id":"chatcmpl-{id}","object":"chat.completion.chunk","created":{CREATED},"model":{model},"choices":"#
        )
    }

    fn call_id(&self) -> String {
        format!("call_{}", self.id)
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
        })
    }
}

/// The content of the deltas: the text one token at a time, for a call within its JSON arguments.
fn pieces(tokens: usize, is_call: bool) -> impl Iterator<Item = String> + Send {
    let words = WORDS.iter().cycle().take(tokens).enumerate();
    let text = words.map(|(n, word)| {
        if n == 0 {
            (*word).to_owned()
        } else {
            format!(" {word}")
        }
    });
    let in_call = |json: &'static str| is_call.then(|| json.to_owned());
    in_call(r#"{"query":""#)
        .into_iter()
        .chain(text)
        .chain(in_call(r#""}"#))
}
