//! `routes[].sampling`: which exchanges are kept.

use std::{sync::Arc, time::Duration};

use crate::{check, field::Field, units};

/// What rules keep at most where the YAML names no rate.
const RULES_PER_SECOND: f64 = 10.0;

/// Which of a route's exchanges are kept: the head decision, and rules for the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The share of exchanges kept, 0..=1; final: the route's, else the global one, else
    /// `MLFLOW_TRACE_SAMPLING_RATIO`, else 1.
    pub ratio: f64,
    /// What is hashed against the ratio.
    pub by: SampleBy,
    /// What the sampled flag of an incoming `traceparent` may do.
    pub parent: ParentPolicy,
    /// Exchanges per second that the head decision keeps at most, in this process; more than 0.
    pub max_per_second: Option<f64>,
    /// What a day may take, in this process.
    pub daily: Daily,
    /// What is kept besides, by how the exchange went.
    pub keep: Keep,
    /// What is kept besides, by what the response says.
    pub keep_content: KeepContent,
}

/// What the head decision hashes, so that every replica decides alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleBy {
    /// The caller's trace id where it sent one, else the exchange's own.
    Trace,
    /// The session's name, so that a conversation is kept whole or not at all; without one, as
    /// [`Self::Trace`].
    Session,
    /// The user's name; without one, as [`Self::Trace`].
    User,
}

/// What the sampled flag of an incoming `traceparent` may do. Without one, the ratio decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentPolicy {
    /// Nothing.
    Ignore,
    /// It decides, both ways.
    Follow,
    /// It forbids: what the caller did not sample is not kept, the rest is up to the ratio.
    Cap,
}

/// A day's budget (UTC) for one process. Sampling is lowered so that it lasts; what rules keep, or a
/// caller's flag, counts too, and is not lowered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Daily {
    /// Traces; at least 1.
    pub max_traces: Option<u64>,
    /// Bytes of bodies held; at least 1.
    pub max_bytes: Option<u64>,
}

/// Rules that keep an exchange when it has ended, whatever the head decision was.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    /// Status 5xx, and ends that are the service's fault or offpath's: no response, a time limit of the
    /// upstream's, a cut stream, offpath's own end.
    pub errors: bool,
    /// Exchanges whose client left before the answer was whole.
    pub client_left: bool,
    /// Exchanges that take longer, from the request's head to the end.
    pub slower_than: Option<Duration>,
    /// Exchanges whose response body begins later, or not at all within that time.
    pub first_byte_slower_than: Option<Duration>,
    /// Exchanges of which the request or the response body has more bytes.
    pub larger_than: Option<u64>,
    /// Exchanges per second that rules take at most, in this process; more than 0.
    pub max_per_second: f64,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            errors: false,
            client_left: false,
            slower_than: None,
            first_byte_slower_than: None,
            larger_than: None,
            max_per_second: RULES_PER_SECOND,
        }
    }
}

impl Keep {
    /// Whether there is a rule at all.
    pub fn any(&self) -> bool {
        self.errors
            || self.client_left
            || self.slower_than.is_some()
            || self.first_byte_slower_than.is_some()
            || self.larger_than.is_some()
    }
}

/// Rules that keep an exchange by what its response says. To know, every exchange of the route is
/// captured and decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct KeepContent {
    /// Reasons for a model to stop, as it writes them, without repetition.
    pub finish_reasons: Vec<Arc<str>>,
    /// Errors in the response's body, and streams that end without their closing event.
    pub stream_errors: bool,
    /// A gRPC status other than 0, or none where one is due.
    pub grpc_errors: bool,
    /// Exchanges per second that these rules take at most, in this process; more than 0.
    pub max_per_second: f64,
}

impl Default for KeepContent {
    fn default() -> Self {
        Self {
            finish_reasons: Vec::new(),
            stream_errors: false,
            grpc_errors: false,
            max_per_second: RULES_PER_SECOND,
        }
    }
}

impl KeepContent {
    /// Whether there is a rule at all.
    pub fn any(&self) -> bool {
        !self.finish_reasons.is_empty() || self.stream_errors || self.grpc_errors
    }
}

