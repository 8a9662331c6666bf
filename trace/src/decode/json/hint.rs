//! Whether a text is worth a look for credentials, told in the pass that checks it.
//!
//! Each hint costs a few instructions where there is nothing, and may be wrong in one direction
//! alone: what it reports is looked at once more, what it does not report is not.

use std::ops::Range;

use crate::redact::names::{self, Place};

use super::Raw;

/// Bytes of an authority's beginning within which a URL has its `://`.
const SCHEME_BYTES_MAX: usize = 24;

/// Of a name without escapes, whose content is at `range`.
#[inline]
pub(super) fn name(bytes: &[u8], range: Range<usize>) -> bool {
    may_end(bytes, range.end) && is_name(bytes.get(range).unwrap_or_default())
}

/// Of a name with escapes.
#[cold]
pub(super) fn escaped_name(bytes: &[u8], range: Range<usize>) -> bool {
    let quoted = bytes.get(range.start.saturating_sub(1)..range.end + 1);
    let meant = Raw(quoted.unwrap_or_default()).text();
    meant.is_none_or(|name| names::kind(&name, Place::Member).is_some())
}

/// Of a string's beginning at `at`, after its quote: a URL, or the words of `authorization`.
#[inline]
pub(super) fn value(bytes: &[u8], at: usize) -> bool {
    let first = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    first.is_some_and(|first| {
        matches!(
            &first.map(|byte| byte | 0x20),
            b"amqp" | b"basi" | b"bear" | b"http" | b"mong" | b"mysq" | b"post" | b"redi"
        ) && is_value(bytes, at)
    })
}

/// Of an escape in a string, whose backslash is at `at`: a quote or a backslash ends a name where
/// the string holds JSON, and begins a value.
#[inline]
pub(super) fn escape(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at + 1) {
        Some(b'"') => ends_name(bytes, at) || value(bytes, at + 2),
        Some(b'\\') => bytes.get(at + 2) == Some(&b'u') || ends_name(bytes, at),
        Some(b'u') if bytes.get(at + 2) == Some(&b'0') => ascii(bytes, at),
        _ => false,
    }
}

/// Of an escape of what may be ASCII: no writer escapes a letter that way, unless it hides one.
fn ascii(bytes: &[u8], at: usize) -> bool {
    let digits = bytes.get(at + 2..at + 6).unwrap_or_default();
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    match u8::from_str_radix(digits, 16) {
        Ok(b'"' | b'\\') => ends_name(bytes, at) || value(bytes, at + 6),
        Ok(letter) => letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-'),
        Err(_) => false,
    }
}

#[inline]
fn may_end(bytes: &[u8], end: usize) -> bool {
    let last = end.checked_sub(3).and_then(|from| bytes.get(from..end));
    last.and_then(|last| last.first_chunk())
        .is_some_and(|last| names::may_end(*last))
}

/// Whether a name in a string ends at `end`.
#[inline]
fn ends_name(bytes: &[u8], end: usize) -> bool {
    may_end(bytes, end) && {
        let name = names::before(bytes, end);
        is_name(name) || name.strip_prefix(b"u0022").is_some_and(is_name)
    }
}

#[cold]
fn is_name(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| names::kind(name, Place::Member).is_some())
}

#[cold]
fn is_value(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let inner = rest
        .get(..memchr::memchr(b'"', rest).unwrap_or(rest.len()))
        .unwrap_or_default();
    let has = |byte| memchr::memchr(byte, inner).is_some();
    let head = inner
        .get(..SCHEME_BYTES_MAX.min(inner.len()))
        .unwrap_or_default();
    let lower = head.to_ascii_lowercase();
    if lower.starts_with(b"bearer ") || lower.starts_with(b"basic ") {
        return true;
    }
    // A slash may be escaped.
    memchr::memchr(b':', head).is_some()
        && has(b'/')
        && (has(b'@') || has(b'=') && (has(b'?') || has(b'#')))
}
