//! Keep rules that need the content: decided when an exchange is decoded, off the request path. So is
//! whether a client that left did so before the answer was whole.
//!
//! They look at what every format says alike: OpenTelemetry's and offpath's own attributes, and a
//! gRPC response's status.

use std::time::Instant;

use http::header::CONTENT_TYPE;
use offpath_config::KeepContent;
use offpath_trace::{EndReason, Exchange, KeptBecause, RateCap, Trace, Value};

/// Returns why an exchange whose client left before the answer was whole is kept, and its weight, if
/// `keep.client_left` keeps it. The request path has taken it from the rule's rate; that the answer was
/// not whole is certain only after decoding.
pub(crate) fn kept_as_left(
    exchange: &Exchange,
    trace: &Trace,
) -> Option<(KeptBecause, Option<f64>)> {
    let left = exchange.kept_if_left && ended(trace, &[EndReason::ClientLeft]);
    let because = exchange.kept.unwrap_or(KeptBecause::ClientLeft);
    left.then(|| (because, exchange.weight.map(|_| 1.0)))
}

/// A route's rules, and the rate that they share.
#[derive(Debug)]
pub(crate) struct Judge {
    rules: KeepContent,
    cap: RateCap,
}

impl Judge {
    /// `None` where there is no rule.
    pub(crate) fn new(rules: &KeepContent, origin: Instant) -> Option<Self> {
        rules.any().then(|| Self {
            rules: rules.clone(),
            cap: RateCap::new(rules.max_per_second, origin),
        })
    }

    /// Why the exchange is kept, and its weight, where a rule takes it.
    ///
    /// As with rules for the end: all that meet a rule take from the cap, kept already or not, so
    /// that the weight of what it lets through is known to be 1.
    pub(crate) fn take(
        &self,
        exchange: &Exchange,
        trace: &Trace,
        now: Instant,
    ) -> Option<(KeptBecause, Option<f64>)> {
        let rule = self.met(exchange, trace)?;
        let weight = exchange.weight.map(|_| 1.0);
        self.cap
            .take(now)
            .then(|| (exchange.kept.unwrap_or(rule), weight))
    }

    /// The first rule that the exchange meets.
    fn met(&self, exchange: &Exchange, trace: &Trace) -> Option<KeptBecause> {
        let rules = &self.rules;
        if self.stopped_for_a_reason(trace) {
            Some(KeptBecause::FinishReason)
        } else if rules.stream_errors
            && ended(trace, &[EndReason::InBandError, EndReason::Incomplete])
        {
            Some(KeptBecause::StreamError)
        } else if rules.grpc_errors && is_grpc_error(exchange) {
            Some(KeptBecause::GrpcError)
        } else {
            None
        }
    }

    fn stopped_for_a_reason(&self, trace: &Trace) -> bool {
        let wanted = |text: &[u8]| {
            let mut reasons = self.rules.finish_reasons.iter();
            reasons.any(|reason| reason.as_bytes() == text)
        };
        let mut values = values(trace, "gen_ai.response.finish_reasons");
        values.any(|value| match value {
            Value::Texts(reasons) => reasons.iter().any(|reason| wanted(reason.as_bytes())),
            _ => false,
        })
    }
}

/// Returns whether the exchange of this trace ended for one of these reasons.
fn ended(trace: &Trace, reasons: &[EndReason]) -> bool {
    values(trace, "offpath.end_reason").any(|value| match value {
        Value::Text(found) => reasons
            .iter()
            .any(|reason| reason.as_str().as_bytes() == &**found.as_bytes()),
        _ => false,
    })
}

fn values<'a>(trace: &'a Trace, key: &str) -> impl Iterator<Item = &'a Value> {
    let attributes = trace.spans.iter().flat_map(|span| &span.attributes);
    attributes.filter_map(move |(name, value)| (name == key).then_some(value))
}

/// gRPC over HTTP/2, "Responses": the status is in the trailers, or in the head where that is all.
fn is_grpc_error(exchange: &Exchange) -> bool {
    let Some(response) = &exchange.response else {
        return false;
    };
    let trailers = response.trailers.as_ref();
    let status = trailers.and_then(|trailers| trailers.get("grpc-status"));
    match status.or_else(|| response.headers.get("grpc-status")) {
        Some(status) => status != b"0",
        None => response.headers.get(CONTENT_TYPE).is_some_and(is_grpc),
    }
}

/// Whether the status is due in trailers: gRPC-Web has it in its body.
fn is_grpc(kind: &[u8]) -> bool {
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests;
