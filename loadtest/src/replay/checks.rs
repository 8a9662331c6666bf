//! Compares a response with the recorded one.

use std::fmt;

use http::header;
use http::response::Parts;
use serde_json::Value;

use super::exchange::RecordedResponse;
use super::response::{self, TokenCounts};
use crate::units;

/// Maximum length of a value in the description of a mismatch.
const DETAIL_CHARS_MAX: usize = 60;

/// Selects what to compare in responses, and how strictly.
#[derive(Clone, Debug)]
pub struct Checks {
    /// Whether to compare the status.
    pub status: bool,
    /// Whether to compare the length of the body.
    pub bytes: bool,
    /// Whether to compare the body as JSON. Events of a stream are assembled first. A member that
    /// only one of the bodies has is a mismatch.
    pub json: bool,
    /// Whether to compare the token counts.
    pub tokens: bool,
    /// Relative difference, of the larger number, up to which two numbers are equal.
    pub tolerance: f64,
    /// Members that are not compared: JSON pointers (RFC 6901), with `*` for any name or index.
    pub ignored: Vec<String>,
}

/// The outcome of all checks on one response.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Checked {
    /// The checks that could be made.
    pub(super) kinds: Vec<CheckKind>,
    /// The mismatches, at most one of each kind.
    pub(super) mismatches: Vec<Mismatch>,
}

/// A difference between a response and the recorded one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mismatch {
    pub(super) kind: CheckKind,
    /// Description with the recorded and the new value.
    pub(super) detail: String,
}

/// A kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// Compares the status.
    Status,
    /// Compares the length of the body.
    Bytes,
    /// Compares the body as JSON.
    Json,
    /// Compares the token counts.
    Tokens,
}

impl fmt::Display for CheckKind {
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
    /// Makes every check that is selected and for which the recording has a value.
    pub(super) fn compare(
        &self,
        recorded: &RecordedResponse,
        parts: &Parts,
        body: &[u8],
    ) -> Checked {
        let mut checked = Checked::default();
        if let Some(status) = recorded.status.filter(|_| self.status) {
            let found = parts.status.as_u16();
            let mismatch = (found != status).then(|| changed(status, found));
            checked.add(CheckKind::Status, mismatch);
        }
        if let Some(bytes) = recorded.bytes.filter(|_| self.bytes) {
            let found = units::count(body.len());
            let mismatch = (found != bytes).then(|| changed(bytes, found));
            checked.add(CheckKind::Bytes, mismatch);
        }
        if self.json || self.tokens {
            let content_type = parts
                .headers
                .get(header::CONTENT_TYPE)
                .map_or(&b""[..], |value| value.as_bytes());
            let json = response::json(content_type, body);
            if let Some(recorded) = recorded.json.as_ref().filter(|_| self.json) {
                let is_stream = content_type.starts_with(b"text/event-stream");
                let mismatch = match &json {
                    // The first mismatch is enough to describe a response.
                    Some(json) => self.json_mismatches(recorded, json, is_stream).next(),
                    None => Some("the body is not JSON any more".to_owned()),
                };
                checked.add(CheckKind::Json, mismatch);
            }
            if self.tokens {
                let found = json.as_ref().map(response::token_counts);
                check_tokens(recorded, found.unwrap_or_default(), &mut checked);
            }
        }
        checked
    }

    /// Describes each mismatch of two JSON values. If `is_stream`, members that only one of them has
    /// are ignored: the recorder of an assembled stream may have added some of its own.
    fn json_mismatches(
        &self,
        recorded: &Value,
        found: &Value,
        is_stream: bool,
    ) -> impl Iterator<Item = String> + use<> {
        let mut mismatches = Vec::new();
        self.compare_json("", recorded, found, is_stream, &mut mismatches);
        mismatches.into_iter()
    }

