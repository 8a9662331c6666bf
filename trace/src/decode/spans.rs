//! The two spans of an exchange: as its client saw it, and the upstream call in it.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::Version;

use crate::{
    Counts, EndReason, Exchange, KeptBecause, Level, Link, Span, SpanKind, Status, Text, Trace,
    Value,
};

use super::attributes::Attributes;
use super::body::Document;
use super::defect::Notes;
use super::format::Reading;
use super::identity::{self, TAG_BYTES_MAX};
use super::kept;
use super::{text, url};

/// Paths, queries and the like are cut to this many bytes.
const TARGET_BYTES_MAX: usize = 8192;

/// The transport's words are cut to this many bytes.
const ERROR_BYTES_MAX: usize = 1024;

/// Larger inputs or outputs are on the root alone. MLflow draws a conversation per span, so a
/// chat's are on its own span as well; storing a big body twice costs more than that is worth.
const CONVERSATION_BYTES_MAX: usize = 256 * 1024;

/// How the exchange ended, and what of it to show, once its content is known.
pub(super) struct Ending {
    pub(super) reason: EndReason,
    status: Status,
    error_type: Option<String>,
}

impl Ending {
    pub(super) fn of(exchange: &Exchange, reading: &Reading) -> Self {
        let refused = exchange.refused();
        let failure = reading.failure.as_ref();
        // A body as long as its head announced was not cut short.
        let transport = match exchange.outcome.end {
            EndReason::ClientLeft if is_whole(exchange) => EndReason::Complete,
            transport => transport,
        };
        let reason = match reading.close.end_reason(transport) {
            // A refusal is no stream: its status is the verdict.
            EndReason::Incomplete if refused.is_some() => EndReason::Complete,
            _ if failure.is_some() && refused.is_none() => EndReason::InBandError,
            reason => reason,
        };
        let words = failure.map(|failure| failure.words.as_str());
        let detail = match reason {
            // An API's words may quote what was asked of it.
            EndReason::Complete | EndReason::InBandError => {
                words.filter(|_| exchange.plan.level == Level::Full)
            }
            _ => exchange.outcome.error.as_deref(),
        };
        let detail = detail.filter(|detail| !detail.is_empty());
        let harmless = matches!(reason, EndReason::Complete | EndReason::ClientLeft);
        let mut messages = Vec::new();
        messages.extend(refused.map(|status| format!("HTTP {status}")));
        if !harmless || (refused.is_some() && reason != EndReason::Complete) {
            messages.push(reason.as_str().to_owned());
        }
        let failed = !messages.is_empty();
        messages.extend(detail.map(|detail| text::cut(detail, ERROR_BYTES_MAX).to_owned()));
        let named = failure.and_then(|failure| failure.error_type.as_deref());
        let error_type = match (&refused, reason) {
            (Some(status), _) => Some(status.as_str()),
            (None, EndReason::InBandError) => Some(named.unwrap_or(reason.as_str())),
            (None, _) => (!harmless).then_some(reason.as_str()),
        };
        let error_type = error_type.map(str::to_owned);
        let status = if failed {
            Status::Error(messages.join(": "))
        } else {
            Status::Ok
        };
        Self {
            reason,
            status,
            error_type,
        }
    }
}

