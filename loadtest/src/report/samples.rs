//! Every duration of one load, unrounded, for comparing distributions.
//!
//! The three digits of a histogram are coarser than the differences that a comparison looks for. A
//! sample takes 8 bytes, so the caller must bound the length of a load that keeps samples.

use std::time::Duration;

use serde::Serialize;

use super::recorder::Attempt;
use crate::units::whole_nanos;

/// Maximum number of token gaps kept per load; later ones are ignored.
const GAPS_MAX: usize = 1 << 20;

/// A measured duration that comparisons report on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Last byte of the response - intended start.
    Latency,
    /// Response head read - request handed to its connection.
    Head,
    /// First token event read - request handed to its connection.
    Ttft,
    /// Token event read - the one before it.
    Itl,
    /// The value of the response header `x-offpath-overhead-us`.
    Claimed,
}

/// The durations of one load in nanoseconds, in the order in which responses ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    latency: Vec<u64>,
    head: Vec<u64>,
    ttft: Vec<u64>,
    itl: Vec<u64>,
    claimed: Vec<u64>,
}

impl Samples {
    pub(crate) fn get(&self, metric: Metric) -> &[u64] {
        match metric {
            Metric::Latency => &self.latency,
            Metric::Head => &self.head,
            Metric::Ttft => &self.ttft,
            Metric::Itl => &self.itl,
            Metric::Claimed => &self.claimed,
        }
    }

    /// Adds the durations of a complete response.
    pub(super) fn add(&mut self, attempt: &Attempt) {
        let (Ok(response), Some(sent)) = (&attempt.outcome, attempt.sent) else {
            return;
        };
        let latency = response.ended.saturating_duration_since(attempt.intended);
        self.latency.push(whole_nanos(latency));
        let head = response.head.saturating_duration_since(sent);
        self.head.push(whole_nanos(head));
        self.ttft.extend(response.ttft.map(whole_nanos));
        self.claimed.extend(response.overhead.map(whole_nanos));
    }

    pub(super) fn add_gaps(&mut self, gaps: &[Duration]) {
        let room = GAPS_MAX.saturating_sub(self.itl.len());
        self.itl
            .extend(gaps.iter().take(room).copied().map(whole_nanos));
    }
}

impl Metric {
    /// The metric's name in tables and in `--fail-if`.
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
