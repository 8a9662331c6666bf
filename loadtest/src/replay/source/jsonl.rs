//! JSON lines in Mooncake's format, with AIPerf's extensions and offpath's `recorded`.
//!
//! | member | meaning |
//! | --- | --- |
//! | `timestamp` | milliseconds |
//! | `delay` | without `timestamp`: milliseconds after the previous turn of the session |
//! | `session_id` | id of the conversation |
//! | `input_length`, `output_length`, `hash_ids` | token counts, and ids of the prompt's 512-token blocks |
//! | `text_input` \| `messages` (`tools`, `extra`) \| `payload` | the prompt \| the chat \| the whole body |
//! | `recorded` | `method`, `path`, `status`, `response_bytes`, `response` (JSON) |
//!
//! Sources: <https://github.com/kvcache-ai/Mooncake> (FAST25-release), AIPerf's `mooncake_trace`.
//! Other members are ignored.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::from_first;
use crate::bodies::LineError;
use crate::replay::exchange::{ChatDefaults, Exchange, Lengths, RecordedResponse, RequestBody};
use crate::replay::response;

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

/// Parses the text of a file.
pub(super) fn read(text: &str, chat: &ChatDefaults) -> Result<Vec<Exchange>, LineError> {
    let mut exchanges = Vec::new();
    // The time of each session's last turn.
    let mut sessions: HashMap<String, Duration> = HashMap::new();
    let lines = (1..).zip(text.lines());
    for (number, text) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let broken = |reason| LineError {
            line: number,
            reason,
        };
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
        (None, Some(delay)) => {
            let before = before.unwrap_or(Duration::ZERO);
            Ok(before.saturating_add(millis(delay)?))
        }
        (None, None) => Err("the line has neither `timestamp` nor `delay`".to_owned()),
    }
}

fn exchange(
    line: Line<'_>,
    at: Duration,
    number: usize,
    chat: &ChatDefaults,
) -> Result<Exchange, String> {
    let recorded = line.recorded.unwrap_or_default();
    let path = recorded.path.map(|path| {
        PathAndQuery::try_from(path.as_str()).map_err(|_| format!("`{path}` is not a path"))
    });
    let method = recorded.method.map(|method| {
        Method::try_from(method.as_str()).map_err(|_| format!("`{method}` is not a method"))
    });
    let output = line.output_length.map(u64::from);
    let whole = |body| RequestBody::Recorded {
        content_type: JSON,
        body,
    };
    let messages = line
        .messages
        .or_else(|| Some(json!([{"role": "user", "content": line.text_input?}])));
    let body = match (line.payload, messages, line.input_length) {
        (Some(payload), _, _) => whole(Bytes::from(payload.get().to_owned())),
        (None, Some(messages), _) => {
            let mut more = line.extra.unwrap_or_default();
            more.extend(line.tools.map(|tools| ("tools".to_owned(), tools)));
            whole(chat.body(messages, output, more))
        }
        (None, None, Some(input)) => RequestBody::Generated(Lengths {
            input: usize::try_from(input).expect("usize has at least 32 bits"),
            output,
            blocks: line.hash_ids,
            number,
        }),
        (None, None, None) => {
            let reason = "the line has no `input_length`, `text_input`, `messages` or `payload`";
            return Err(reason.to_owned());
        }
    };
    let usage = recorded
        .response
        .as_ref()
        .map(response::token_counts)
        .unwrap_or_default();
    Ok(Exchange {
        at,
        session: line.session_id,
        method: method.transpose()?.unwrap_or(Method::POST),
        path: path.transpose()?,
        body,
        response: RecordedResponse {
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

    fn read(text: &str) -> Result<Vec<Exchange>, LineError> {
        let chat = ChatDefaults {
            model: "m".to_owned(),
            stream: true,
        };
        super::read(text, &chat)
    }

    fn body(exchange: &Exchange) -> Value {
        let RequestBody::Recorded { body, .. } = &exchange.body else {
            panic!("{exchange:?}")
        };
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn lengths_messages_and_payloads_are_parsed() {
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
        let RequestBody::Recorded { body, .. } = &payload.body else {
            panic!("{payload:?}")
        };
        // A payload keeps its bytes.
        assert_eq!(body, r#"{"b":1,  "a":2}"#);
        assert_eq!(payload.path.as_ref().unwrap(), "/x?y");
        assert_eq!(
            (payload.method.as_str(), payload.response.status),
            ("PUT", Some(200))
        );
        assert_eq!(payload.response.output_tokens, Some(6));
        let RequestBody::Generated(generated) = &lengths.body else {
            panic!("{lengths:?}")
        };
        assert_eq!(
            (
                generated.input,
                generated.output,
                generated.blocks.as_slice()
            ),
            (6, Some(2), &[4][..])
        );
    }

    #[test]
    fn an_invalid_line_is_named_with_the_reason() {
        let good = r#"{"timestamp": 0, "input_length": 1}"#;
        for (line, expect) in [
            ("{", "EOF"),
            (r#"{"input_length": 1}"#, "neither `timestamp` nor `delay`"),
            (r#"{"timestamp": -1, "input_length": 1}"#, "`-1` is not"),
            (r#"{"timestamp": 1}"#, "no `input_length`"),
            (
                r#"{"timestamp": 1, "payload": 1, "recorded": {"path": "a b"}}"#,
                "`a b` is not a path",
            ),
        ] {
            let error = read(&format!("{good}\n\n{line}")).unwrap_err();
            assert_eq!(error.line, 3);
            assert!(error.reason.contains(expect), "{error}");
        }
    }
}
