//! One pass over JSON text: where does this value end, and is it well formed?
//!
//! Strict as RFC 8259 but for `NaN` and infinities, with two limits that stand for what reads the text next: MLflow's
//! server is Python, whose `json` raises something other than a decode error, and so refuses a
//! whole batch, when nesting nears 1,000 or an integer passes 4,300 digits.

/// Deeper nesting than this is a fault. Real bodies stay below 30.
pub(crate) const DEPTH_MAX: u32 = 128;

/// A longer number than this, in bytes, is a fault.
const NUMBER_BYTES_MAX: usize = 4096;

/// Why a text is not JSON, or not JSON that anyone should be handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends before its value does.
    Torn,
    /// A byte that cannot stand where it stands.
    Malformed,
    /// More than [`DEPTH_MAX`] open brackets.
    TooDeep,
    /// A number of more than [`NUMBER_BYTES_MAX`] bytes.
    LongNumber,
}

/// Checks that `bytes` are one JSON value and nothing else.
pub(crate) fn document(bytes: &[u8]) -> Result<(), Fault> {
    let end = value(bytes, 0, &mut Seen::default())?;
    match space(bytes, end) {
        end if end >= bytes.len() => Ok(()),
        _ => Err(Fault::Malformed),
    }
}

/// What a text holds that someone has to care about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// An escape of a UTF-16 surrogate: only then can one be unpaired.
    pub(crate) surrogates: bool,
    /// `NaN` or an infinity. RFC 8259 has no such numbers, but Python writes and reads them, and
    /// with it most of those who send frames with missing values.
    pub(crate) non_finite: bool,
}

/// Where the value that begins at or after `at` ends.
pub(super) fn value(bytes: &[u8], at: usize, seen: &mut Seen) -> Result<usize, Fault> {
    let mut open = Open::default();
    let mut at = space(bytes, at);
    loop {
        at = match bytes.get(at) {
            Some(b'"') => string(bytes, at, seen)?,
            Some(b'-') if bytes.get(at + 1) == Some(&b'I') => {
                seen.non_finite = true;
                literal(bytes, at, b"-Infinity")?
            }
            Some(b'-' | b'0'..=b'9') => number(bytes, at)?,
            Some(b'N') => {
                seen.non_finite = true;
                literal(bytes, at, b"NaN")?
            }
            Some(b'I') => {
                seen.non_finite = true;
                literal(bytes, at, b"Infinity")?
            }
            Some(b'{') => {
                open.push(true)?;
                at = space(bytes, at + 1);
                if bytes.get(at) != Some(&b'}') {
                    at = key(bytes, at, seen)?;
                    continue;
                }
                at
            }
            Some(b'[') => {
                open.push(false)?;
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
        loop {
            let Some(object) = open.top() else {
                return Ok(at);
            };
            at = space(bytes, at);
            match bytes.get(at) {
                Some(b',') if object => {
                    at = key(bytes, space(bytes, at + 1), seen)?;
                    break;
                }
                Some(b',') => {
                    at = space(bytes, at + 1);
                    break;
                }
                Some(b'}') if object => open.pop(),
                Some(b']') if !object => open.pop(),
                Some(_) => return Err(Fault::Malformed),
                None => return Err(Fault::Torn),
            }
            at += 1;
        }
    }
}

/// Past a key at `at` and its colon: where the value begins.
pub(super) fn key(bytes: &[u8], at: usize, seen: &mut Seen) -> Result<usize, Fault> {
    match bytes.get(at) {
        Some(b'"') => {}
        Some(_) => return Err(Fault::Malformed),
        None => return Err(Fault::Torn),
    }
    let end = space(bytes, string(bytes, at, seen)?);
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

/// Past the string whose opening quote is at `at`.
pub(super) fn string(bytes: &[u8], at: usize, seen: &mut Seen) -> Result<usize, Fault> {
    let mut at = at + 1;
    loop {
        at = plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape(bytes, at + 1, seen)?,
            Some(_) => return Err(Fault::Malformed),
            None => return Err(Fault::Torn),
        }
    }
}

/// Past the bytes of a string that stand for themselves, eight at a time.
#[inline]
fn plain(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // Exact up to the first hit, which is all that is asked: a borrow only runs upward.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(word) = word(bytes, at) {
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = quote | backslash | control;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(0x20..=0x21 | 0x23..=0x5b | 0x5d..=0xff) = bytes.get(at) {
        at += 1;
    }
    at
}

/// Past an escape whose backslash is before `at`.
fn escape(bytes: &[u8], at: usize, seen: &mut Seen) -> Result<usize, Fault> {
    match bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => {
            for digit in at + 1..at + 5 {
                match bytes.get(digit) {
                    Some(byte) if byte.is_ascii_hexdigit() => {}
                    Some(_) => return Err(Fault::Malformed),
                    None => return Err(Fault::Torn),
                }
            }
            let first = (bytes.get(at + 1), bytes.get(at + 2));
            seen.surrogates |= matches!(
                first,
                (Some(b'd' | b'D'), Some(b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F'))
            );
            Ok(at + 5)
        }
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Torn),
    }
}

fn number(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
    at = match bytes.get(at) {
        Some(b'0') => at + 1,
        _ => digits(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits(bytes, at + 1 + usize::from(sign))?;
    }
    if at - start > NUMBER_BYTES_MAX {
        Err(Fault::LongNumber)
    } else {
        Ok(at)
    }
}

/// Past one digit or more, eight at a time: long fractions are most of a numeric frame.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    const REST: u64 = u64::from_ne_bytes([0x76; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut at = start;
    while let Some(word) = word(bytes, at) {
        // A digit's byte becomes 0 to 9; adding 0x76 sets the high bit of all that is above.
        let value = word ^ ZEROS;
        let others = (value.wrapping_add(REST) | value) & HIGH;
        if others != 0 {
            at += others.trailing_zeros() as usize / 8;
            return if at > start {
                Ok(at)
            } else {
                Err(Fault::Malformed)
            };
        }
        at += 8;
    }
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    match bytes.get(at) {
        _ if at > start => Ok(at),
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Torn),
    }
}

fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, Fault> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.starts_with(word) {
        Ok(at + word.len())
    } else if word.starts_with(rest) {
        Err(Fault::Torn)
    } else {
        Err(Fault::Malformed)
    }
}

/// The eight bytes at `at`, the first lowest.
#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*eight))
}

/// The open brackets, one bit each: set for an object.
#[derive(Default)]
struct Open {
    bits: u128,
    depth: u32,
}

impl Open {
    fn push(&mut self, object: bool) -> Result<(), Fault> {
        if self.depth == DEPTH_MAX {
            return Err(Fault::TooDeep);
        }
        self.bits = self.bits << 1 | u128::from(object);
        self.depth += 1;
        Ok(())
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
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
