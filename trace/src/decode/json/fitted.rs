//! JSON made to fit a reader whose integers have 64 bits, whose nesting ends early, and whose
//! database may take no NUL.
//!
//! MLflow 3.17 reads an attribute that is JSON into a protobuf `AnyValue` before it gives it to
//! anyone (`mlflow/tracing/utils/otlp.py`, `_set_otel_proto_anyvalue`): an integer outside
//! `int64` raises, and so do more than 100 messages in each other, of which an object takes three
//! (`AnyValue`, `KeyValueList`, `KeyValue`) and a list two (`AnyValue`, `ArrayValue`). It stores
//! such a value all the same, and then fails to return any page of traces that it is on.

use super::scan::{Fault, Seen};
use super::{token, write};

/// Messages that the containers around a value may take together. Read back were 95, with those
/// of the trace around them, both by the client and from MLflow's archive; two are left to spare.
const MESSAGES_MAX: u32 = 93;

const OBJECT_MESSAGES: u32 = 3;
const LIST_MESSAGES: u32 = 2;

/// JSON in which each value that does not fit is a string of its own text, and each NUL is U+FFFD.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) json: Vec<u8>,
    /// Whether an integer was beyond 64 bits.
    pub(crate) wide_integer: bool,
    /// Whether a list or an object was nested too deep.
    pub(crate) too_deep: bool,
    /// Whether there was a NUL.
    pub(crate) nul: bool,
}

/// `text`, which is JSON, with a string in place of each integer beyond 64 bits and of each
/// container that is nested too deep, and with U+FFFD in place of each NUL. `None`: all of it fits.
pub(crate) fn fitted(text: &[u8]) -> Option<Fitted> {
    let mut fitted = values(text);
    let json = if fitted.json.is_empty() {
        text
    } else {
        &fitted.json
    };
    if let Some(json) = write::without_nul(json) {
        fitted.json = json;
        fitted.nul = true;
    }
    (!fitted.json.is_empty()).then_some(fitted)
}

/// The pass over values; no JSON where all of them fit.
fn values(text: &[u8]) -> Fitted {
    let mut fitted = Fitted {
        json: Vec::new(),
        wide_integer: false,
        too_deep: false,
        nul: false,
    };
    let mut open = Open::default();
    let mut copied = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let end = match byte {
            b'"' => string_end(text, at),
            b'{' | b'[' if open.push(*byte == b'{') => at + 1,
            b'{' | b'[' => {
                let end = container_end(text, at);
                fitted.too_deep = true;
                fitted.quote(text, &mut copied, at..end);
                end
            }
            b'}' | b']' => {
                open.pop();
                at + 1
            }
            b'-' | b'0'..=b'9' => {
                let end = number_end(text, at);
                if text.get(at..end).is_some_and(is_wide_integer) {
                    fitted.wide_integer = true;
                    fitted.quote(text, &mut copied, at..end);
                }
                end
            }
            _ => at + 1,
        };
        at = end;
    }
    if copied > 0 {
        let rest = text.get(copied..).unwrap_or_default();
        fitted.json.extend_from_slice(rest);
    }
    fitted
}

impl Fitted {
    /// Appends what comes before `value`, and then the value's text as a string.
    fn quote(&mut self, text: &[u8], copied: &mut usize, value: std::ops::Range<usize>) {
        let before = text.get(*copied..value.start).unwrap_or_default();
        self.json.extend_from_slice(before);
        *copied = value.end;
        let value = text.get(value).unwrap_or_default();
        write::push_quoted(&mut self.json, &String::from_utf8_lossy(value));
    }
}

/// The open containers, one bit each: set for an object. A list takes two messages, so that there
/// are never more than fit.
#[derive(Default)]
struct Open {
    bits: u64,
    messages: u32,
}

impl Open {
    /// `false`: there is no room for it.
    fn push(&mut self, object: bool) -> bool {
        let messages = self.messages + messages(object);
        if messages > MESSAGES_MAX {
            return false;
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.messages = messages;
        true
    }

    fn pop(&mut self) {
        let last = messages(self.bits & 1 == 1);
        self.messages = self.messages.saturating_sub(last);
        self.bits >>= 1;
    }
}

const _: () = assert!(
    MESSAGES_MAX / LIST_MESSAGES < u64::BITS,
    "there is a bit for each container"
);

fn messages(object: bool) -> u32 {
    if object {
        OBJECT_MESSAGES
    } else {
        LIST_MESSAGES
    }
}

/// Past the string that begins at `at`; the text's end where the string has none.
fn string_end(text: &[u8], at: usize) -> usize {
    match token::string(text, at, &mut Seen::default()) {
        Ok(end) => end,
        Err(Fault::Torn | Fault::Malformed | Fault::TooDeep | Fault::LongNumber) => text.len(),
    }
}

/// Past the container that begins at `at`, however deep it goes.
fn container_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Past the number that begins at `at`.
fn number_end(text: &[u8], at: usize) -> usize {
    let belongs = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(belongs).count()
}

/// Whether a number, as JSON writes it, is an integer outside `int64`.
fn is_wide_integer(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = std::str::from_utf8(number).unwrap_or_default();
    // Without a leading zero, all that `i64` refuses is out of its range.
    !digits.is_empty() && number.parse::<i64>().is_err()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::scan;
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let got = fitted(text.as_bytes()).map(|fitted| String::from_utf8(fitted.json).unwrap());
        assert_eq!(got.as_deref(), expect, "{text}");
        if expect.is_some() {
            assert!(scan::is_hard(text.as_bytes()), "{text}");
        }
    }

