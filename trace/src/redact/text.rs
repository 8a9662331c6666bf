//! Patterns in the texts of a trace: in JSON, in each string by what it means, not by how it is
//! escaped.

use std::borrow::Cow;

use bytes::Bytes;

use crate::decode::json::{self, Raw, Word};
use crate::{Status, Text, Trace, Value};

use super::pattern::Pattern;
use super::{Counts, Mask};

/// JSON in a string of JSON is looked into this deep.
const NESTING_MAX: u8 = 4;

/// Attributes that hold JSON.
const JSON: [&str; 3] = [
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.chat.tools",
];

/// Masks every text of a trace. What two spans share is looked at once.
pub(super) fn mask_trace(
    trace: &mut Trace,
    patterns: &[Pattern],
    mask: &Mask,
    counts: &mut Counts,
) {
    let mut seen: Vec<(Bytes, Option<Text>)> = Vec::new();
    for span in &mut trace.spans {
        if let Some(name) = masked(&span.name, patterns, mask, counts, 0) {
            span.name = Cow::Owned(name);
        }
        if let Status::Error(message) = &mut span.status
            && let Some(without) = masked(message, patterns, mask, counts, 0)
        {
            *message = without;
        }
        for (key, value) in &mut span.attributes {
            let is_json = JSON.contains(&key.as_ref());
            let mut one = |text: &mut Text| {
                let bytes = text.as_bytes().clone();
                let same =
                    |known: &Bytes| known.as_ptr() == bytes.as_ptr() && known.len() == bytes.len();
                let without = match seen.iter().find(|(known, _)| same(known)) {
                    Some((_, without)) => without.clone(),
                    None => {
                        let without = match is_json {
                            true => masked_json(&bytes, patterns, mask, counts)
                                .map(|json| Text::trusted(Bytes::from(json))),
                            false => {
                                masked(text.as_str(), patterns, mask, counts, 0).map(Text::from)
                            }
                        };
                        seen.push((bytes, without.clone()));
                        without
                    }
                };
                if let Some(without) = without {
                    *text = without;
                }
            };
            match value {
                Value::Text(text) => one(text),
                Value::Texts(list) => list.iter_mut().for_each(one),
                Value::Int(_) | Value::Float(_) | Value::Bool(_) => {}
            }
        }
    }
    if let Some(info) = &mut trace.info {
        let metadata = info.metadata.iter_mut().map(|(_, value)| value);
        for text in metadata.chain(&mut info.client_request_id) {
            if let Some(without) = masked(text, patterns, mask, counts, 0) {
                *text = without;
            }
        }
    }
}

/// JSON with its strings and numbers masked; `None` where nothing has to be.
pub(super) fn masked_json(
    text: &[u8],
    patterns: &[Pattern],
    mask: &Mask,
    counts: &mut Counts,
) -> Option<Vec<u8>> {
    nested_json(text, patterns, mask, counts, 0)
}

fn nested_json(
    text: &[u8],
    patterns: &[Pattern],
    mask: &Mask,
    counts: &mut Counts,
    nesting: u8,
) -> Option<Vec<u8>> {
    let mut json = Vec::new();
    let mut copied = 0;
    let numbers: Vec<&Pattern> = patterns.iter().filter(|pattern| pattern.numbers).collect();
    for word in json::words(text, !numbers.is_empty()) {
        let (range, without) = match word {
            Word::String(range, torn) => {
                let inner = text.get(range.clone()).unwrap_or_default();
                let meaning = meaning(inner);
                let without = masked(&meaning, patterns, mask, counts, nesting);
                let quoted = without.map(|without| json::quoted(&without));
                // Between the quotes; of a torn string there is no second one.
                let inner = quoted.map(|quoted| {
                    let end = quoted.len() - 1;
                    quoted.get(1..end).unwrap_or_default().to_owned()
                });
                debug_assert!(!torn || range.end == text.len(), "a cut is at the end");
                (range, inner)
            }
            Word::Number(range) => {
                let number = text.get(range.clone()).unwrap_or_default();
                let number = std::str::from_utf8(number).unwrap_or_default();
                // A column with gaps is one of floats in pandas.
                let whole = number.strip_suffix(".0").unwrap_or(number);
                let hit = numbers.iter().find(|pattern| {
                    let found = pattern.find_all(whole);
                    found.iter().any(|found| found.len() == whole.len())
                });
                let without = hit.map(|pattern| {
                    counts.add(&pattern.name);
                    json::quoted(&mask.of(whole))
                });
                (range, without)
            }
        };
        if let Some(without) = without {
            json.extend_from_slice(text.get(copied..range.start).unwrap_or_default());
            json.extend_from_slice(without.as_bytes());
            copied = range.end;
        }
    }
    if copied == 0 {
        return None;
    }
    json.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(json)
}

