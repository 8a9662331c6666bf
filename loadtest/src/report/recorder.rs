//! The measurements of a run so far.

use std::collections::BTreeMap;
use std::error::Error;
use std::iter;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Samples, Timeline};
use crate::client;
use crate::histogram::DurationHistogram;
use crate::units;

/// One finished request.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// When it was due by the schedule, or when the worker of a closed loop was ready to send it.
    pub(crate) intended: Instant,
    /// The load generator's own delay; `None` in a closed loop, which has no schedule.
    pub(crate) lag: Option<Duration>,
    /// When it was handed to a connection; `None` if there was no connection.
    pub(crate) sent: Option<Instant>,
    /// Length of the request body.
    pub(crate) body_bytes: usize,
    /// The complete response, or the reason why there is none.
    pub(crate) outcome: Result<TimedResponse, Failure>,
}

/// The times of a complete response.
#[derive(Debug)]
pub(crate) struct TimedResponse {
    pub(crate) status: u16,
    /// When its head was read.
    pub(crate) head: Instant,
    /// When its last byte was read.
    pub(crate) ended: Instant,
    /// The overhead that the server claims in `x-offpath-overhead-us`.
    pub(crate) overhead: Option<Duration>,
    /// Time from the send to the first token event.
    pub(crate) ttft: Option<Duration>,
    /// Mean gap between its token events.
    pub(crate) tpot: Option<Duration>,
}

/// The reason why a request has no complete response.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The category under which it is counted.
    pub(crate) kind: &'static str,
    /// The error with all its causes.
    pub(crate) message: String,
}

impl From<&client::Error> for Failure {
    fn from(error: &client::Error) -> Self {
        let first: &dyn Error = error;
        let chain: Vec<String> =
            iter::successors(Some(first), |error: &&dyn Error| (*error).source())
                .map(ToString::to_string)
                .collect();
        Self {
            kind: error.kind(),
            message: chain.join(": "),
        }
    }
}

/// How token events arrived: one by one, or several in one read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenEvents {
    /// Number of token events after the first one of their response.
    pub gaps: u64,
    /// Number of those that were read together with the event before.
    pub merged: u64,
    /// Number of reads that contained merged events.
    pub reads: u64,
}

/// Counts and distributions of one run.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) finished: u64,
    pub(crate) sent: u64,
    pub(crate) last_sent: Option<Instant>,
    pub(crate) connections: u64,
    /// Total body length of the requests that were sent.
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) first_error: Option<String>,
    pub(crate) from_intended: DurationHistogram,
    pub(crate) from_send: DurationHistogram,
    pub(crate) lag: DurationHistogram,
    pub(crate) overhead: DurationHistogram,
    pub(crate) ttft: DurationHistogram,
    pub(crate) itl: DurationHistogram,
    pub(crate) tpot: DurationHistogram,
    pub(crate) token_events: TokenEvents,
    /// Every single value, for comparisons.
    pub(crate) samples: Option<Samples>,
    /// Latency over time, for runs.
    pub(crate) timeline: Option<Timeline>,
}

impl Recorder {
    /// Adds a finished request. Latencies include complete responses of any status.
    pub(crate) fn add(&mut self, attempt: Attempt) {
        self.finished += 1;
        if let Some(lag) = attempt.lag {
            self.lag.record(lag);
        }
        if let Some(sent) = attempt.sent {
            self.sent += 1;
            self.request_bytes += units::count(attempt.body_bytes);
            self.last_sent = self.last_sent.max(Some(sent));
        }
        if let Some(samples) = &mut self.samples {
            samples.add(&attempt);
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.add(&attempt);
        }
        let response = match attempt.outcome {
            Ok(response) => response,
            Err(failure) => return self.add_failure(failure),
        };
        *self.statuses.entry(response.status).or_default() += 1;
        let since = |instant| response.ended.saturating_duration_since(instant);
        self.from_intended.record(since(attempt.intended));
        if let Some(sent) = attempt.sent {
            self.from_send.record(since(sent));
        }
        let optional = [
            (&mut self.overhead, response.overhead),
            (&mut self.ttft, response.ttft),
            (&mut self.tpot, response.tpot),
        ];
        for (histogram, duration) in optional {
            if let Some(duration) = duration {
                histogram.record(duration);
            }
        }
    }

    /// Counts an error, and keeps the message of the first one.
    pub(crate) fn add_failure(&mut self, failure: Failure) {
        *self.errors.entry(failure.kind).or_default() += 1;
        self.first_error.get_or_insert(failure.message);
    }

    /// Adds the token gaps of one read. Responses that fail later count, too.
    pub(crate) fn add_gaps(&mut self, gaps: &[Duration]) {
        for gap in gaps {
            self.itl.record(*gap);
        }
        let merged = gaps.iter().filter(|gap| gap.is_zero()).count();
        self.token_events.gaps += units::count(gaps.len());
        self.token_events.merged += units::count(merged);
        self.token_events.reads += u64::from(merged > 0);
        if let Some(samples) = &mut self.samples {
            samples.add_gaps(gaps);
        }
    }
}
