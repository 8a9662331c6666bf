//! What a run has seen so far.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Samples, Timeline};
use crate::client;
use crate::micros::Micros;

/// One request's fate.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// When the schedule, or in a closed loop the worker, wanted it sent.
    pub(crate) intended: Instant,
    /// How late the tool itself was; `None` in a closed loop, which has no schedule.
    pub(crate) lag: Option<Duration>,
    /// When it was handed to a connection; `None` where there was none to be had.
    pub(crate) sent: Option<Instant>,
    /// Of the request's body.
    pub(crate) body_bytes: usize,
    /// The whole answer, or why there is none.
    pub(crate) outcome: Result<Answer, Failure>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// When its head was read.
    pub(crate) head: Instant,
    /// When its last byte was read.
    pub(crate) ended: Instant,
    /// What the server said of its own overhead.
    pub(crate) overhead: Option<Duration>,
    /// From the send to the first token event.
    pub(crate) ttft: Option<Duration>,
    /// The mean gap of its token events.
    pub(crate) tpot: Option<Duration>,
}

/// No whole answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The word it is counted under.
    pub(crate) kind: &'static str,
    /// What happened, with its causes.
    pub(crate) message: String,
}

impl From<&client::Error> for Failure {
    fn from(error: &client::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self {
            kind: error.kind(),
            message,
        }
    }
}

/// How token events came: one by one, or held back and sent together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenEvents {
    /// Token events that had one before them in their answer.
    pub gaps: u64,
    /// Those that came in one read with the one before.
    pub merged: u64,
    /// The reads in which they came.
    pub reads: u64,
}

/// Counts and distributions of one run.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) finished: u64,
    pub(crate) sent: u64,
    pub(crate) last_sent: Option<Instant>,
    pub(crate) connections: u64,
    /// Of the bodies of requests that were sent.
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) first_error: Option<String>,
    pub(crate) from_intended: Micros,
    pub(crate) from_send: Micros,
    pub(crate) lag: Micros,
    pub(crate) overhead: Micros,
    pub(crate) ttft: Micros,
    pub(crate) itl: Micros,
    pub(crate) tpot: Micros,
    pub(crate) token_events: TokenEvents,
    /// Where every value is wanted.
    pub(crate) samples: Option<Samples>,
    /// Where it is wanted how latency went over time.
    pub(crate) timeline: Option<Timeline>,
}

impl Recorder {
    /// Adds a request that is over. Latencies are those of whole answers, whatever their status.
    pub(crate) fn add(&mut self, attempt: Attempt) {
        self.finished += 1;
        if let Some(lag) = attempt.lag {
            self.lag.record(lag);
        }
        if let Some(sent) = attempt.sent {
            self.sent += 1;
            self.request_bytes += u64::try_from(attempt.body_bytes).unwrap_or(u64::MAX);
            self.last_sent = self.last_sent.max(Some(sent));
        }
        if let Some(samples) = &mut self.samples {
            samples.add(&attempt);
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.add(&attempt);
        }
        let answer = match attempt.outcome {
            Ok(answer) => answer,
            Err(failure) => return self.add_failure(failure),
        };
        *self.statuses.entry(answer.status).or_default() += 1;
        let since = |instant| answer.ended.saturating_duration_since(instant);
        self.from_intended.record(since(attempt.intended));
        if let Some(sent) = attempt.sent {
            self.from_send.record(since(sent));
        }
        let optional = [
            (&mut self.overhead, answer.overhead),
            (&mut self.ttft, answer.ttft),
            (&mut self.tpot, answer.tpot),
        ];
        for (micros, duration) in optional {
            if let Some(duration) = duration {
                micros.record(duration);
            }
        }
    }

    /// Counts an error, and keeps the first one's words.
    pub(crate) fn add_failure(&mut self, failure: Failure) {
        *self.errors.entry(failure.kind).or_default() += 1;
        self.first_error.get_or_insert(failure.message);
    }

    /// Adds gaps between token events that came in one read, of answers under way too.
    pub(crate) fn add_gaps(&mut self, gaps: &[Duration]) {
        for gap in gaps {
            self.itl.record(*gap);
        }
        let merged = gaps.iter().filter(|gap| gap.is_zero()).count();
        self.token_events.gaps += u64::try_from(gaps.len()).unwrap_or(u64::MAX);
        self.token_events.merged += u64::try_from(merged).unwrap_or(u64::MAX);
        self.token_events.reads += u64::from(merged > 0);
        if let Some(samples) = &mut self.samples {
            samples.add_gaps(gaps);
        }
    }
}
