//! The result of a comparison, as machines read it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::resample::{Interval, QUANTILES};
use super::{Gate, Machine, Memory, Verdict};
use crate::client::Http;
use crate::report::Metric;
use crate::schedule::Load;

/// Figures by quantile; `None` where there were too few values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles<T>(pub [Option<T>; QUANTILES.len()]);

/// The result of a comparison. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The name that the others are compared with.
    pub baseline: String,
    /// The version spoken.
    pub http: Http,
    /// When requests were sent in a block; the seed is another one in each round.
    pub load: Load,
    /// How long one target was loaded at a stretch, in seconds.
    pub block_s: f64,
    /// Rounds that were whole.
    pub rounds: usize,
    /// Of everything random.
    pub seed: u64,
    /// The machine when it began, and when it was over.
    pub machine: [Machine; 2],
    /// One a kind of request.
    pub cases: Vec<CaseFigures>,
    /// One a watched process.
    pub processes: Vec<ProcessFigures>,
    /// What the gates said.
    pub gates: Vec<Judged>,
    /// Why the figures are not those of the targets alone; empty for a sound comparison.
    pub degraded: Vec<String>,
    /// Why it ended early.
    pub failure: Option<String>,
}

/// One kind of request: its size class is its size.
#[derive(Clone, Debug, Serialize)]
pub struct CaseFigures {
    /// The name.
    pub name: String,
    /// Bytes of the request's body.
    pub request_bytes: usize,
    /// The baseline first, the control last.
    pub lanes: Vec<LaneFigures>,
    /// What each lane but the baseline adds.
    pub differences: Vec<Difference>,
    /// The smallest difference this machine can show, where there is a control.
    pub detectable: Vec<Detectable>,
    /// Claims of the targets against what was found.
    pub audits: Vec<Audit>,
}

/// One case on one lane.
#[derive(Clone, Debug, Serialize)]
pub struct LaneFigures {
    /// The name.
    pub name: String,
    /// The url.
    pub target: String,
    /// Requests that are over.
    pub requests: u64,
    /// Whole answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole answer, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// The first error's words.
    pub first_error: Option<String>,
    /// The distributions.
    pub us: BTreeMap<Metric, Quantiles<f64>>,
}

/// One lane's quantiles less the baseline's.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The lane.
    pub lane: String,
    /// Whether it is the baseline itself.
    pub is_control: bool,
    /// Of what.
    pub metric: Metric,
    /// By quantile.
    pub added: Quantiles<Interval>,
}

/// What the control's intervals leave undecided: the end that lies further from 0.
#[derive(Clone, Debug, Serialize)]
pub struct Detectable {
    /// Of what.
    pub metric: Metric,
    /// By quantile.
    pub us: Quantiles<f64>,
}

/// What `x-offpath-overhead-us` claims, against the paired difference. The claim covers the phase
/// before the response's head, so it is held against the head's difference; the rest is the hop
/// itself, the kernel and the scheduler, which no header can see.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The lane.
    pub lane: String,
    /// The claim.
    pub claimed_us: Quantiles<f64>,
    /// The head's difference less the claim, quantile by quantile.
    pub head_residual: Quantiles<Interval>,
    /// The whole latency's difference less the claim.
    pub latency_residual: Quantiles<Interval>,
}

/// What one process used.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessFigures {
    /// The name.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// When the comparison was over; `None` where it could not be read.
    pub memory: Option<Memory>,
    /// By case and lane; absent where it could not be read throughout.
    pub used: Vec<Used>,
}

/// What one process used while one case was sent to one lane.
#[derive(Clone, Debug, Serialize)]
pub struct Used {
    /// The case.
    pub case: String,
    /// The lane.
    pub lane: String,
    /// CPU time per request.
    pub cpu_us_per_request: f64,
    /// Page faults served from memory, per request.
    pub minor_faults_per_request: f64,
    /// Page faults that read from disk, all together.
    pub major_faults: u64,
}

/// What one gate said to one difference.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The condition.
    pub gate: Gate,
    /// The case.
    pub case: String,
    /// The lane.
    pub lane: String,
    /// The difference; `None` where there were too few values.
    pub added: Option<Interval>,
    /// What follows.
    pub verdict: Verdict,
}

impl Comparison {
    /// The worst that a gate said; `None` without gates.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.gates.iter().map(|judged| judged.verdict).max()
    }
}

impl<T: Serialize> Serialize for Quantiles<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            QUANTILES
                .iter()
                .zip(&self.0)
                .map(|((name, _), value)| (name, value)),
        )
    }
}