/// Returns whether the response's body is as long as its head announced (RFC 9110, section 8.6).
fn is_whole(exchange: &Exchange) -> bool {
    let Some(response) = &exchange.response else {
        return false;
    };
    let announced = response.headers.text(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    announced.is_some_and(|length| length == response.body.bytes)
}

/// The exchange as its client saw it.
pub(super) fn root(
    exchange: &Exchange,
    request: &Document,
    reading: &Reading,
    ending: &Ending,
    notes: &mut Notes,
) -> Span {
    let ids = &exchange.ids;
    let join = exchange.plan.join;
    let mut attributes = Attributes::of_span();
    attributes.put("mlflow.spanType", reading.root_type);
    attributes.put_some("mlflow.spanInputs", reading.inputs.clone());
    attributes.put_some("mlflow.spanOutputs", reading.outputs.clone());
    // The page opens on this span, and draws it where the bodies themselves are what it can draw.
    let as_it_came = reading.drawn_inputs.is_none() && reading.drawn_outputs.is_none();
    let format = reading.message_format.filter(|_| as_it_came);
    attributes.put_some("mlflow.message.format", format);
    put_own(&mut attributes, exchange, ending, notes);
    let first_content = reading.first_content.map(milliseconds);
    attributes.put_some("offpath.first_content_ms", first_content);
    put_http(&mut attributes, exchange, notes);
    attributes.put_some("error.type", ending.error_type.as_deref());
    attributes.append(reading.shared.clone());
    identity::put(&mut attributes, exchange, request, notes);
    let caller = ids.caller.filter(|_| !join);
    Span {
        id: ids.root,
        parent: ids.parent,
        links: caller
            .map(|caller| Link {
                trace_id: caller.trace_id,
                span_id: caller.span_id,
            })
            .into_iter()
            .collect(),
        name: Cow::Owned(exchange.plan.name.to_string()),
        kind: SpanKind::Server,
        start: exchange.timing.start,
        end: after(exchange, exchange.timing.end),
        status: ending.status.clone(),
        attributes: attributes.into_vec(),
    }
}

/// The upstream call; `None` where none was made.
pub(super) fn upstream(exchange: &Exchange, reading: Reading, ending: &Ending) -> Option<Span> {
    let timing = &exchange.timing;
    let start = timing.upstream_start?;
    let mut attributes = Attributes::of_span();
    attributes.put("mlflow.spanType", reading.upstream_type);
    if let Some(format) = reading.message_format {
        let small = |text: &Text| text.as_bytes().len() <= CONVERSATION_BYTES_MAX;
        attributes.put("mlflow.message.format", format);
        let inputs = reading.drawn_inputs.or(reading.inputs);
        let outputs = reading.drawn_outputs.or(reading.outputs);
        attributes.put_some("mlflow.spanInputs", inputs.filter(small));
        attributes.put_some("mlflow.spanOutputs", outputs.filter(small));
    }
    let first_byte = timing
        .first_byte
        .map(|at| milliseconds(at.saturating_sub(start)));
    attributes.put_some("offpath.first_byte_ms", first_byte);
    let first_content = reading.first_content.map(|at| at.saturating_sub(start));
    attributes.put_some("offpath.first_content_ms", first_content.map(milliseconds));
    let answer = exchange
        .response
        .as_ref()
        .filter(|response| response.from_upstream);
    let status = answer.map(|response| i64::from(response.status.as_u16()));
    attributes.put_some("http.response.status_code", status);
    attributes.put("http.request.method", exchange.request.method.as_str());
    let resent = i64::from(timing.attempts.saturating_sub(1));
    attributes.put_some("http.request.resend_count", (resent > 0).then_some(resent));
    if let Some(address) = exchange.outcome.upstream {
        attributes.put("server.address", address.ip().to_string());
        attributes.put("server.port", i64::from(address.port()));
    }
    attributes.put_some("error.type", ending.error_type.as_deref());
    attributes.append(reading.shared);
    attributes.append(reading.upstream);
    let request = &exchange.request;
    let name = reading.upstream_name;
    let name = name.unwrap_or_else(|| format!("{} {}", request.method, request.uri.path()));
    Some(Span {
        id: exchange.ids.upstream,
        parent: Some(exchange.ids.root),
        links: Vec::new(),
        name: Cow::Owned(name),
        kind: SpanKind::Client,
        start: after(exchange, start),
        end: after(exchange, timing.end.max(start)),
        status: ending.status.clone(),
        attributes: attributes.into_vec(),
    })
}

/// offpath's own attributes, in the order of the manual.
fn put_own(attributes: &mut Attributes, exchange: &Exchange, ending: &Ending, notes: &mut Notes) {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let timing = &exchange.timing;
    attributes.put("offpath.route", &*exchange.plan.route);
    attributes.put("offpath.version", env!("CARGO_PKG_VERSION"));
    attributes.put("offpath.overhead_us", micros(timing.overhead_head));
    attributes.put("offpath.overhead_body_us", micros(timing.overhead_body));
    let kept = exchange.kept.map(KeptBecause::as_str);
    attributes.put_some(kept::BECAUSE, kept);
    attributes.put_some(kept::WEIGHT, exchange.weight);
    attributes.put_some("offpath.first_byte_ms", timing.first_byte.map(milliseconds));
    attributes.put("offpath.end_reason", ending.reason.as_str());
    attributes.put_list(
        "offpath.defects",
        notes.defects().iter().map(|defect| defect.as_str()),
    );
    attributes.put("offpath.request.bytes", size(exchange.request.body.bytes));
    let response = exchange
        .response
        .as_ref()
        .map(|response| size(response.body.bytes));
    attributes.put_some("offpath.response.bytes", response);
    let request_id = text::cut_harmless(&exchange.request_id, TAG_BYTES_MAX);
    attributes.put("offpath.request_id", request_id);
    if let Some(caller) = exchange.ids.caller.filter(|_| !exchange.plan.join) {
        attributes.put("offpath.caller.trace_id", caller.trace_id.to_string());
        attributes.put("offpath.caller.span_id", caller.span_id.to_string());
    }
}

/// OpenTelemetry's HTTP server attributes. No header is among them but the one that names the
/// client's software: the others may carry credentials.
fn put_http(attributes: &mut Attributes, exchange: &Exchange, notes: &mut Notes) {
    let request = &exchange.request;
    attributes.put("http.request.method", request.method.as_str());
    let status = exchange
        .response
        .as_ref()
        .map(|response| i64::from(response.status.as_u16()));
    attributes.put_some("http.response.status_code", status);
    attributes.put("url.scheme", if request.tls { "https" } else { "http" });
    attributes.put("url.path", short(request.uri.path()));
    if exchange.plan.level == Level::Full {
        let redaction = &exchange.plan.redaction;
        let query = request.uri.query();
        let query = query.map(|query| redaction.query(query, &mut notes.redactions));
        attributes.put_some("url.query", query.as_deref().map(short));
    }
    if let Some((address, port)) = url::server(request) {
        attributes.put("server.address", address);
        attributes.put_some("server.port", port.map(i64::from));
    }
    attributes.put_some(
        "client.address",
        request.client.map(|client| client.ip().to_string()),
    );
    attributes.put_some(
        "network.protocol.version",
        protocol_version(request.version),
    );
    let agent = identity::header(exchange, &http::header::USER_AGENT, notes);
    attributes.put_some("user_agent.original", agent.as_deref().map(short));
}

/// What a client says of itself, cut.
fn short(text: &str) -> &str {
    text::cut_harmless(text, TARGET_BYTES_MAX)
}

/// Says on the root what was masked, by rule: `email=2`.
pub(super) fn put_redactions(trace: &mut Trace, redactions: Counts) {
    let counted = redactions.iter();
    let list: Vec<Text> = counted
        .map(|(rule, count)| format!("{rule}={count}").into())
        .collect();
    if let (Some(root), false) = (trace.spans.first_mut(), list.is_empty()) {
        root.attributes
            .push(("offpath.redactions".into(), Value::Texts(list)));
    }
    trace.redactions = redactions;
}

fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The moment `offset` after the start; the start itself where no clock reaches so far.
fn after(exchange: &Exchange, offset: Duration) -> SystemTime {
    let start = exchange.timing.start;
    start.checked_add(offset).unwrap_or(start)
}
