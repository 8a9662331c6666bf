//! A trace as an exporter sends it: spans with attributes, in OpenTelemetry's sense.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::{Counts, SpanId, TraceId};

/// The spans of one exchange; the root comes first.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The id they share.
    pub id: TraceId,
    /// Root first. Never empty.
    pub spans: Vec<Span>,
    /// What spans cannot say of it; `None` where there is nothing.
    pub info: Option<Box<TraceInfo>>,
    /// What was masked in them.
    pub redactions: Counts,
    /// Whether MLflow may fail to read it back as it is: see [`Trace::fitted`].
    pub hard: bool,
}

/// What is known of a trace as a whole, and no span can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceInfo {
    /// The client's own id of the request.
    pub client_request_id: Option<String>,
    /// Immutable metadata, by unique key.
    pub metadata: Vec<(Arc<str>, String)>,
}

/// One span.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its id.
    pub id: SpanId,
    /// The span it hangs under; `None` for a root.
    pub parent: Option<SpanId>,
    /// Other traces that it belongs with.
    pub links: Vec<Link>,
    /// Its name.
    pub name: Cow<'static, str>,
    /// Which side of a call it stands for.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended; never before `start`.
    pub end: SystemTime,
    /// Whether it failed.
    pub status: Status,
    /// Keys and values; no key twice.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
}

/// A span in another trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The other trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

/// Which side of a call a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// offpath, as its client sees it.
    Server,
    /// offpath, as the upstream sees it.
    Client,
}

/// Whether a span failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It did not.
    Ok,
    /// It did, for this reason.
    Error(String),
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, often a whole body.
    Text(Text),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A list of texts.
    Texts(Vec<Text>),
}

/// UTF-8 text that shares its memory where it can: a body becomes an attribute uncopied.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    /// The bytes themselves where they are UTF-8; else a copy with U+FFFD for what is not.
    pub fn from_utf8_lossy(bytes: Bytes) -> Self {
        match String::from_utf8_lossy(&bytes) {
            Cow::Borrowed(_) => Self(bytes),
            Cow::Owned(mended) => Self(Bytes::from(mended)),
        }
    }

    /// Of bytes that were found to be UTF-8: a body is checked once.
    pub(crate) fn trusted(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text's bytes, shared.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}
