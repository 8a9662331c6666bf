//! JSON-RPC 2.0, as MCP and A2A use it: the calls of a request, which of them were answered, and
//! their errors.
//!
//! `error.type` follows OpenTelemetry's conventions for MCP: it is the code of a JSON-RPC error, and
//! `tool_error` if a tool's result has `isError`.

use std::borrow::Cow;

use http::Method;

use crate::Exchange;
use crate::decode::body::{Document, Media};
use crate::decode::json::{Kind, Raw};

use super::failure::Failure;
use super::llm::scalar;

/// Calls of one batch beyond this many are not followed.
const CALLS_MAX: usize = 256;

/// Fields of the requests of an MCP session (MCP 2025-06-18, "Transports").
const SESSION: [&str; 2] = ["mcp-session-id", "mcp-protocol-version"];

/// The calls of one request.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Ids of the calls without an answer, as written.
    open: Vec<Vec<u8>>,
    /// The request has a call.
    any: bool,
    /// The first message of the answer that reports an error.
    pub(super) failed: Option<Vec<u8>>,
}

impl Calls {
    /// Reads the calls of a request.
    pub(super) fn of(request: &Document) -> Self {
        let mut calls = Self::default();
        let Some(outline) = request.outline() else {
            return calls;
        };
        match outline.kind {
            Kind::Array => {
                let all = Raw(request.bytes.trim_ascii()).elements();
                all.take(CALLS_MAX).for_each(|call| calls.ask(call));
            }
            _ if request.member("jsonrpc").is_some() => {
                calls.ask(Raw(request.bytes.trim_ascii()));
            }
            _ => {}
        }
        calls.any = !calls.open.is_empty();
        calls
    }

    fn ask(&mut self, call: Raw<'_>) {
        if let (true, Some(id)) = (is_message(call), call.get("id"))
            && call.get("method").is_some()
        {
            self.open.push(id.0.to_vec());
        }
    }

    /// Returns whether every call was answered, and there was one.
    pub(super) fn are_answered(&self) -> bool {
        self.any && self.open.is_empty()
    }

    /// Reads a message of the answer. Returns `false` if it is not of JSON-RPC.
    pub(super) fn take(&mut self, message: Raw<'_>) -> bool {
        if !is_message(message) {
            return false;
        }
        // Requests and notifications of the server have a method.
        if message.get("method").is_some() {
            return true;
        }
        let id = message.get("id");
        let result = message.get("result");
        if result.is_none_or(is_last)
            && let Some(at) = self.open.iter().position(|open| id == Some(Raw(open)))
        {
            self.open.swap_remove(at);
        }
        if self.failed.is_none() && failure(message, false).is_some() {
            self.failed = Some(message.0.to_vec());
        }
        true
    }
}

/// Returns the error that a message of an answer reports.
pub(super) fn failure(message: Raw<'_>, full: bool) -> Option<Failure> {
    let error = message.get("error");
    let Some(error) = error.filter(|error| error.kind() == Kind::Object) else {
        return tool_error(message.get("result")?, full);
    };
    Some(Failure {
        error_type: code(message).map(Cow::Owned),
        ..Failure::of_report(error, full)
    })
}

/// Returns the code of a message's error: -32601 of `{"error":{"code":-32601,"message":"…"}}`.
pub(super) fn code(message: Raw<'_>) -> Option<String> {
    let code = message.get("error")?.get("code")?;
    (code.kind() == Kind::Number).then(|| scalar(code))
}

/// Returns whether a message is of JSON-RPC 2.0.
fn is_message(message: Raw<'_>) -> bool {
    message.get("jsonrpc").and_then(Raw::quoted) == Some(b"2.0")
}

/// Returns whether a result is the last one of its call. A2A streams several results per call, each
/// of a `kind`: a task and its updates, of which one is `final`, or one message.
fn is_last(result: Raw<'_>) -> bool {
    match result.get("kind").and_then(Raw::quoted) {
        Some(b"task" | b"status-update" | b"artifact-update") => {
            result.get("final").and_then(Raw::truth) == Some(true)
        }
        _ => true,
    }
}

/// Reads the result of an MCP tool that failed: `{"content":[{"type":"text","text":"…"}],"isError":true}`.
fn tool_error(result: Raw<'_>, full: bool) -> Option<Failure> {
    if result.get("isError").and_then(Raw::truth) != Some(true) {
        return None;
    }
    let content = result.get("content").into_iter().flat_map(Raw::elements);
    let mut texts = content.filter_map(|part| part.get("text").and_then(Raw::text));
    let words = texts.next().filter(|_| full).unwrap_or_default();
    Some(Failure {
        error_type: Some(Cow::Borrowed("tool_error")),
        ..Failure::of_words(words.trim())
    })
}

/// Returns whether an exchange is the stream that an MCP client holds open for messages of the
/// server; only its client ends it.
pub(super) fn is_standing(exchange: &Exchange, response: &Document) -> bool {
    let asked = &exchange.request;
    asked.method == Method::GET
        && response.media == Media::EventStream
        && SESSION.iter().any(|name| asked.headers.contains(name))
}