/// What a string means; of one that is cut in an escape, what comes before.
pub(super) fn meaning(inner: &[u8]) -> Cow<'_, str> {
    if !inner.contains(&b'\\') {
        return String::from_utf8_lossy(inner);
    }
    // An escape has at most six bytes.
    for cut in 0..6.min(inner.len()) {
        let whole = inner.get(..inner.len() - cut).unwrap_or_default();
        let quoted = [b"\"", whole, b"\""].concat();
        if let Some(text) = Raw(&quoted).text() {
            return Cow::Owned(text.into_owned());
        }
    }
    String::from_utf8_lossy(inner)
}

pub(super) fn begins_as_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

fn has(bytes: &[u8], byte: u8) -> bool {
    memchr::memchr(byte, bytes).is_some()
}

/// A text without what the patterns find in it; `None` where they find nothing.
fn masked(
    text: &str,
    patterns: &[Pattern],
    mask: &Mask,
    counts: &mut Counts,
    nesting: u8,
) -> Option<String> {
    let mut current: Option<String> = None;
    let bytes = text.as_bytes();
    // The arguments of a tool are JSON in a string, with escapes of their own.
    let has_json = begins_as_json(text) || (has(bytes, b'"') && has(bytes, b'\\'));
    if nesting < NESTING_MAX && has_json {
        let inner = nested_json(bytes, patterns, mask, counts, nesting + 1);
        current = inner.and_then(|json| String::from_utf8(json).ok());
    }
    for pattern in patterns {
        let text = current.as_deref().unwrap_or(text);
        let mut without = String::new();
        let mut copied = 0;
        for range in pattern.find_all(text) {
            counts.add(&pattern.name);
            without.push_str(text.get(copied..range.start).unwrap_or_default());
            without.push_str(&mask.of(text.get(range.clone()).unwrap_or_default()));
            copied = range.end;
        }
        if copied > 0 {
            without.push_str(text.get(copied..).unwrap_or_default());
            current = Some(without);
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let names = ["email", "credit_card"];
        let patterns = names.map(|name| Pattern::named(name).unwrap());
        let mask = Mask {
            marker: "#".into(),
            key: None,
        };
        let got = masked_json(text.as_bytes(), &patterns, &mask, &mut Counts::default());
        let got = got.map(|json| String::from_utf8(json).unwrap());
        assert_eq!(got.as_deref(), expect, "{text}");
    }

    #[test]
    fn strings_keys_and_numbers_are_masked() {
        check(r#"{"a":"to x@y.org"}"#, Some(r##"{"a":"to #"}"##));
        check(r#"{"x@y.org":1}"#, Some(r##"{"#":1}"##));
        check(r#"[4111111111111111,1]"#, Some(r##"["#",1]"##));
        check(r#"[4111111111111111.0]"#, Some(r##"["#"]"##));
        check(r#"[0.4111111111111111,-4111111111111112]"#, None);
    }

    #[test]
    fn no_escape_hides_a_pattern() {
        check(r#"["x\u0040y.org"]"#, Some(r##"["#"]"##));
        check(r#"["\"q\" x@y\u002eorg\n"]"#, Some(r##"["\"q\" #\n"]"##));
        check(
            r#"{"arguments":"{\"to\":\"x\\u0040y.org\"}"}"#,
            Some(r##"{"arguments":"{\"to\":\"#\"}"}"##),
        );
    }

    #[test]
    fn a_torn_text_is_masked_to_its_end() {
        check(r#"{"a":"x@y.org"#, Some(r##"{"a":"#"##));
        check(r#"{"a":"x@y.org and \u00"#, Some(r##"{"a":"# and "##));
    }
}
