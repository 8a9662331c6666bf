//! Every duration of one load, unrounded: what differences of distributions are made of.
//!
//! A histogram's three digits are coarser than the differences looked for. Takes 8 bytes a value,
//! so a load that keeps samples is one whose length its caller has bounded.

use std::time::Duration;

use serde::Serialize;

use super::recorder::Attempt;

/// Gaps between token events kept of one load; later ones are passed over.
const GAPS_MAX: usize = 1 << 20;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Last byte of the answer - intended start.
    Latency,
    /// Response head read - request handed to its connection.
    Head,
    /// First token event read - request handed to its connection.
    Ttft,
    /// Token event read - the one before it.
    Itl,
    /// What the answer's `x-offpath-overhead-us` says.
    Claimed,
}

/// The durations of one load in nanoseconds, in the order they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    latency: Vec<u64>,
    head: Vec<u64>,
    ttft: Vec<u64>,
    itl: Vec<u64>,
    claimed: Vec<u64>,
}

impl Samples {
    pub(crate) fn of(&self, metric: Metric) -> &[u64] {
        match metric {
            Metric::Latency => &self.latency,
            Metric::Head => &self.head,
            Metric::Ttft => &self.ttft,
            Metric::Itl => &self.itl,
            Metric::Claimed => &self.claimed,
        }
    }

    /// Adds the durations of a whole answer.
    pub(super) fn add(&mut self, attempt: &Attempt) {
        let (Ok(answer), Some(sent)) = (&attempt.outcome, attempt.sent) else {
            return;
        };
        let latency = answer.ended.saturating_duration_since(attempt.intended);
        self.latency.push(nanos(latency));
        let head = answer.head.saturating_duration_since(sent);
        self.head.push(nanos(head));
        self.ttft.extend(answer.ttft.map(nanos));
        self.claimed.extend(answer.overhead.map(nanos));
    }

    pub(super) fn add_gaps(&mut self, gaps: &[Duration]) {
        let room = GAPS_MAX.saturating_sub(self.itl.len());
        self.itl.extend(gaps.iter().take(room).copied().map(nanos));
    }
}

impl Metric {
    /// The word in tables and in `--fail-if`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Head => "head",
            Self::Ttft => "ttft",
            Self::Itl => "itl",
            Self::Claimed => "claimed",
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
