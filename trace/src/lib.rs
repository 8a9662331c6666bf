//! The nouns of offpath, and bytes to meaning.
//!
//! An [`Exchange`] is one request and its response as the request path saw it: refcounted
//! bytes, times, how it ended. [`decode`] reads it and gives a [`Trace`], the spans that an
//! exporter sends. This crate knows formats; it does no I/O, reads no clock and starts
//! no thread, so every test of it is a table of bytes.

mod context;
pub mod decode;
mod exchange;
mod headers;
mod last_word;
mod percent;
mod plan;
mod rate;
mod redact;
mod source;
mod span;

pub use context::{SpanId, TraceContext, TraceId};
pub use decode::{Defect, decode};
pub use exchange::{
    Body, Charge, Chunk, EndReason, Exchange, Ids, KeptBecause, Outcome, Request, Response, Timing,
};
pub use headers::Headers;
pub use last_word::StreamEnd;
pub use plan::{Level, Plan};
pub use rate::RateCap;
pub use redact::{
    Counts, Pattern, Pointer, Redaction, RuleError, Rules, names_credential, without_credentials,
};
pub use source::Source;
pub use span::{Link, Span, SpanKind, Status, Text, Trace, TraceInfo, Value};
