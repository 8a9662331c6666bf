//! What a run saw, and how it is told: numbers for machines, a table for people.
//!
//! Every figure states its formula, because tools that use the same names measure different
//! things. A run that its own lateness spoiled says so before anyone quotes it.

mod recorder;
mod samples;
mod table;
mod timeline;

pub use self::recorder::TokenEvents;
pub(crate) use self::recorder::{Answer, Attempt, Failure, Recorder};
pub use self::samples::Metric;
pub(crate) use self::samples::Samples;
pub(crate) use self::table::write_load;
pub(crate) use self::timeline::Timeline;
pub use self::timeline::Window;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::{Http, Target};
use crate::micros::Percentiles;
use crate::schedule::Load;

/// A dispatch lag over this, at p99, spoils a run.
const LAG_P99_MAX: Duration = Duration::from_millis(1);
/// A smaller part of the offered rate spoils a run.
const ACHIEVED_MIN: f64 = 0.95;
/// Unless the last request was sent no later than this: a short run has no rate to speak of.
const LATENESS_MAX: Duration = Duration::from_millis(50);

/// The result of one run. Times are in microseconds where a name says `us`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The url.
    pub target: String,
    /// The version spoken.
    pub http: Http,
    /// When requests were sent.
    pub load: Load,
    /// How long requests were due, in seconds; shorter than asked where the run was stopped.
    pub duration_s: f64,
    /// Requests that are over, with an answer or without.
    pub requests: u64,
    /// Requests per second.
    pub rate: Rate,
    /// Connections opened.
    pub connections: u64,
    /// Whole answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole answer, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// The first error's words.
    pub first_error: Option<String>,
    /// Bytes of bodies.
    pub body_bytes: BodyBytes,
    /// The distributions.
    pub figures: Vec<Figure>,
    /// Of streamed answers.
    pub token_events: TokenEvents,
    /// The run in slices of equal length.
    pub windows: Vec<Window>,
    /// Why the figures are not those of the target alone; empty for a sound run.
    pub degraded: Vec<String>,
}

/// Requests per second, asked and achieved.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rate {
    /// What the schedule held (Poisson: what was drawn); `None` in a closed loop.
    pub offered: Option<f64>,
    /// Requests sent, over the duration, or over the time to the last send where that is longer.
    pub achieved: f64,
    /// Whether that is too little to speak of the rate that was asked for.
    pub missed: bool,
}

/// Bytes of bodies, without heads and framing.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BodyBytes {
    /// In requests that were sent.
    pub sent: u64,
    /// In responses, cut ones too.
    pub received: u64,
}

/// One distribution with its formula.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// How each of its values is computed.
    pub formula: &'static str,
    /// Its values.
    pub us: Percentiles,
    /// Quantiles and their values.
    pub curve: Vec<(f64, u64)>,
}

/// What a summary is made of.
pub(crate) struct Measured<'a> {
    pub(crate) target: &'a Target,
    pub(crate) http: Http,
    pub(crate) load: Load,
    pub(crate) recorder: &'a Recorder,
    pub(crate) start: Instant,
    pub(crate) duration: Duration,
    /// Requests that were due; `None` in a closed loop.
    pub(crate) offered: Option<u64>,
}

impl Summary {
    pub(crate) fn of(measured: Measured<'_>) -> Self {
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

    /// Whether the schedule was not kept: too small a part of the offered requests were sent in
    /// its time.
    #[must_use]
    pub fn missed_its_rate(&self) -> bool {
        self.rate.missed
    }

    /// The distribution of that name, where there were values.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<&Percentiles> {
        let mut figures = self.figures.iter();
        Some(&figures.find(|figure| figure.name == name)?.us)
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
            "last byte of the answer - intended start (whole answers, any status)",
            &recorder.from_intended,
        ),
        (
            "latency from send",
            "last byte of the answer - request handed to its connection",
            &recorder.from_send,
        ),
        (
            "dispatch lag",
            "request taken up by a connection, or put in line for one - intended start",
            &recorder.lag,
        ),
        (
            "ttft",
            "first token event read - request handed to its connection",
            &recorder.ttft,
        ),
        (
            "itl",
            "token event read - the one before it, every gap (events of one read: 0)",
            &recorder.itl,
        ),
        (
            "tpot",
            "(last token event - first token event) / (token events - 1), per answer",
            &recorder.tpot,
        ),
        (
            "x-offpath-overhead-us",
            "what the answer's header of that name says",
            &recorder.overhead,
        ),
    ];
    let with_values = all.into_iter().filter_map(|(name, formula, micros)| {
        let us = micros.percentiles()?;
        let curve = micros.curve();
        Some(Figure {
            name,
            formula,
            us,
            curve,
        })
    });
    with_values.collect()
}

fn degraded(recorder: &Recorder, rate: Rate) -> Vec<String> {
    let mut reasons = Vec::new();
    let lag_max = LAG_P99_MAX.as_micros();
    if let Some(lag) = recorder.lag.percentiles()
        && u128::from(lag.p99) > lag_max
    {
        reasons.push(format!(
            "dispatch lag p99 is {} us, over {lag_max} us",
            lag.p99
        ));
    }
    if rate.missed
        && let Some(offered) = rate.offered
    {
        let achieved = rate.achieved;
        reasons.push(format!(
            "achieved {achieved:.1}/s, under 95 % of {offered:.1}/s"
        ));
    }
    reasons
}

#[cfg(test)]
mod tests;
