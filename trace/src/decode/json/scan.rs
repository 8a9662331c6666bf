//! One pass over JSON text: where does this value end, and is it well formed?
//!
//! Strict as RFC 8259 but for `NaN` and infinities, with two limits that stand for what reads the text next: MLflow's
//! server is Python, whose `json` raises something other than a decode error, and so refuses a
//! whole batch, when nesting nears 1,000 or an integer passes 4,300 digits.

use std::ops::Range;

use super::hint;
use super::number::number;
use super::rows;
use super::token::{literal, string};

/// Deeper nesting than this is a fault. Real bodies stay below 30.
pub(crate) const DEPTH_MAX: u32 = 128;

/// Nesting from which on a reader's limit may be near: see [`fitted`](super::fitted). Whoever
/// calls the scanner has opened two brackets himself at most.
const DEEP: u32 = 24;

/// Why a text is not JSON, or not JSON that anyone should be handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends before its value does.
    Torn,
    /// A byte that cannot stand where it stands.
    Malformed,
    /// More than [`DEPTH_MAX`] open brackets.
    TooDeep,
    /// A number of more than 4,096 bytes.
    LongNumber,
}

/// Checks that `bytes` are one JSON value and nothing else.
#[cfg(test)]
pub(crate) fn document(bytes: &[u8]) -> Result<(), Fault> {
    let end = value(bytes, 0, &mut Blind)?;
    match space(bytes, end) {
        end if end >= bytes.len() => Ok(()),
        _ => Err(Fault::Malformed),
    }
}

/// Whether `bytes` are one JSON value and nothing else.
pub(crate) fn is_document(bytes: &[u8]) -> bool {
    let end = value(bytes, 0, &mut Blind);
    end.is_ok_and(|end| space(bytes, end) >= bytes.len())
}

/// Whether Python's `json` reads `bytes`, or refuses them as it refuses any other text: MLflow
/// tries it on every string, and what it raises for a fault of these two kinds loses the batch.
pub(crate) fn is_harmless(bytes: &[u8]) -> bool {
    let end = value(bytes, 0, &mut Blind);
    !matches!(end, Err(Fault::TooDeep | Fault::LongNumber))
}

/// Whether MLflow's reader may trip over the JSON value in `bytes`: `false` is certain.
pub(crate) fn is_hard(bytes: &[u8]) -> bool {
    let mut seen = Seen::default();
    let end = value(bytes, 0, &mut seen);
    seen.hard || matches!(end, Err(Fault::TooDeep | Fault::LongNumber))
}

/// Whether `bytes` are one JSON value, or the beginning of one.
pub(crate) fn is_beginning(bytes: &[u8]) -> bool {
    match value(bytes, 0, &mut Blind) {
        Ok(end) => space(bytes, end) >= bytes.len(),
        Err(fault) => fault == Fault::Torn,
    }
}

/// What is in `bytes`, if they are one JSON value and nothing else.
pub(crate) fn seen(bytes: &[u8]) -> Option<Seen> {
    let mut seen = Seen::default();
    let end = value(bytes, 0, &mut seen).ok()?;
    (space(bytes, end) >= bytes.len()).then_some(seen)
}

/// Learns what a scan comes across.
pub(super) trait Watch {
    /// An escape of a UTF-16 surrogate.
    fn surrogate(&mut self) {}
    /// `NaN` or an infinity.
    fn non_finite(&mut self) {}
    /// A string of more than 512 bytes.
    fn long(&mut self) {}
    /// A value that MLflow may not be able to read back.
    fn hard(&mut self) {}
    /// A member's name, whose content is at `range`.
    fn name(&mut self, _bytes: &[u8], _range: Range<usize>) {}
    /// A string that is a value, whose opening quote is at `at`.
    fn string(&mut self, _bytes: &[u8], _at: usize) {}
    /// An escape in a string, whose backslash is at `at`.
    fn escape(&mut self, _bytes: &[u8], _at: usize) {}
}

/// Learns nothing: for a scan that only looks for an end.
pub(super) struct Blind;

impl Watch for Blind {}

impl Watch for Seen {
    #[inline]
    fn surrogate(&mut self) {
        self.surrogates = true;
    }

    #[inline]
    fn non_finite(&mut self) {
        self.non_finite = true;
    }

    #[inline]
    fn long(&mut self) {
        self.long = true;
    }

    #[inline]
    fn hard(&mut self) {
        self.hard = true;
    }

