//! JSON lines in Mooncake's shape, with AIPerf's extensions and what offpath records beside them.
//!
//! | member | meaning |
//! | --- | --- |
//! | `timestamp` | milliseconds |
//! | `delay` | where there is no timestamp: milliseconds after the session's turn before it |
//! | `session_id` | the conversation |
//! | `input_length`, `output_length`, `hash_ids` | tokens, and the prompt's 512-token blocks |
//! | `text_input` \| `messages` (`tools`, `extra`) \| `payload` | the prompt \| the chat \| the body itself |
//! | `recorded` | `method`, `path`, `status`, `response_bytes`, `response` (JSON) |
//!
//! Sources: <https://github.com/kvcache-ai/Mooncake> (FAST25-release), AIPerf's `mooncake_trace`.
//! Other members are passed over.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::from_first;
use crate::replay::exchange::{Answer, Chat, Content, Exchange, Lengths};
use crate::replay::meaning;

const JSON: &str = "application/json";

#[derive(Deserialize)]
struct Line<'a> {
    timestamp: Option<f64>,
    delay: Option<f64>,
    session_id: Option<String>,
    input_length: Option<u32>,
    output_length: Option<u32>,
    #[serde(default)]
    hash_ids: Vec<u64>,
    text_input: Option<String>,
    messages: Option<Value>,
    tools: Option<Value>,
    extra: Option<Map<String, Value>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    recorded: Option<Recorded>,
}

#[derive(Default, Deserialize)]
struct Recorded {
    method: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    response_bytes: Option<u64>,
    response: Option<Value>,
}

/// Reads a whole file. The error is a line and what is wrong with it.
pub(super) fn read(text: &str, chat: &Chat) -> Result<Vec<Exchange>, (usize, String)> {
    let mut exchanges = Vec::new();
    // When each session's last turn was.
    let mut sessions: HashMap<String, Duration> = HashMap::new();
    let lines = (1..).zip(text.lines());
    for (number, text) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let broken = |reason| (number, reason);
        let line: Line<'_> =
            serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        let before = line.session_id.as_ref().and_then(|id| sessions.get(id));
        let at = instant(&line, before.copied()).map_err(broken)?;
        let exchange = exchange(line, at, number, chat).map_err(broken)?;
        if let Some(id) = &exchange.session {
            sessions.insert(id.clone(), at);
        }
        exchanges.push(exchange);
    }
    Ok(from_first(exchanges))
}

fn instant(line: &Line<'_>, before: Option<Duration>) -> Result<Duration, String> {
    let millis = |millis: f64| {
        Duration::try_from_secs_f64(millis / 1000.0)
            .map_err(|_| format!("`{millis}` is not a number of milliseconds"))
    };
    match (line.timestamp, line.delay) {
        (Some(timestamp), _) => millis(timestamp),
        (None, Some(delay)) => Ok(before.unwrap_or_default().saturating_add(millis(delay)?)),
        (None, None) => Err("neither `timestamp` nor `delay`".to_owned()),
    }
}

