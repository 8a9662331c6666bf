//! The end and the error of answers that no API's rules put together.

use crate::decode::body::{Document, Media, Shape};
use crate::decode::defect::Notes;
use crate::decode::json::{self, Kind, Raw};
use crate::decode::media;
use crate::{Counts, Exchange, Text};

use super::close::Close;
use super::failure::{self, Failure};
use super::jsonrpc::{self, Calls};
use super::llm::{Fields, Piece, stream};
use super::{Reading, full};

/// Largest JSON with another content type in which an error is looked for.
const MISLABELLED_BYTES_MAX: usize = 64 * 1024;

/// Judges an answer of an unknown API, or one that is not as its API sends it. Calls `watch` with
/// each piece of a stream.
pub(super) fn judge(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    reading: &mut Reading,
    watch: impl FnMut(&Piece<'_>),
) {
    let mut calls = Calls::of(request);
    let (reported, done) = if stream::is_stream(response) {
        pieces(exchange, response, &mut calls, watch)
    } else {
        (whole(exchange, response, &mut calls), false)
    };
    let failed = calls.failed.take();
    let rpc = failed.as_deref().map(|message| masked(exchange, message));
    if let Some(message) = &rpc {
        let code = jsonrpc::code(Raw(message));
        reading.shared.put_some("rpc.response.status_code", code);
    }
    let rpc = rpc.and_then(|message| jsonrpc::failure(Raw(&message), full(exchange)));
    reading.failure = reading.failure.take().or(rpc).or(reported);
    reading.close = Close::last_word_or(done, without_last_word(exchange, response));
}

/// Returns how far an answer came whose last word is unknown.
pub(super) fn without_last_word(exchange: &Exchange, response: &Document) -> Close {
    if is_closed(response) || jsonrpc::is_standing(exchange, response) {
        Close::Whole
    } else {
        Close::AtBodyEnd
    }
}

/// Returns the error that a stream reports, and whether its last word came.
fn pieces(
    exchange: &Exchange,
    response: &Document,
    calls: &mut Calls,
    mut watch: impl FnMut(&Piece<'_>),
) -> (Option<Failure>, bool) {
    // Rows of a table may have a column `error`, and results in lines one of each call.
    let rows = matches!(response.shape, Shape::Json(_) | Shape::JsonPart(_));
    let lines = matches!(response.shape, Shape::Lines);
    let full = full(exchange);
    let mut reported = None;
    // No known format is violated by an unknown one.
    let mut unheard = Notes::default();
    let flow = stream::read(response, &mut unheard, |piece, _| {
        watch(piece);
        let alone = || !lines || failure::is_alone(&piece.entries);
        if !calls.take(piece.raw) && !rows && reported.is_none() && alone() {
            let found = failure::in_unknown_api(&piece.entries, piece.raw, false);
            reported = found.map(|_| piece.raw.0.to_vec());
        }
        false
    });
    let reported = match (reported, flow.error) {
        (Some(piece), _) => {
            let piece = masked(exchange, &piece);
            let members: Vec<_> = Raw(&piece).entries().collect();
            let failure = failure::in_unknown_api(&members, Raw(&piece), full);
            // The route may mask all of it; that it failed is still known.
            Some(failure.unwrap_or_default())
        }
        (None, Some(error)) if flow.failed => {
            let error = masked(exchange, &error);
            Some(Failure::of_report(Raw(&error), full))
        }
        _ => None,
    };
    let done = flow.done || flow.closed || (!rows && calls.are_answered());
    (reported, done)
}

/// Returns the error that an object reports.
fn whole(exchange: &Exchange, response: &Document, calls: &mut Calls) -> Option<Failure> {
    let outline = response.outline()?;
    let members: Vec<_> = outline.whole_members(&response.bytes).collect();
    let whole = Raw(response.bytes.trim_ascii());
    if members.iter().any(|(key, _)| *key == b"jsonrpc") && calls.take(whole) {
        return None;
    }
    let full = full(exchange);
    let by_status = || failure::by_status(&Fields::of(response), full);
    failure::in_unknown_api(&members, whole, full).or_else(by_status)
}

/// Masks an object. The masks are counted with the body that is stored.
fn masked(exchange: &Exchange, object: &[u8]) -> Vec<u8> {
    let mut counts = Counts::default();
    let without = exchange.plan.redaction.fields(object, &mut counts);
    without.unwrap_or_else(|| object.to_vec())
}

/// Returns whether a body is JSON that is closed; a bare number could go on.
fn is_closed(response: &Document) -> bool {
    let container = |kind| matches!(kind, Kind::Object | Kind::Array);
    matches!(&response.shape, Shape::Json(outline) if container(outline.kind))
}

/// Reads an error from JSON with another content type, and stores it as the output: DeepSeek sends
/// its refusals as `application/octet-stream`.
pub(super) fn read_mislabelled(
    exchange: &Exchange,
    response: &Document,
    reading: &mut Reading,
    notes: &mut Notes,
) {
    let Some(json) = mislabelled(exchange, response, notes) else {
        return;
    };
    let (whole, full) = (Raw(&json), full(exchange));
    let members: Vec<_> = whole.entries().collect();
    let refused = exchange.refused().is_some();
    let failure = match refused {
        true => failure::in_refusal(&Fields::of_object(whole), whole, full),
        false => failure::in_unknown_api(&members, whole, full),
    };
    let Some(failure) = failure else {
        return;
    };
    reading.failure.get_or_insert(failure);
    if full {
        reading.outputs = Some(Text::trusted(json.into()));
    }
}

/// Returns a JSON object with another content type, masked; `None` for everything else.
fn mislabelled(exchange: &Exchange, response: &Document, notes: &mut Notes) -> Option<Vec<u8>> {
    let looked_at = matches!(response.shape, Shape::Text | Shape::Events | Shape::Opaque);
    let never_stored = matches!(response.media, Media::Form | Media::Multipart | Media::Grpc);
    let bytes = response.bytes.trim_ascii();
    let fits = bytes.len() <= MISLABELLED_BYTES_MAX && bytes.first() == Some(&b'{');
    if !looked_at || never_stored || !fits || response.cut {
        return None;
    }
    std::str::from_utf8(bytes).ok()?;
    if !json::is_document(bytes) {
        return None;
    }
    let json = json::mend_surrogates(bytes).unwrap_or_else(|| bytes.to_vec());
    let json = media::replaced(&json).unwrap_or(json);
    let redaction = &exchange.plan.redaction;
    let masked = redaction.fields(&json, &mut notes.redactions);
    Some(masked.unwrap_or(json))
}