impl Sampling {
    /// Traces per second at most, of `rps` exchanges per second: as if every one met a rule.
    pub(crate) fn traces_per_second(&self, rps: f64) -> f64 {
        let head = (rps * self.ratio).min(self.max_per_second.unwrap_or(f64::INFINITY));
        let rules = |any, rate| if any { rate } else { 0.0 };
        let end = rules(self.keep.any(), self.keep.max_per_second);
        let content = rules(self.keep_content.any(), self.keep_content.max_per_second);
        rps.min(head + end + content)
    }
}

impl Sampling {
    /// Traces per day at most, of so many per second with so many bytes of bodies each.
    pub(crate) fn traces_per_day(&self, per_second: f64, body_bytes: u64) -> f64 {
        let at_most = |budget: Option<u64>, each: u64| match budget {
            Some(budget) if each > 0 => budget as f64 / each as f64,
            _ => f64::INFINITY,
        };
        let budget = at_most(self.daily.max_traces, 1);
        let budget = budget.min(at_most(self.daily.max_bytes, body_bytes));
        (per_second * 86_400.0).min(budget)
    }
}

pub(crate) fn read(field: &Field<'_>, ratio: f64) -> Sampling {
    let map = field.map();
    let by = [
        ("trace", SampleBy::Trace),
        ("session", SampleBy::Session),
        ("user", SampleBy::User),
    ];
    let parent = [
        ("ignore", ParentPolicy::Ignore),
        ("follow", ParentPolicy::Follow),
        ("cap", ParentPolicy::Cap),
    ];
    Sampling {
        ratio: map.field("ratio").or(ratio, units::ratio),
        by: map.field("by").choice(SampleBy::Trace, &by),
        parent: map.field("parent").choice(ParentPolicy::Ignore, &parent),
        max_per_second: map.field("max_per_second").optional(units::rate),
        daily: daily(&map.field("daily")),
        keep: keep(&map.field("keep")),
        keep_content: keep_content(&map.field("keep_content")),
    }
}

fn daily(field: &Field<'_>) -> Daily {
    let map = field.map();
    let bytes = |text: &str| units::some_bytes(text).map(|bytes| bytes as u64);
    let count = |text: &str| units::count(text).map(|count| count as u64);
    Daily {
        max_traces: map.field("max_traces").optional(count),
        max_bytes: map.field("max_bytes").optional(bytes),
    }
}

fn keep(field: &Field<'_>) -> Keep {
    let map = field.map();
    let default = Keep::default();
    let bytes = |text: &str| units::bytes(text).map(|bytes| bytes as u64);
    Keep {
        errors: map.field("errors").or(default.errors, units::boolean),
        client_left: map
            .field("client_left")
            .or(default.client_left, units::boolean),
        slower_than: map.field("slower_than").optional(units::duration),
        first_byte_slower_than: map
            .field("first_byte_slower_than")
            .optional(units::duration),
        larger_than: map.field("larger_than").optional(bytes),
        max_per_second: map
            .field("max_per_second")
            .or(default.max_per_second, units::rate),
    }
}

fn keep_content(field: &Field<'_>) -> KeepContent {
    let map = field.map();
    let default = KeepContent::default();
    let reasons = map.field("finish_reasons").items();
    let mut finish_reasons: Vec<_> = reasons
        .iter()
        .filter_map(|reason| reason.required(check::some_text))
        .collect();
    finish_reasons.sort();
    finish_reasons.dedup();
    let keep = KeepContent {
        finish_reasons,
        stream_errors: map.field("stream_errors").or(false, units::boolean),
        grpc_errors: map.field("grpc_errors").or(false, units::boolean),
        max_per_second: map
            .field("max_per_second")
            .or(default.max_per_second, units::rate),
    };
    if keep.any() {
        // As measured: about 1 ms per MB, and no less than 5 us.
        field.warn(
            "every exchange of the route is captured, queued and decoded before it is decided: \
             about 1 ms of background CPU per MB of bodies, and a place in `export.queue`",
        );
    }
    keep
}
