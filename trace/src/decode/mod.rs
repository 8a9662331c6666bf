//! An exchange to a trace. Cannot fail: what is not understood is kept as it is, and said so.
//!
//! In stages, each of which knows nothing of the next: content codings are opened
//! ([`encoding`]), the bytes looked at for their shape ([`body`]), streams cut into events
//! ([`sse`], [`lines`], [`eventstream`]), and the rest is a matter of the format ([`format`]), which is where a new API goes.
//!
//! Whatever the bytes, nothing here panics or recurses, time is linear in the bytes kept, and
//! a trace holds at most a few times what was kept and the cap on unpacking let through.

mod arrival;
mod attributes;
mod body;
mod content;
mod defect;
mod encoding;
mod eventstream;
mod fit;
mod format;
mod identity;
pub(crate) mod json;
mod kept;
mod lines;
mod media;
mod multipart;
mod pointer;
mod spans;
pub(crate) mod sse;
mod text;
mod url;

#[cfg(test)]
mod tests;

use crate::{Body, Counts, EndReason, Exchange, Headers, Trace};

use self::body::Document;
use self::defect::Notes;

pub use self::defect::Defect;

/// Reads one exchange.
pub fn decode(exchange: &Exchange) -> (Trace, Vec<Defect>) {
    let mut notes = Notes::default();
    let mut read = |headers: &Headers, body: &Body| {
        let ended = exchange.outcome.end == EndReason::Complete;
        Document::read(headers, body, ended, &exchange.plan, &mut notes)
    };
    let request = read(&exchange.request.headers, &exchange.request.body);
    let response = match &exchange.response {
        Some(response) => read(&response.headers, &response.body),
        None => read(&Headers::default(), &Body::default()),
    };
    let reading = format::read(exchange, &request, &response, &mut notes);
    let ending = spans::Ending::of(exchange, &reading);
    let mut spans = vec![spans::root(
        exchange, &request, &reading, &ending, &mut notes,
    )];
    spans.extend(spans::upstream(exchange, reading, &ending));
    let mut trace = Trace {
        id: exchange.ids.trace_id,
        spans,
        info: identity::info(exchange, &request, &mut notes),
        redactions: Counts::default(),
        hard: false,
    };
    let mut redactions = std::mem::take(&mut notes.redactions);
    exchange.plan.redaction.trace(&mut trace, &mut redactions);
    spans::put_redactions(&mut trace, redactions);
    let target = exchange.request.uri.path_and_query();
    let escapes = target.is_some_and(|target| target.as_str().contains('%'));
    trace.hard = fit::is_hard(&trace, &[&request, &response], escapes);
    (trace, notes.into_defects())
}
