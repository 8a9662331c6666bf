//! pingora's errors, in offpath's words: how an exchange ended, and whether to try again.

use offpath_trace::{EndReason, Outcome};
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::ctx::Ctx;

/// Returns how an exchange ended, from pingora's error. A stream that said its last word is complete,
/// whoever broke its connection off.
pub(crate) fn outcome(error: Option<&Error>, session: &Session, ctx: &mut Ctx) -> Outcome {
    let end = error.map_or(EndReason::Complete, |error| reason(error, session, ctx));
    let whole = end != EndReason::Complete && ctx.capture.said_last_word();
    let end = if whole { EndReason::Complete } else { end };
    let error = error.filter(|_| end != EndReason::Complete).map(describe);
    Outcome {
        end,
        error,
        upstream: None,
    }
}

/// pingora's words for it, bounded. Of a head that cannot be parsed only that much: pingora quotes
/// it, and there may be credentials in it.
pub(crate) fn describe(error: &Error) -> Box<str> {
    const LONGEST: usize = 500;
    let mut words = match error.root_etype() {
        ErrorType::InvalidHTTPHeader => {
            let kind = ErrorType::InvalidHTTPHeader.as_str();
            format!("{} {kind}", error.esource().as_str())
        }
        _ => error.to_string(),
    };
    let cut = (0..=LONGEST.min(words.len()))
        .rev()
        .find(|at| words.is_char_boundary(*at));
    words.truncate(cut.unwrap_or(0));
    words.into()
}

fn reason(error: &Error, session: &Session, ctx: &mut Ctx) -> EndReason {
    let answered = ctx.capture.marks().response_head_at().is_some();
    match (error.esource(), error.etype()) {
        // Its upload was too slow: offpath's own answer to that does not make the exchange whole.
        (ErrorSource::Downstream, ErrorType::ReadTimedout) if !answered => EndReason::ClientLeft,
        (ErrorSource::Downstream, _) if is_delivered(session, ctx) || never_ends(session) => {
            EndReason::Complete
        }
        (ErrorSource::Downstream, _) => EndReason::ClientLeft,
        (
            _,
            ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout,
        ) => EndReason::Timeout,
        // The upstream's head came, the rest did not. By now there is a status in either case:
        // where no head came, that of offpath's own answer.
        (ErrorSource::Upstream, _) if answered => EndReason::UpstreamCut,
        _ => EndReason::UpstreamError,
    }
}

/// Returns whether the response's body came to its end and all of it was written to the client. Then
/// the error is in the client's upload, which it broke off after an early answer, or in the mark of
/// the body's end, which it did not wait for.
fn is_delivered(session: &Session, ctx: &Ctx) -> bool {
    let written = u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX);
    ctx.response_ended && written >= ctx.capture.response_bytes()
}

/// Returns whether only the client ends the response: the stream on which a client of MCP listens to its
/// server (MCP 2025-06-18, Streamable HTTP, "Listening for Messages from the Server").
fn never_ends(session: &Session) -> bool {
    let request = session.req_header();
    let is_mcp = ["mcp-session-id", "mcp-protocol-version"]
        .iter()
        .any(|name| request.headers.contains_key(*name));
    let events = |head: &pingora::http::ResponseHeader| {
        let kind = head.headers.get(http::header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
    };
    is_mcp && request.method == http::Method::GET && session.response_written().is_some_and(events)
}

/// Whether a request may go out again after this error on an established connection.
///
/// Only where the upstream cannot have answered it: a pooled connection that died before any
/// byte of a response, as it does when the upstream closed it while idle. The body must still be
/// whole in pingora's retry buffer. On HTTP/2 the peer itself says what it did not process
/// (RFC 9113, section 8.7), and pingora has marked such errors already.
pub(crate) fn may_retry(error: &Error, ctx: &Ctx, reused: bool, body_whole: bool) -> bool {
    let enabled = ctx
        .route
        .as_ref()
        .is_some_and(|admitted| admitted.state.upstream.retry_stale_connection);
    let died = matches!(
        error.etype(),
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError
    );
    let stale = enabled && reused && died && *error.esource() == ErrorSource::Upstream;
    let unprocessed = matches!(error.retry, pingora::RetryType::Decided(true));
    ctx.status.is_none() && body_whole && (stale || unprocessed)
}

/// The answer that offpath gives by itself: status, and a type for the client's error handling.
/// `None`: the client is gone.
pub(crate) fn own_answer(error: &Error) -> Option<(u16, &'static str, &'static str)> {
    let answer = match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(503)) => (
            503,
            "no_healthy_endpoint",
            "no endpoint of the upstream can be resolved",
        ),
        (
            ErrorSource::Downstream,
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed,
        ) => return None,
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => (
            408,
            "request_timeout",
            "the request's body did not come in time",
        ),
        (ErrorSource::Downstream, _) => (400, "bad_request", "the request is malformed"),
        (_, ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout) => (
            504,
            "connect_timeout",
            "connecting to the upstream took too long",
        ),
        (_, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => (
            504,
            "upstream_timeout",
            "the upstream was silent for too long",
        ),
        (
            _,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError,
        ) => (502, "connect_failed", "the upstream cannot be connected to"),
        (
            _,
            ErrorType::TLSHandshakeFailure | ErrorType::HandshakeError | ErrorType::InvalidCert,
        ) => (
            502,
            "tls_failed",
            "the TLS handshake with the upstream failed",
        ),
        (ErrorSource::Upstream, _) => (
            502,
            "upstream_failed",
            "the upstream broke off before it answered",
        ),
        _ => (500, "internal", "offpath could not handle the request"),
    };
    Some(answer)
}