    fn nested(open: &str, close: &str, depth: usize) -> String {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn integers_beyond_64_bits_become_text() {
        check(
            r#"{"a":9223372036854775807,"b":-9223372036854775808}"#,
            None,
        );
        check(
            r#"{"a": 9223372036854775808 ,"b":[-9223372036854775809,1]}"#,
            Some(r#"{"a": "9223372036854775808" ,"b":["-9223372036854775809",1]}"#),
        );
        let thirty = "1".repeat(30);
        check(&thirty, Some(&format!("\"{thirty}\"")));
        check(&format!("[{thirty}.5,{thirty}e2,1E{thirty}]"), None);
        check(r#"{"99999999999999999999":"99999999999999999999"}"#, None);
    }

    #[test]
    fn integers_in_rows_become_text() {
        let rows = |id: &str| format!("[{}[{id},0.5],[7,8]]", "[1,2.25],".repeat(40));
        check(
            &rows("12345678901234567890"),
            Some(&rows("\"12345678901234567890\"")),
        );
        check(&rows("1234567890123456789"), None);
    }

    #[test]
    fn what_is_nested_too_deep_becomes_its_text_in_place() {
        check(&nested(r#"{"n":"#, "}", 31), None);
        check(&nested("[", "]", 46), None);
        let deep = nested(r#"{"n":"#, "}", 33);
        let inner = r#""{\"n\":{\"n\":1}}""#;
        let expect = format!("{}{inner}{}", r#"{"n":"#.repeat(31), "}".repeat(31));
        check(&deep, Some(&expect));
        let list = nested("[", "]", 47);
        check(&list, Some(&nested("[", "]", 46).replace('1', "\"[1]\"")));
    }

    #[test]
    fn what_follows_a_deep_value_keeps_its_place() {
        let deep = nested("[", "]", 900);
        let fitted = fitted(format!(r#"{{"a":{deep},"b":["]",{deep},{{}}]}}"#).as_bytes()).unwrap();
        assert!(fitted.too_deep && !fitted.wide_integer);
        let value: Value = serde_json::from_slice(&fitted.json).unwrap();
        let b = value["b"].as_array().unwrap();
        assert_eq!((&b[0], b[2].as_object().unwrap().len()), (&"]".into(), 0));
    }

    #[test]
    fn nul_is_replaced_in_strings_and_in_keys() {
        check(
            r#"{"a\u0000":["\u00000",12345678901234567890,"\\u0000"]}"#,
            Some(r#"{"a\ufffd":["\ufffd0","12345678901234567890","\\u0000"]}"#),
        );
    }

    #[test]
    fn torn_text_ends_where_it_ends() {
        check("[\"ab", None);
        let torn = "[".repeat(60);
        let quoted = format!("{}\"{}\"", "[".repeat(46), "[".repeat(14));
        check(&torn, Some(&quoted));
    }

    /// A value, as text, and as it should be read.
    fn value() -> impl Strategy<Value = (String, Value)> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|n| (n.to_string(), n.into())),
            "-?[1-9][0-9]{19,40}".prop_map(|n| (n.clone(), n.into())),
            "[a-z\\[{\"0-9]{0,30}".prop_map(|text| {
                let value = Value::from(text);
                (value.to_string(), value)
            }),
        ];
        leaf.prop_recursive(8, 64, 6, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..6).prop_map(|all| {
                let (texts, values): (Vec<_>, Vec<_>) = all.into_iter().unzip();
                (format!("[{}]", texts.join(",")), Value::Array(values))
            });
            let object = (inner.clone(), inner).prop_map(|(a, b)| {
                let value = serde_json::json!({"a": a.1, "b": b.1});
                (format!("{{\"a\":{}, \"b\" : {}}}", a.0, b.0), value)
            });
            prop_oneof![list, object]
        })
    }

    proptest! {
        #[test]
        fn each_value_comes_back_as_itself_or_as_its_text((text, expect) in value()) {
            let json = fitted(text.as_bytes()).map_or(text.clone().into_bytes(), |fitted| {
                assert!(fitted.wide_integer && scan::is_hard(text.as_bytes()), "{text}");
                fitted.json
            });
            let read: Value = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(read, expect);
        }
    }
}