fn exchange(line: Line<'_>, at: Duration, number: usize, chat: &Chat) -> Result<Exchange, String> {
    let recorded = line.recorded.unwrap_or_default();
    let path = recorded.path.map(|path| {
        PathAndQuery::try_from(path.as_str()).map_err(|_| format!("`{path}` is not a path"))
    });
    let method = recorded.method.map(|method| {
        Method::try_from(method.as_str()).map_err(|_| format!("`{method}` is not a method"))
    });
    let output = line.output_length.map(u64::from);
    let whole = |body| Content::Whole {
        content_type: JSON,
        body,
    };
    let messages = line
        .messages
        .or_else(|| Some(json!([{"role": "user", "content": line.text_input?}])));
    let content = match (line.payload, messages, line.input_length) {
        (Some(payload), _, _) => whole(Bytes::from(payload.get().to_owned())),
        (None, Some(messages), _) => {
            let mut more = line.extra.unwrap_or_default();
            more.extend(line.tools.map(|tools| ("tools".to_owned(), tools)));
            whole(chat.body(messages, output, more))
        }
        (None, None, Some(input)) => Content::Lengths(Lengths {
            input: usize::try_from(input).unwrap_or(usize::MAX),
            output,
            blocks: line.hash_ids,
            number,
        }),
        (None, None, None) => {
            return Err("no `input_length`, `text_input`, `messages` or `payload`".to_owned());
        }
    };
    let usage = recorded.response.as_ref().map(meaning::tokens);
    let usage = usage.unwrap_or_default();
    Ok(Exchange {
        at,
        session: line.session_id,
        method: method.transpose()?.unwrap_or(Method::POST),
        path: path.transpose()?,
        content,
        answer: Answer {
            status: recorded.status,
            bytes: recorded.response_bytes,
            input_tokens: usage.input.or(line.input_length.map(u64::from)),
            output_tokens: usage.output.or(output),
            json: recorded.response,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Exchange>, (usize, String)> {
        let chat = Chat {
            model: "m".to_owned(),
            stream: true,
        };
        super::read(text, &chat)
    }

    fn body(exchange: &Exchange) -> Value {
        let Content::Whole { body, .. } = &exchange.content else {
            panic!("{exchange:?}")
        };
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn lengths_messages_and_payloads_are_read() {
        let lines = [
            r#"{"timestamp": 50, "input_length": 6, "output_length": 2, "hash_ids": [4]}"#,
            r#"{"timestamp": 20.5, "session_id": "s", "messages": [{"role": "user"}],
                "output_length": 3, "extra": {"seed": 1}, "unknown": 0}"#,
            r#"{"delay": 10, "session_id": "s", "payload": {"b":1,  "a":2},
                "recorded": {"path": "/x?y", "method": "PUT", "status": 200, "response_bytes": 7,
                "response": {"usage": {"prompt_tokens": 5, "completion_tokens": 6}}}}"#,
        ];
        let lines = lines.map(|line| line.replace('\n', " "));
        let found = read(&lines.join("\n")).unwrap();
        let at: Vec<u128> = found.iter().map(|found| found.at.as_micros()).collect();
        assert_eq!(at, [0, 10_000, 29_500]);
        let [chat, payload, lengths] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(body(chat)["max_tokens"], 3);
        assert_eq!(
            (&body(chat)["seed"], &body(chat)["stream"]),
            (&json!(1), &json!(true))
        );
        let Content::Whole { body, .. } = &payload.content else {
            panic!("{payload:?}")
        };
        // The bytes themselves, as they were recorded.
        assert_eq!(body, r#"{"b":1,  "a":2}"#);
        assert_eq!(payload.path.as_ref().unwrap(), "/x?y");
        assert_eq!(
            (payload.method.as_str(), payload.answer.status),
            ("PUT", Some(200))
        );
        assert_eq!(payload.answer.output_tokens, Some(6));
        let Content::Lengths(of) = &lengths.content else {
            panic!("{lengths:?}")
        };
        assert_eq!(
            (of.input, of.output, of.blocks.as_slice()),
            (6, Some(2), &[4][..])
        );
    }

    #[test]
    fn a_broken_line_is_named_with_what_is_wrong() {
        let good = r#"{"timestamp": 0, "input_length": 1}"#;
        for (line, says) in [
            ("{", "EOF"),
            (r#"{"input_length": 1}"#, "neither `timestamp` nor `delay`"),
            (r#"{"timestamp": -1, "input_length": 1}"#, "`-1` is not"),
            (r#"{"timestamp": 1}"#, "no `input_length`"),
            (
                r#"{"timestamp": 1, "payload": 1, "recorded": {"path": "a b"}}"#,
                "`a b` is not a path",
            ),
        ] {
            let (number, reason) = read(&format!("{good}\n\n{line}")).unwrap_err();
            assert_eq!(number, 3);
            assert!(reason.contains(says), "{reason}");
        }
    }
}