    #[inline]
    fn name(&mut self, bytes: &[u8], range: Range<usize>) {
        self.credentials |= if self.escaped_at > range.start {
            hint::escaped_name(bytes, range)
        } else {
            hint::name(bytes, range)
        };
    }

    #[inline]
    fn string(&mut self, bytes: &[u8], at: usize) {
        self.credentials |= hint::value(bytes, at + 1);
    }

    #[inline]
    fn escape(&mut self, bytes: &[u8], at: usize) {
        self.escaped_at = at + 1;
        self.credentials |= hint::escape(bytes, at);
    }
}

/// What a text holds that someone has to care about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// A name or a value that is worth a look for credentials, here or in JSON in a string.
    pub(crate) credentials: bool,
    /// Behind the backslash of the last escape; 0 where there was none.
    escaped_at: usize,
    /// An escape of a UTF-16 surrogate: only then can one be unpaired.
    pub(crate) surrogates: bool,
    /// `NaN` or an infinity. RFC 8259 has no such numbers, but Python writes and reads them, and
    /// with it most of those who send frames with missing values.
    pub(crate) non_finite: bool,
    /// A string long enough to be an image, or the beginning of one.
    pub(crate) long: bool,
    /// What MLflow may not be able to read back: a number of 19 digits or more before its point,
    /// more than [`DEEP`] open brackets, or a NUL in a string.
    pub(crate) hard: bool,
}

/// Where the value that begins at or after `at` ends.
pub(super) fn value<W: Watch>(bytes: &[u8], at: usize, seen: &mut W) -> Result<usize, Fault> {
    counted(bytes, at, seen, &mut 0)
}

/// As [`value`], for a container that is not empty: adds its direct children to `len`, up to the
/// first fault.
pub(super) fn counted<W: Watch>(
    bytes: &[u8],
    at: usize,
    seen: &mut W,
    len: &mut usize,
) -> Result<usize, Fault> {
    let mut open = Open::default();
    let mut at = space(bytes, at);
    loop {
        at = match bytes.get(at) {
            Some(b'"') => {
                seen.string(bytes, at);
                string(bytes, at, seen)?
            }
            Some(b'-' | b'0'..=b'9') => {
                let in_array = open.top() == Some(false);
                let run = in_array.then(|| rows::run(bytes, at, open.is_row(), seen));
                if let Some(run) = run.flatten() {
                    *len += match open.depth {
                        1 => run.numbers,
                        2 => run.rows,
                        _ => 0,
                    };
                    at = space(bytes, run.next);
                    continue;
                }
                number(bytes, at, seen)?
            }
            Some(b'N') => {
                seen.non_finite();
                literal(bytes, at, b"NaN")?
            }
            Some(b'I') => {
                seen.non_finite();
                literal(bytes, at, b"Infinity")?
            }
            Some(b'{') => {
                open.push(true, seen)?;
                at = space(bytes, at + 1);
                if bytes.get(at) != Some(&b'}') {
                    at = key(bytes, at, seen)?;
                    continue;
                }
                at
            }
            Some(b'[') => {
                open.push(false, seen)?;
                at = space(bytes, at + 1);
                if bytes.get(at) != Some(&b']') {
                    continue;
                }
                at
            }
            Some(b't') => literal(bytes, at, b"true")?,
            Some(b'f') => literal(bytes, at, b"false")?,
            Some(b'n') => literal(bytes, at, b"null")?,
            Some(_) => return Err(Fault::Malformed),
            None => return Err(Fault::Torn),
        };
        match after(bytes, at, &mut open, seen, len)? {
            Next::Element(next) => at = next,
            Next::End(end) => return Ok(end),
        }
    }
}

/// What stands behind an element.
enum Next {
    /// Another, which begins there.
    Element(usize),
    /// Nothing: the outermost value ends there.
    End(usize),
}

/// Past what ends at `at`: its comma, or the brackets that close behind it.
#[inline]
fn after<W: Watch>(
    bytes: &[u8],
    mut at: usize,
    open: &mut Open,
    seen: &mut W,
    len: &mut usize,
) -> Result<Next, Fault> {
    loop {
        let Some(object) = open.top() else {
            return Ok(Next::End(at));
        };
        at = space(bytes, at);
        match bytes.get(at) {
            Some(b',') => {
                *len += usize::from(open.depth == 1);
                let next = space(bytes, at + 1);
                let next = if object {
                    key(bytes, next, seen)?
                } else {
                    next
                };
                return Ok(Next::Element(next));
            }
            Some(b'}') if object => open.pop(),
            Some(b']') if !object => open.pop(),
            Some(_) => return Err(Fault::Malformed),
            None => return Err(Fault::Torn),
        }
        *len += usize::from(open.depth == 0);
        at += 1;
    }
}

