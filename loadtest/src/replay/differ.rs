//! How an answer differs from the one that was recorded.

use std::fmt;

use http::response::Parts;
use http::{StatusCode, header};
use serde_json::Value;

use super::exchange::Answer;
use super::meaning;

/// Longer texts are cut where a difference is told.
const TOLD_CHARS: usize = 60;

/// What of answers is compared, and how strictly.
#[derive(Clone, Debug)]
pub struct Checks {
    /// The status.
    pub status: bool,
    /// The length of the body.
    pub bytes: bool,
    /// The body as JSON, a stream put together; members that only one of them has, too.
    pub json: bool,
    /// The counts of tokens.
    pub tokens: bool,
    /// Two numbers are equal that differ by no more than this part of the larger.
    pub tolerance: f64,
    /// Members that are not compared: pointers (RFC 6901), `*` for any name or index.
    pub ignored: Vec<String>,
}

/// One way in which an answer differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) kind: Kind,
    /// What was, and what is.
    pub(super) told: String,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The status.
    Status,
    /// The length of the body.
    Bytes,
    /// The body as JSON.
    Json,
    /// The counts of tokens.
    Tokens,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "status",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::Tokens => "tokens",
        })
    }
}

impl Checks {
    /// What can be compared of an answer, and how it differs.
    pub(super) fn compare(
        &self,
        recorded: &Answer,
        parts: &Parts,
        body: &[u8],
    ) -> (Vec<Kind>, Vec<Difference>) {
        let mut compared = Vec::new();
        let mut found = Vec::new();
        if let Some(status) = recorded.status.filter(|_| self.status) {
            compared.push(Kind::Status);
            if parts.status != StatusCode::from_u16(status).unwrap_or_default() {
                let told = format!("{status} is now {}", parts.status.as_u16());
                let kind = Kind::Status;
                found.push(Difference { kind, told });
            }
        }
        if let Some(bytes) = recorded.bytes.filter(|_| self.bytes) {
            compared.push(Kind::Bytes);
            if u64::try_from(body.len()) != Ok(bytes) {
                let told = format!("{bytes} are now {}", body.len());
                let kind = Kind::Bytes;
                found.push(Difference { kind, told });
            }
        }
        if self.json || self.tokens {
            let content_type = parts.headers.get(header::CONTENT_TYPE);
            let content_type = content_type.map_or(&b""[..], |value| value.as_bytes());
            let json = meaning::json_of(content_type, body);
            let is_stream = content_type.starts_with(b"text/event-stream");
            if let Some(was) = recorded.json.as_ref().filter(|_| self.json) {
                compared.push(Kind::Json);
                let mut told = Vec::new();
                match &json {
                    Some(is) => self.walk("", was, is, is_stream, &mut told),
                    None => told.push("JSON is now none".to_owned()),
                }
                let kind = Kind::Json;
                // One way is enough to tell of one answer.
                let told = told.into_iter().take(1);
                found.extend(told.map(|told| Difference { kind, told }));
            }
            if self.tokens {
                let is = json.as_ref().map(meaning::tokens).unwrap_or_default();
                compare_tokens(recorded, is, &mut compared, &mut found);
            }
        }
        (compared, found)
    }

    /// Adds each way in which `is` differs from `was`. Of what a stream makes only the members
    /// that it has are compared: a recorder may have added some of its own.
    fn walk(&self, at: &str, was: &Value, is: &Value, is_stream: bool, told: &mut Vec<String>) {
        if self.is_ignored(at) {
            return;
        }
        let name = if at.is_empty() { "/" } else { at };
        match (was, is) {
            (Value::Object(was), Value::Object(is)) => {
                for (key, was) in was {
                    let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    match is.get(key) {
                        Some(is) => self.walk(&at, was, is, is_stream, told),
                        None if is_stream || was.is_null() || self.is_ignored(&at) => {}
                        None => told.push(format!("{at}: gone")),
                    }
                }
                let new = is
                    .iter()
                    .filter(|(key, is)| !was.contains_key(*key) && !is.is_null());
                for (key, _) in new.filter(|_| !is_stream) {
                    let at = format!("{at}/{key}");
                    if !self.is_ignored(&at) {
                        told.push(format!("{at}: new"));
                    }
                }
            }
            (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
                for (index, (was, is)) in was.iter().zip(is).enumerate() {
                    self.walk(&format!("{at}/{index}"), was, is, is_stream, told);
                }
            }
            (Value::Array(was), Value::Array(is)) => {
                told.push(format!(
                    "{name}: {} members are now {}",
                    was.len(),
                    is.len()
                ));
            }
            (Value::Number(was), Value::Number(is)) => {
                let (was, is) = (was.as_f64(), is.as_f64());
                let (was, is) = (was.unwrap_or(f64::NAN), is.unwrap_or(f64::NAN));
                let largest = was.abs().max(is.abs());
                if (was - is).abs() > self.tolerance * largest {
                    told.push(format!("{name}: {was} is now {is}"));
                }
            }
            _ if was == is => {}
            _ => told.push(format!("{name}: {} is now {}", short(was), short(is))),
        }
    }