    fn compare_json(
        &self,
        at: &str,
        recorded: &Value,
        found: &Value,
        is_stream: bool,
        mismatches: &mut Vec<String>,
    ) {
        if self.is_ignored(at) {
            return;
        }
        let name = if at.is_empty() { "/" } else { at };
        match (recorded, found) {
            (Value::Object(recorded), Value::Object(found)) => {
                for (key, recorded) in recorded {
                    let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    match found.get(key) {
                        Some(found) => {
                            self.compare_json(&at, recorded, found, is_stream, mismatches);
                        }
                        None if is_stream || recorded.is_null() || self.is_ignored(&at) => {}
                        None => mismatches.push(format!("{at}: missing")),
                    }
                }
                let added = found
                    .iter()
                    .filter(|(key, found)| !recorded.contains_key(*key) && !found.is_null());
                for (key, _) in added.filter(|_| !is_stream) {
                    let at = format!("{at}/{key}");
                    if !self.is_ignored(&at) {
                        mismatches.push(format!("{at}: added"));
                    }
                }
            }
            (Value::Array(recorded), Value::Array(found)) if recorded.len() == found.len() => {
                for (index, (recorded, found)) in recorded.iter().zip(found).enumerate() {
                    let at = format!("{at}/{index}");
                    self.compare_json(&at, recorded, found, is_stream, mismatches);
                }
            }
            (Value::Array(recorded), Value::Array(found)) => {
                let members = changed(recorded.len(), found.len());
                mismatches.push(format!("{name}: number of members: {members}"));
            }
            (Value::Number(recorded), Value::Number(found)) => {
                let (recorded, found) = (as_f64(recorded), as_f64(found));
                let largest = recorded.abs().max(found.abs());
                if (recorded - found).abs() > self.tolerance * largest {
                    mismatches.push(format!("{name}: {}", changed(recorded, found)));
                }
            }
            _ if recorded == found => {}
            _ => {
                let values = changed(shortened(recorded), shortened(found));
                mismatches.push(format!("{name}: {values}"));
            }
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

impl Checked {
    /// Adds a check that was made, with the description of its mismatch if there is one.
    fn add(&mut self, kind: CheckKind, mismatch: Option<String>) {
        self.kinds.push(kind);
        if let Some(detail) = mismatch {
            self.mismatches.push(Mismatch { kind, detail });
        }
    }
}

fn check_tokens(recorded: &RecordedResponse, found: TokenCounts, checked: &mut Checked) {
    let counts = [
        ("input", recorded.input_tokens, found.input),
        ("output", recorded.output_tokens, found.output),
    ];
    let mut is_compared = false;
    let mut mismatches = Vec::new();
    for (name, recorded, found) in counts {
        if let (Some(recorded), Some(found)) = (recorded, found) {
            is_compared = true;
            if recorded != found {
                mismatches.push(format!("{name}: {}", changed(recorded, found)));
            }
        }
    }
    if is_compared {
        let mismatch = (!mismatches.is_empty()).then(|| mismatches.join(", "));
        checked.add(CheckKind::Tokens, mismatch);
    }
}

fn changed(recorded: impl fmt::Display, found: impl fmt::Display) -> String {
    format!("recorded {recorded}, now {found}")
}

fn as_f64(number: &serde_json::Number) -> f64 {
    number
        .as_f64()
        .expect("without arbitrary precision, every JSON number is an f64 or converts to one")
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= DETAIL_CHARS_MAX {
        return text;
    }
    let start: String = text.chars().take(DETAIL_CHARS_MAX).collect();
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
    fn check(recorded: Value, found: Value, expect: &[&str]) {
        let checks = checks();
        let mismatches: Vec<String> = checks.json_mismatches(&recorded, &found, false).collect();
        assert_eq!(mismatches, expect);
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
            &["/a: recorded 100, now 102"],
        );
        check(json!({"a": 0.0}), json!({"a": 0}), &[]);
        check(json!({"a": null}), json!({}), &[]);
        check(
            json!({"a/b": 1}),
            json!({"c": 1}),
            &["/a~1b: missing", "/c: added"],
        );
        check(
            json!({"list": [{"id": 1, "x": "a"}]}),
            json!({"list": [{"id": 2, "x": "b"}]}),
            &["/list/0/x: recorded \"a\", now \"b\""],
        );
        check(
            json!([1, 2]),
            json!([1]),
            &["/: number of members: recorded 2, now 1"],
        );
        check(json!("1"), json!(1), &["/: recorded \"1\", now 1"]);
    }

    #[test]
    fn each_kind_is_compared_where_it_was_recorded() {
        let (parts, ()) = Response::builder()
            .status(500)
            .body(())
            .unwrap()
            .into_parts();
        let body = br#"{"usage": {"prompt_tokens": 3, "completion_tokens": 5}}"#;
        let nothing = checks().compare(&RecordedResponse::default(), &parts, body);
        assert_eq!(nothing, Checked::default());
        let recorded = RecordedResponse {
            status: Some(200),
            bytes: Some(7),
            json: Some(json!({"usage": {"prompt_tokens": 3}})),
            input_tokens: Some(3),
            output_tokens: Some(4),
        };
        let checked = checks().compare(&recorded, &parts, body);
        let kinds = [
            CheckKind::Status,
            CheckKind::Bytes,
            CheckKind::Json,
            CheckKind::Tokens,
        ];
        assert_eq!(checked.kinds, kinds);
        let details: Vec<&str> = checked
            .mismatches
            .iter()
            .map(|mismatch| mismatch.detail.as_str())
            .collect();
        let expect = [
            "recorded 200, now 500",
            "recorded 7, now 55",
            "/usage/completion_tokens: added",
            "output: recorded 4, now 5",
        ];
        assert_eq!(details, expect);
    }

    #[test]
    fn of_an_assembled_stream_only_shared_members_are_compared() {
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
            let recorded = RecordedResponse {
                json: Some(json!({"object": "chat.completion", "choices": [choice]})),
                ..RecordedResponse::default()
            };
            let checked = checks().compare(&recorded, &parts, body.as_bytes());
            checked.mismatches
        };
        assert_eq!(compare("a"), []);
        let detail = "/choices/0/message/content: recorded \"b\", now \"a\"";
        assert_eq!(compare("b")[0].detail, detail);
    }
}
