//! The result of a run: a summary that serializes to JSON and prints as a table.
//!
//! Every figure carries its formula, because tools that use the same names measure different
//! things. A run whose figures were distorted by the load generator itself is marked as degraded.

mod recorder;
mod samples;
mod table;
mod timeline;

pub use self::recorder::TokenEvents;
pub(crate) use self::recorder::{Attempt, Failure, Recorder, TimedResponse};
pub use self::samples::Metric;
pub(crate) use self::samples::Samples;
pub(crate) use self::table::write_load;
pub(crate) use self::timeline::Timeline;
pub use self::timeline::Window;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::{Http, Target};
use crate::histogram::Percentiles;
use crate::schedule::Load;

/// A run is degraded if its dispatch lag at p99 is above this.
const LAG_P99_MAX: Duration = Duration::from_millis(1);
/// A run is degraded if it achieved a smaller fraction of the offered rate.
const ACHIEVED_MIN: f64 = 0.95;
/// A run is not degraded if its last request was sent at most this late: the rate of a short run
/// says little.
const LATENESS_MAX: Duration = Duration::from_millis(50);

/// The result of one run. Fields whose name contains `us` are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The target's URL.
    pub target: String,
    /// The HTTP version of the requests.
    pub http: Http,
    /// The timing of the requests.
    pub load: Load,
    /// The time in which requests were due, in seconds. It is shorter than planned if the run was
    /// stopped.
    pub duration_s: f64,
    /// Finished requests, with or without a response.
    pub requests: u64,
    /// Requests per second.
    pub rate: Rate,
    /// Number of connections opened.
    pub connections: u64,
    /// Number of complete responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Number of requests without a complete response, by kind of error.
    pub errors: BTreeMap<&'static str, u64>,
    /// The message of the first error.
    pub first_error: Option<String>,
    /// Bytes of request and response bodies.
    pub body_bytes: BodyBytes,
    /// The distributions of latency, lag and token times.
    pub figures: Vec<Figure>,
    /// Counts of token events in streamed responses.
    pub token_events: TokenEvents,
    /// The run over time, in windows of equal length.
    pub windows: Vec<Window>,
    /// Reasons why the figures do not describe the target alone; empty for a valid run.
    pub degraded: Vec<String>,
}

/// Offered and achieved requests per second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rate {
    /// The rate of the schedule as it was drawn; `None` in a closed loop.
    pub offered: Option<f64>,
    /// Requests sent, divided by the duration, or by the time to the last send if that is longer.
    pub achieved: f64,
    /// Whether the achieved rate is too low for the results to describe the offered rate.
    pub missed: bool,
}

/// Bytes of bodies, without heads and framing.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BodyBytes {
    /// Bytes in the bodies of requests that were sent.
    pub sent: u64,
    /// Bytes in the bodies of responses, including incomplete ones.
    pub received: u64,
}

/// One distribution with its formula.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The name of the figure.
    pub name: &'static str,
    /// The formula of each of its values.
    pub formula: &'static str,
    /// Its percentiles in microseconds.
    pub us: Percentiles,
    /// Its percentile curve: quantiles and their values in microseconds.
    pub curve: Vec<(f64, u64)>,
}

/// The measurements that a summary is computed from.
pub(crate) struct Measured<'a> {
    pub(crate) target: &'a Target,
    pub(crate) http: Http,
    pub(crate) load: Load,
    pub(crate) recorder: &'a Recorder,
    pub(crate) start: Instant,
    pub(crate) duration: Duration,
    /// Number of requests that were due; `None` in a closed loop.
    pub(crate) offered: Option<u64>,
}

impl Summary {
    pub(crate) fn new(measured: Measured<'_>) -> Self {
        let Measured {
            recorder, duration, ..
        } = measured;
        let rate = rate(&measured);
        Self {
            target: measured.target.to_string(),
            http: measured.http,
            load: measured.load,
            duration_s: duration.as_secs_f64(),
            requests: recorder.finished,
            rate,
            connections: recorder.connections,
            statuses: recorder.statuses.clone(),
            errors: recorder.errors.clone(),
            first_error: recorder.first_error.clone(),
            body_bytes: BodyBytes {
                sent: recorder.request_bytes,
                received: recorder.response_bytes,
            },
            figures: figures(recorder),
            token_events: recorder.token_events,
            windows: recorder
                .timeline
                .as_ref()
                .map_or_else(Vec::new, Timeline::windows),
            degraded: degraded(recorder, rate),
        }
    }

    /// Whether no request was answered with a status below 400.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.statuses.range(..400).next().is_none()
    }

    /// Whether less than 95 % of the offered rate was achieved.
    #[must_use]
    pub fn missed_its_rate(&self) -> bool {
        self.rate.missed
    }

    /// The percentiles of the figure with this name, or `None` if it has no values.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<&Percentiles> {
        let figure = self.figures.iter().find(|figure| figure.name == name)?;
        Some(&figure.us)
    }
}

fn rate(measured: &Measured<'_>) -> Rate {
    let last_sent = measured.recorder.last_sent.unwrap_or(measured.start);
    let sending = last_sent.saturating_duration_since(measured.start);
    let per_second = |count, over: Duration| {
        #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 requests")]
        let count = count as f64;
        if over.is_zero() {
            0.0
        } else {
            count / over.as_secs_f64()
        }
    };
    let (sent, duration) = (measured.recorder.sent, measured.duration);
    let offered = measured.offered.map(|due| per_second(due, duration));
    let is_short = |over| {
        let achieved = per_second(sent, duration.max(over));
        offered.is_some_and(|offered| achieved < ACHIEVED_MIN * offered)
    };
    Rate {
        offered,
        achieved: per_second(sent, duration.max(sending)),
        missed: is_short(sending) && is_short(sending.saturating_sub(LATENESS_MAX)),
    }
}

fn figures(recorder: &Recorder) -> Vec<Figure> {
    let all = [
        (
            "latency",
            "last byte of the response - intended start (complete responses, any status)",
            &recorder.from_intended,
        ),
        (
            "latency from send",
            "last byte of the response - request handed to its connection",
            &recorder.from_send,
        ),
        (
            "dispatch lag",
            "request accepted by a connection, or queued for one - intended start",
            &recorder.lag,
        ),
        (
            "ttft",
            "first token event read - request handed to its connection",
            &recorder.ttft,
        ),
        (
            "itl",
            "token event read - the one before it, every gap (0 between events of one read)",
            &recorder.itl,
        ),
        (
            "tpot",
            "(last token event - first token event) / (token events - 1), per response",
            &recorder.tpot,
        ),
        (
            "x-offpath-overhead-us",
            "the value of that response header",
            &recorder.overhead,
        ),
    ];
    all.into_iter()
        .filter_map(|(name, formula, histogram)| {
            Some(Figure {
                name,
                formula,
                us: histogram.percentiles()?,
                curve: histogram.curve(),
            })
        })
        .collect()
}

fn degraded(recorder: &Recorder, rate: Rate) -> Vec<String> {
    let mut reasons = Vec::new();
    let lag_max = LAG_P99_MAX.as_micros();
    if let Some(lag) = recorder.lag.percentiles()
        && u128::from(lag.p99) > lag_max
    {
        reasons.push(format!(
            "dispatch lag p99 is {} us, above {lag_max} us",
            lag.p99
        ));
    }
    if rate.missed
        && let Some(offered) = rate.offered
    {
        let achieved = rate.achieved;
        reasons.push(format!(
            "achieved {achieved:.1}/s, less than 95 % of {offered:.1}/s"
        ));
    }
    reasons
}

#[cfg(test)]
mod tests;
