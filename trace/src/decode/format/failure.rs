//! Errors that answers report, whatever their status; one reader for all APIs.
//!
//! An answer of a language model's API has its error under `error`, or is one as a whole:
//! `{"object":"error",…}` (vLLM until mid 2025, FastChat, LMDeploy), `{"type":"error",…}`
//! (Anthropic, OpenAI's Responses), an `error_code` (FastChat's workers, Baidu), a `base_resp`
//! (MiniMax), a list of `errors` (Writer, Cloudflare). In an answer of an unknown API `error` may
//! be a figure or a column: there it needs words, and may have nothing but a report beside it.

use std::borrow::Cow;

use crate::decode::json::{Kind, Raw};
use crate::decode::text;

use super::llm::{Ends, Fields, name, scalar};

/// An error's words are cut to this many bytes.
const WORDS_BYTES_MAX: usize = 512;

/// Members that name the kind of an error. `type` is first: a code often repeats the status.
const KINDS: [&str; 8] = [
    "type",
    "error_type",
    "error_code",
    "code",
    "__type",
    "status_code",
    "tpe",
    "key",
];

/// Members that hold the message of an error.
const MESSAGES: [&str; 11] = [
    "message",
    "Message",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
    "detail",
    "reason",
    "description",
    "error",
];

/// Messages that make an object under `error` an error in an unknown API: a figure may have a
/// `description`, but none of these.
const SURE_MESSAGES: [&str; 4] = ["message", "msg", "detail", "reason"];

/// Members that may stand beside an error in an unknown API, since they are no answer.
const BESIDE: [&str; 40] = [
    "code",
    "data",
    "detail",
    "details",
    "documentation_url",
    "error",
    "error_code",
    "error_description",
    "error_message",
    "error_msg",
    "error_type",
    "errorMessage",
    "errors",
    "extras",
    "help",
    "hint",
    "instance",
    "message",
    "messages",
    "method",
    "msg",
    "object",
    "ok",
    "param",
    "path",
    "reason",
    "request_id",
    "requestId",
    "stack",
    "stack_trace",
    "status",
    "status_code",
    "statusCode",
    "success",
    "timestamp",
    "title",
    "trace_id",
    "traceback",
    "traceId",
    "type",
];

/// An error that an answer reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its kind and, where content may be stored, its message; may be empty.
    pub(crate) words: String,
    /// OpenTelemetry's `error.type`, if a convention defines it; the default is the end reason.
    pub(crate) error_type: Option<Cow<'static, str>>,
}

impl Failure {
    /// Makes an error of these words, cut.
    pub(super) fn of_words(words: &str) -> Self {
        Self {
            words: text::cut(words, WORDS_BYTES_MAX).to_owned(),
            error_type: None,
        }
    }

    /// Makes an error of a report: its kind, and its message if `full` allows content.
    pub(super) fn of_report(report: Raw<'_>, full: bool) -> Self {
        // Of a list, its first error.
        let report = report.elements().next().unwrap_or(report);
        match report.kind() {
            Kind::Object => Self::of_words(&words(report, full).unwrap_or_default()),
            _ if !full => Self::default(),
            _ => match report.text() {
                Some(text) => Self::of_words(&text),
                None => Self::of_words(&scalar(report)),
            },
        }
    }
}

/// Returns the kind and the message of an error; `None` if it has neither.
pub(super) fn words(error: Raw<'_>, full: bool) -> Option<String> {
    let kind = |raw: Raw<'_>| match raw.kind() {
        Kind::String => name(raw).filter(|kind| kind != "error"),
        Kind::Number => Some(scalar(raw)),
        _ => None,
    };
    let kind = KINDS.iter().find_map(|key| kind(error.get(key)?));
    let message = MESSAGES.iter().find_map(|key| message(error.get(key)?));
    let message = message.filter(|_| full);
    match (kind, message) {
        (Some(kind), Some(message)) => Some(format!("{kind}: {message}")),
        (Some(kind), None) => Some(kind),
        (None, message) => message.map(Cow::into_owned),
    }
}

/// Returns a text that is not empty; of FastAPI's list of faults, the first one's.
fn message(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let text = match raw.kind() {
        Kind::Array => raw.elements().next()?.get("msg")?.text(),
        _ => raw.text(),
    };
    text.filter(|text| !text.trim().is_empty())
}

/// Returns whether a value is more than `null`, `false`, zero, an empty one, or an object of those.
pub(super) fn is_set(value: Raw<'_>) -> bool {
    match value.kind() {
        Kind::Object => value.entries().any(|(_, value)| is_set_itself(value)),
        _ => is_set_itself(value),
    }
}

fn is_set_itself(value: Raw<'_>) -> bool {
    match value.kind() {
        Kind::Null => false,
        Kind::Bool => value.0 == b"true",
        Kind::Number => value.float() != Some(0.0),
        // Python writes `None` as a text, others write `null` so.
        Kind::String => message(value).is_some_and(|text| {
            let is = |word| text.trim().eq_ignore_ascii_case(word);
            !is("none") && !is("null")
        }),
        Kind::Array => value.elements().next().is_some(),
        Kind::Object => value.entries().next().is_some(),
    }
}

/// Returns the part of an answer of a language model's API, or of a piece of one, that reports an
/// error: the value of `error`, or all of the object.
pub(super) fn report<'a>(members: &[(&'a [u8], Raw<'a>)], whole: Raw<'a>) -> Option<Raw<'a>> {
    let mut flat = None;
    for (key, value) in members {
        let found = match *key {
            b"error" if is_error(*value, whole) => return Some(of_member(*value, whole)),
            b"object" | b"type" => value.0 == b"\"error\"",
            b"error_code" => is_set(*value) && has(whole, &MESSAGES, b"text"),
            b"errors" => value.elements().next().is_some_and(is_reported),
            b"base_resp" => value.get("status_code").is_some_and(is_set),
            _ => false,
        };
        if found && flat.is_none() {
            flat = Some(if *key == b"base_resp" { *value } else { whole });
        }
    }
    flat
}

