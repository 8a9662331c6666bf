//! `routes[].sampling`: which exchanges are kept.

use std::{sync::Arc, time::Duration};

use crate::{field::Field, kind, reader};

/// Which of a route's exchanges are kept: the head decision, and rules for the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The share of exchanges kept, 0..=1: the route's, else the global one, else
    /// `MLFLOW_TRACE_SAMPLING_RATIO`, else 1.
    pub ratio: f64,
    /// The value that is hashed and compared with the ratio.
    pub by: SampleBy,
    /// How the sampled flag of an incoming `traceparent` is used.
    pub parent: ParentPolicy,
    /// Maximum number of exchanges per second that the head decision keeps, in this process; more
    /// than 0.
    pub max_per_second: Option<f64>,
    /// The budget of a day, in this process.
    pub daily: Daily,
    /// Rules that keep more, by how the exchange went.
    pub keep: Keep,
    /// Rules that keep more, by the content of the response.
    pub keep_content: KeepContent,
}

/// The value that the head decision hashes, so that every replica decides alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleBy {
    /// The caller's trace id if it sent one, else the exchange's own.
    Trace,
    /// The session's name, so that a conversation is kept whole or not at all; without one, as
    /// [`Self::Trace`].
    Session,
    /// The user's name; without one, as [`Self::Trace`].
    User,
}

/// How the sampled flag of an incoming `traceparent` is used. Without one, the ratio decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentPolicy {
    /// It is ignored.
    Ignore,
    /// It decides, both ways.
    Follow,
    /// An exchange that the caller did not sample is not kept; for the others, the ratio decides.
    Cap,
}

/// The budget of a day (UTC) for one process. Sampling is lowered so that the budget lasts. Exchanges
/// that are kept by rules, or by a caller's flag, count too, but are not reduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Daily {
    /// Maximum number of traces; at least 1.
    pub max_traces: Option<u64>,
    /// Maximum number of bytes of captured bodies; at least 1.
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
    /// Exchanges with a request or response body of more bytes.
    pub larger_than: Option<u64>,
    /// Maximum number of exchanges per second that these rules keep, in this process; more than 0.
    pub max_per_second: f64,
}

/// The section of a file that leaves it out.
impl Default for Keep {
    fn default() -> Self {
        reader::absent(keep)
    }
}

impl Keep {
    /// Whether any rule is set.
    pub fn any(&self) -> bool {
        self.errors
            || self.client_left
            || self.slower_than.is_some()
            || self.first_byte_slower_than.is_some()
            || self.larger_than.is_some()
    }
}

/// Rules that keep an exchange by the content of its response. For them, every exchange of the route
/// is captured and decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct KeepContent {
    /// Finish reasons as the model reports them, without repetition.
    pub finish_reasons: Vec<Arc<str>>,
    /// Errors in the response body, and streams that end without their closing event.
    pub stream_errors: bool,
    /// A gRPC status other than 0, or a missing one.
    pub grpc_errors: bool,
    /// Maximum number of exchanges per second that these rules keep, in this process; more than 0.
    pub max_per_second: f64,
}

/// The section of a file that leaves it out.
impl Default for KeepContent {
    fn default() -> Self {
        reader::absent(keep_content)
    }
}

impl KeepContent {
    /// Whether any rule is set.
    pub fn any(&self) -> bool {
        !self.finish_reasons.is_empty() || self.stream_errors || self.grpc_errors
    }
}

impl Sampling {
    /// Maximum number of traces per second at `rps` exchanges per second: as if each met a rule.
    pub(crate) fn traces_per_second(&self, rps: f64) -> f64 {
        let head = (rps * self.ratio).min(self.max_per_second.unwrap_or(f64::INFINITY));
        let rules = |any, rate| if any { rate } else { 0.0 };
        let end = rules(self.keep.any(), self.keep.max_per_second);
        let content = rules(self.keep_content.any(), self.keep_content.max_per_second);
        rps.min(head + end + content)
    }

