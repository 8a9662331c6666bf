//! A value in a JSON body, by a pointer (RFC 6901).

use std::borrow::Cow;
use std::sync::Arc;

use super::body::Document;
use super::json::{Kind, Raw};

/// The string, number or truth value that the steps lead to; of a body that was cut, where it
/// stands before the cut.
pub(super) fn scalar<'a>(document: &'a Document, steps: &[Arc<str>]) -> Option<Cow<'a, str>> {
    let (first, rest) = steps.split_first()?;
    let value = rest.iter().try_fold(top(document, first)?, child)?;
    match value.kind() {
        Kind::String => value.text(),
        Kind::Number | Kind::Bool => std::str::from_utf8(value.0).ok().map(Cow::Borrowed),
        Kind::Object | Kind::Array | Kind::Null => None,
    }
}

/// The first step. The outline knows most members already; a body is walked again only where it
/// may not know this one.
fn top<'a>(document: &'a Document, step: &Arc<str>) -> Option<Raw<'a>> {
    let outline = document.outline()?;
    if outline.kind == Kind::Object && outline.is_complete() && is_plain(step) {
        return outline.get(&document.bytes, step);
    }
    child(Raw(document.bytes.trim_ascii_start()), step)
}

fn child<'a>(value: Raw<'a>, step: &Arc<str>) -> Option<Raw<'a>> {
    match value.kind() {
        Kind::Object => value
            .entries()
            .find_map(|(key, value)| is(key, step).then_some(value)),
        Kind::Array => value.elements().nth(index(step)?),
        _ => None,
    }
}

/// Whether a key, as written, means this step.
fn is(key: &[u8], step: &str) -> bool {
    if !key.contains(&b'\\') {
        return key == step.as_bytes();
    }
    let quoted = [b"\"", key, b"\""].concat();
    Raw(&quoted).text().is_some_and(|meant| meant == step)
}

/// Whether any writer of JSON writes the step without escapes.
fn is_plain(step: &str) -> bool {
    step.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Digits without a leading zero (RFC 6901, section 4).
fn index(step: &str) -> Option<usize> {
    let digits = step.bytes().all(|byte| byte.is_ascii_digit());
    let leading = step.len() > 1 && step.starts_with('0');
    step.parse().ok().filter(|_| digits && !leading)
}