/// Past a key at `at` and its colon: where the value begins.
pub(super) fn key<W: Watch>(bytes: &[u8], at: usize, seen: &mut W) -> Result<usize, Fault> {
    match bytes.get(at) {
        Some(b'"') => {}
        Some(_) => return Err(Fault::Malformed),
        None => return Err(Fault::Torn),
    }
    let end = string(bytes, at, seen)?;
    seen.name(bytes, at + 1..end - 1);
    colon(bytes, end)
}

/// Past the colon after a key that ends at `at`: where the value begins.
pub(super) fn colon(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let end = space(bytes, at);
    match bytes.get(end) {
        Some(b':') => Ok(space(bytes, end + 1)),
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Torn),
    }
}

/// The first byte at or after `at` that is no white space.
#[inline]
pub(super) fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The open brackets, one bit each: set for an object.
#[derive(Default)]
struct Open {
    bits: u128,
    depth: u32,
}

impl Open {
    fn push<W: Watch>(&mut self, object: bool, seen: &mut W) -> Result<(), Fault> {
        if self.depth >= DEEP {
            seen.hard();
            if self.depth == DEPTH_MAX {
                return Err(Fault::TooDeep);
            }
        }
        self.bits = self.bits << 1 | u128::from(object);
        self.depth += 1;
        Ok(())
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }

    /// Whether the innermost is an array in an array.
    fn is_row(&self) -> bool {
        self.depth > 1 && self.bits & 0b11 == 0
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(), Fault>) {
        assert_eq!(document(text.as_bytes()), expect, "{text:?}");
    }

    #[test]
    fn well_formed_text_is_accepted_to_its_last_byte() {
        for text in [
            "null",
            " true ",
            "false\n",
            "0",
            "-0.0e-10",
            "[NaN, -Infinity, Infinity]",
            "12345678901234567890",
            r#""""#,
            "[]",
            "{ }",
            "[1, 2 ,3]",
            "[\n  -0.25,\n  1.5,\n  2,\n  3,\n  4,\n  5,\n  6,\n  7,\n  8,\n  9,\n  10,\n  11\n]",
            r#"{"a":{"b":[{}]},"c":"d"}"#,
            r#""\ud83d\ude00 \\ \" \u00e9""#,
            r#"["a long string that needs more than one word of eight","é"]"#,
        ] {
            check(text, Ok(()));
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_malformed() {
        for text in [
            "nul!",
            "01",
            "1.x",
            "-x",
            "+1",
            ".5",
            "1ee",
            "[1,]",
            "[1 2]",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "[1}",
            "{\"a\":1]",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "1 2",
            "]",
            "nan",
            "-Inf!",
            "\"12345678\u{1f}\"",
        ] {
            check(text, Err(Fault::Malformed));
        }
    }

    #[test]
    fn every_prefix_of_an_object_is_torn() {
        let text = r#"{"a" : [1.5e3, true, "x\n\u00e9", {"b": null}]}"#;
        for end in 0..text.len() {
            check(&text[..end], Err(Fault::Torn));
        }
        check(text, Ok(()));
    }

    #[test]
    fn agrees_with_serde_json_on_strings_of_every_length() {
        for len in 0..40 {
            for hit in ["\"", "\\n", "\u{1f}", "é", "~"] {
                let text = format!("[\"{}{hit}\",1]", "a".repeat(len));
                let expect = serde_json::from_str::<serde_json::Value>(&text).is_ok();
                assert_eq!(document(text.as_bytes()).is_ok(), expect, "{text}");
            }
        }
    }

    #[test]
    fn a_million_open_brackets_are_too_deep_and_overflow_nothing() {
        check(&"[".repeat(1_000_000), Err(Fault::TooDeep));
        check(&"{\"a\":".repeat(1_000_000), Err(Fault::TooDeep));
        check(&format!("{}{}", "[".repeat(128), "]".repeat(128)), Ok(()));
        check(
            &format!("{}{}", "[".repeat(129), "]".repeat(129)),
            Err(Fault::TooDeep),
        );
    }

    #[test]
    fn a_number_that_python_refuses_to_read_is_refused() {
        check(&"9".repeat(4096), Ok(()));
        check(&"9".repeat(4301), Err(Fault::LongNumber));
    }
}