    /// Maximum number of traces per day at `per_second` traces with `body_bytes` of bodies each.
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
    let own_ratio = map
        .key("ratio", "Share of exchanges that are kept.")
        .otherwise("`sampling.ratio`")
        .example("0.1")
        .optional(kind::ratio());
    Sampling {
        ratio: own_ratio.unwrap_or(ratio),
        by: map
            .key("by", "Value that is hashed and compared with the ratio, so that every replica decides alike; a missing session or user falls back to the trace id.")
            .or("trace", kind::words(&by)),
        parent: map
            .key("parent", "How the sampled flag of an incoming `traceparent` is used: not at all, instead of the ratio (`follow`), or to exclude exchanges (`cap`).")
            .or("ignore", kind::words(&parent)),
        max_per_second: map
            .key("max_per_second", "Maximum number of exchanges per second that the ratio may keep.")
            .example("5")
            .optional(kind::rate()),
        daily: daily(&map.key("daily", "Budget of a day (UTC) for one process, for which sampling is lowered; exchanges kept by rules count too, but are not reduced.").section()),
        keep: keep(&map.key("keep", "Rules that keep more exchanges, applied when the exchange ends.").section()),
        keep_content: keep_content(&map.key("keep_content", "Rules that keep more exchanges by their content, for which every exchange of the route is captured and decoded.").section()),
    }
}

fn daily(field: &Field<'_>) -> Daily {
    let map = field.map();
    Daily {
        max_traces: map
            .key("max_traces", "Maximum number of traces per day.")
            .example("100000")
            .optional(kind::count().map(|count| count as u64)),
        max_bytes: map
            .key("max_bytes", "Maximum size of captured bodies per day.")
            .example("2GiB")
            .optional(kind::positive_size().map(|bytes| bytes as u64)),
    }
}

fn keep(field: &Field<'_>) -> Keep {
    let map = field.map();
    Keep {
        errors: map
            .key(
                "errors",
                "Keep status 5xx, failed connections, exceeded time limits of the upstream, and cut streams; a client that left is not an error.",
            )
            .or("false", kind::boolean()),
        client_left: map
            .key("client_left", "Keep exchanges whose client left before the answer was whole.")
            .or("false", kind::boolean()),
        slower_than: map
            .key("slower_than", "Keep exchanges that take longer.")
            .example("5s")
            .optional(kind::duration()),
        first_byte_slower_than: map
            .key(
                "first_byte_slower_than",
                "Keep exchanges whose response body begins later.",
            )
            .example("2s")
            .optional(kind::duration()),
        larger_than: map
            .key(
                "larger_than",
                "Keep exchanges with a larger request or response body.",
            )
            .example("1MiB")
            .optional(kind::size().map(|bytes| bytes as u64)),
        max_per_second: map
            .key(
                "max_per_second",
                "Maximum number of exchanges per second that these rules keep.",
            )
            .or("10", kind::rate()),
    }
}

fn keep_content(field: &Field<'_>) -> KeepContent {
    let map = field.map();
    let mut finish_reasons = map
        .key(
            "finish_reasons",
            "Keep answers that ended for one of these reasons, as the model reports them.",
        )
        .example("[length, content_filter]")
        .list(kind::text());
    finish_reasons.sort();
    finish_reasons.dedup();
    let keep = KeepContent {
        finish_reasons,
        stream_errors: map
            .key("stream_errors", "Keep responses with an error in their body, and streams without their closing event.")
            .or("false", kind::boolean()),
        grpc_errors: map
            .key("grpc_errors", "Keep responses with a gRPC status other than 0, or without one.")
            .or("false", kind::boolean()),
        max_per_second: map
            .key("max_per_second", "Maximum number of exchanges per second that these rules keep.")
            .or("10", kind::rate()),
    };
    if keep.any() {
        // Measured: about 1 ms per MB, and no less than 5 us.
        field.warn(
            "every exchange of the route is captured, queued and decoded before it is decided: \
             about 1 ms of background CPU per MB of bodies, and a place in `export.queue`",
        );
    }
    keep
}