    fn is_ignored(&self, at: &str) -> bool {
        let matches = |pattern: &String| {
            let (pattern, at) = (pattern.split('/'), at.split('/'));
            pattern.clone().count() == at.clone().count()
                && pattern
                    .zip(at)
                    .all(|(pattern, at)| pattern == "*" || pattern == at)
        };
        self.ignored.iter().any(matches)
    }
}

fn compare_tokens(
    recorded: &Answer,
    is: meaning::Tokens,
    compared: &mut Vec<Kind>,
    found: &mut Vec<Difference>,
) {
    let pairs = [
        ("input", recorded.input_tokens, is.input),
        ("output", recorded.output_tokens, is.output),
    ];
    let mut told = Vec::new();
    for (name, was, is) in pairs {
        let (Some(was), Some(is)) = (was, is) else {
            continue;
        };
        compared.push(Kind::Tokens);
        if was != is {
            told.push(format!("{name}: {was} are now {is}"));
        }
    }
    compared.dedup();
    if !told.is_empty() {
        found.push(Difference {
            kind: Kind::Tokens,
            told: told.join(", "),
        });
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= TOLD_CHARS {
        return text;
    }
    let start: String = text.chars().take(TOLD_CHARS).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use http::Response;
    use serde_json::json;

    use super::*;

    fn checks() -> Checks {
        Checks {
            status: true,
            bytes: true,
            json: true,
            tokens: true,
            tolerance: 0.01,
            ignored: vec!["/id".to_owned(), "/list/*/id".to_owned()],
        }
    }

    #[track_caller]
    fn check(was: Value, is: Value, expect: &[&str]) {
        let mut told = Vec::new();
        checks().walk("", &was, &is, false, &mut told);
        assert_eq!(told, expect);
    }

    #[test]
    fn json_is_compared_member_by_member_within_the_tolerance() {
        check(
            json!({"a": 100, "id": 1}),
            json!({"a": 100.9, "id": 2}),
            &[],
        );
        check(
            json!({"a": 100}),
            json!({"a": 102}),
            &["/a: 100 is now 102"],
        );
        check(json!({"a": 0.0}), json!({"a": 0}), &[]);
        check(json!({"a": null}), json!({}), &[]);
        check(
            json!({"a/b": 1}),
            json!({"c": 1}),
            &["/a~1b: gone", "/c: new"],
        );
        check(
            json!({"list": [{"id": 1, "x": "a"}]}),
            json!({"list": [{"id": 2, "x": "b"}]}),
            &["/list/0/x: \"a\" is now \"b\""],
        );
        check(json!([1, 2]), json!([1]), &["/: 2 members are now 1"]);
        check(json!("1"), json!(1), &["/: \"1\" is now 1"]);
    }

    #[test]
    fn each_kind_is_compared_where_it_was_recorded() {
        let (parts, ()) = Response::builder()
            .status(500)
            .body(())
            .unwrap()
            .into_parts();
        let body = br#"{"usage": {"prompt_tokens": 3, "completion_tokens": 5}}"#;
        let nothing = checks().compare(&Answer::default(), &parts, body);
        assert_eq!(nothing, (vec![], vec![]));
        let recorded = Answer {
            status: Some(200),
            bytes: Some(7),
            json: Some(json!({"usage": {"prompt_tokens": 3}})),
            input_tokens: Some(3),
            output_tokens: Some(4),
        };
        let (compared, found) = checks().compare(&recorded, &parts, body);
        let kinds = [Kind::Status, Kind::Bytes, Kind::Json, Kind::Tokens];
        assert_eq!(compared, kinds);
        let told: Vec<&str> = found.iter().map(|found| found.told.as_str()).collect();
        let expect = [
            "200 is now 500",
            "7 are now 55",
            "/usage/completion_tokens: new",
            "output: 4 are now 5",
        ];
        assert_eq!(told, expect);
    }

    #[test]
    fn of_a_stream_only_what_it_makes_is_compared() {
        let (mut parts, ()) = Response::new(()).into_parts();
        parts
            .headers
            .insert(header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
        let event =
            r#"{"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}"#;
        let body = format!("data: {event}\n\n");
        let compare = |content: &str| {
            let message = json!({"role": "assistant", "content": content});
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            let recorded = Answer {
                json: Some(json!({"object": "chat.completion", "choices": [choice]})),
                ..Answer::default()
            };
            checks().compare(&recorded, &parts, body.as_bytes()).1
        };
        assert_eq!(compare("a"), []);
        let told = "/choices/0/message/content: \"b\" is now \"a\"";
        assert_eq!(compare("b")[0].told, told);
    }
}
