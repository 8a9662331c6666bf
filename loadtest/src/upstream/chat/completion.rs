//! One answer, written out whole or event by event.

use std::hash::{DefaultHasher, Hasher as _};
use std::iter;

use bytes::Bytes;
use serde_json::{Value, json};

use super::request::ChatRequest;
use crate::bodies::{WORDS, text};

/// Fixed, as everything else that would make two answers to one request differ.
const CREATED: u64 = 1_760_000_000;

/// An answer: a function of the request alone.
pub(super) struct Completion {
    id: String,
    model: String,
    prompt_tokens: usize,
    tokens: usize,
    /// The function called; else the answer is text.
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

    /// The `chat.completion` object.
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

    /// The events of a streamed answer, `data: ` and the blank line included: role, pieces, finish
    /// reason, usage where asked, `[DONE]`.
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

    /// An event up to its choices.
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

/// What the deltas carry: the text a token at a time, or a call's arguments around it.
fn pieces(tokens: usize, is_call: bool) -> impl Iterator<Item = String> + Send {
    let words = WORDS.iter().cycle().take(tokens).enumerate();
    let text = words.map(|(n, word)| {
        if n == 0 {
            (*word).to_owned()
        } else {
            format!(" {word}")
        }
    });
    let around = |part: &'static str| is_call.then(|| part.to_owned());
    around(r#"{"query":""#)
        .into_iter()
        .chain(text)
        .chain(around(r#""}"#))
}