/// Returns whether the value of `error` is one; a bare number or truth needs a message beside it.
fn is_error(error: Raw<'_>, whole: Raw<'_>) -> bool {
    is_set(error) && (!is_bare(error) || has(whole, &MESSAGES, b""))
}

/// Returns the part of an object with this `error` that has the words.
fn of_member<'a>(error: Raw<'a>, whole: Raw<'a>) -> Raw<'a> {
    if is_bare(error) { whole } else { error }
}

/// Returns whether an object has a message under one of these names, or under `other`.
fn has(object: Raw<'_>, names: &[&str], other: &[u8]) -> bool {
    let named = |key: &[u8]| key == other || names.iter().any(|name| name.as_bytes() == key);
    let mut entries = object.entries();
    entries.any(|(key, value)| named(key) && key != b"error" && message(value).is_some())
}

/// Returns whether an item of a list of errors has a message.
fn is_reported(item: Raw<'_>) -> bool {
    has(item, &MESSAGES, b"")
}

/// Returns the error that an answer of a language model's API reports: as [`report`] finds it, as
/// the `error` of a choice (OpenRouter), by a reason to finish, or by its own status.
pub(super) fn in_model_answer(
    fields: &Fields<'_>,
    whole: Raw<'_>,
    ends: &Ends<'_>,
    full: bool,
) -> Option<Failure> {
    let report = report(fields.members(), whole).or_else(|| {
        let error = ends.error?;
        (!is_bare(error) && is_set(error)).then_some(error)
    });
    match report {
        Some(report) => Some(Failure::of_report(report, full)),
        None => by_reason(&ends.reasons).or_else(|| by_status(fields, full)),
    }
}

fn is_bare(value: Raw<'_>) -> bool {
    matches!(value.kind(), Kind::Bool | Kind::Number)
}

/// Reads `error` as a reason to finish (OpenRouter, Mistral, vLLM), and Cohere's `ERROR` and
/// `ERROR_…`.
fn by_reason(reasons: &[String]) -> Option<Failure> {
    let is_error = |reason: &&String| {
        let (head, tail) = reason.split_at_checked(5).unwrap_or((reason, ""));
        head.eq_ignore_ascii_case("error") && (tail.is_empty() || tail.starts_with('_'))
    };
    let reason = reasons.iter().find(is_error)?;
    Some(Failure::of_words(&format!("finish reason {reason}")))
}

/// Reads an object that failed by its own `status`: a response, an assistant's run, a job.
pub(super) fn by_status(fields: &Fields<'_>, full: bool) -> Option<Failure> {
    let is_object = fields.get("object")?.kind() == Kind::String;
    let failed = fields.get("status")?.quoted() == Some(b"failed");
    if !is_object || !failed {
        return None;
    }
    let within = |key| fields.get(key).filter(|error| is_set(*error));
    let data = || fields.get("errors")?.get("data")?.elements().next();
    let error = within("error")
        .or_else(|| within("last_error"))
        .or_else(data);
    Some(match error {
        Some(error) => Failure::of_report(error, full),
        None => Failure::of_words("failed"),
    })
}

/// Returns the error that an object of an unknown API reports.
///
/// `{"error":0.12}` is a figure and `{"error":["a","b"]}` a column. So an object under `error` needs
/// a message, a text may only stand among members that belong to a report, and a number or a
/// truth needs a message beside it as well.
pub(super) fn in_unknown_api(
    members: &[(&[u8], Raw<'_>)],
    whole: Raw<'_>,
    full: bool,
) -> Option<Failure> {
    let error = members.iter().find(|(key, _)| *key == b"error");
    if let Some((_, error)) = error.filter(|(_, error)| error.kind() == Kind::Object) {
        let sure = has(*error, &SURE_MESSAGES, b"");
        return sure.then(|| Failure::of_report(*error, full));
    }
    // MiniMax sends it beside the rest of an answer.
    let minimax = members.iter().find(|(key, _)| *key == b"base_resp");
    if let Some(report) = minimax.and_then(|only| report(&[*only], whole)) {
        return Some(Failure::of_report(report, full));
    }
    let is_column = error.is_some_and(|(_, error)| error.kind() == Kind::Array);
    if is_column || !is_alone(members) {
        return None;
    }
    report(members, whole).map(|report| Failure::of_report(report, full))
}

/// Returns whether all members of an object belong to the report of an error.
pub(super) fn is_alone(members: &[(&[u8], Raw<'_>)]) -> bool {
    members.iter().all(belongs)
}

/// Returns whether a member may be part of a report: by its name, or since it is empty.
fn belongs((key, value): &(&[u8], Raw<'_>)) -> bool {
    let empty = match value.kind() {
        Kind::Null => true,
        Kind::Bool | Kind::Number => false,
        Kind::String | Kind::Array | Kind::Object => !is_set(*value),
    };
    empty || BESIDE.iter().any(|name| name.as_bytes() == *key)
}

/// Returns the error of an answer with a status of 400 or above: `error`, or its members one level
/// up.
pub(super) fn in_refusal(fields: &Fields<'_>, whole: Raw<'_>, full: bool) -> Option<Failure> {
    let error = fields.get("error").filter(|error| is_set(*error));
    match error.filter(|error| !is_bare(*error)) {
        Some(error) => Some(Failure::of_report(error, full)),
        None => words(whole, full).map(|words| Failure::of_words(&words)),
    }
}
