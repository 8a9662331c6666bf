//! The result of a comparison in the form that serializes to JSON.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::bootstrap::{Interval, QUANTILES};
use super::{Gate, Machine, Memory, Verdict};
use crate::client::Http;
use crate::report::Metric;
use crate::schedule::Load;

/// Values of each of [`QUANTILES`]; `None` for a quantile with too few samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles<T>(pub [Option<T>; QUANTILES.len()]);

/// The result of a comparison. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Name of the lane that the others are compared with.
    pub baseline: String,
    /// The HTTP version of the requests.
    pub http: Http,
    /// When requests were sent within a block. Each round used a different seed.
    pub load: Load,
    /// How long one target was loaded before the next, in seconds.
    pub block_s: f64,
    /// Number of complete rounds, without the warm-up.
    pub rounds: usize,
    /// Seed of the order, the gaps and the statistics.
    pub seed: u64,
    /// State of the machine at the beginning and at the end.
    pub machine: [Machine; 2],
    /// Figures of each kind of request.
    pub cases: Vec<CaseFigures>,
    /// Resource use of each observed process.
    pub processes: Vec<ProcessFigures>,
    /// Result of each gate for each case and lane.
    pub gates: Vec<GateResult>,
    /// Reasons why the figures do not describe the targets alone; empty for a valid comparison.
    pub degraded: Vec<String>,
    /// The reason why the comparison ended early.
    pub failure: Option<String>,
}

/// The figures of one kind of request.
#[derive(Clone, Debug, Serialize)]
pub struct CaseFigures {
    /// The case's name.
    pub name: String,
    /// Length of the request body in bytes.
    pub request_bytes: usize,
    /// Figures of each lane: the baseline first, the control last.
    pub lanes: Vec<LaneFigures>,
    /// Differences of each lane except the baseline to the baseline.
    pub differences: Vec<Difference>,
    /// The detection limit of this machine, if there is a control.
    pub detectable: Vec<Detectable>,
    /// Comparison of the overhead that lanes claim with the measured difference.
    pub audits: Vec<Audit>,
}

/// The figures of one case on one lane.
#[derive(Clone, Debug, Serialize)]
pub struct LaneFigures {
    /// The lane's name.
    pub name: String,
    /// The target's URL.
    pub target: String,
    /// Number of finished requests.
    pub requests: u64,
    /// Number of complete responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Number of requests without a complete response, by kind of error.
    pub errors: BTreeMap<&'static str, u64>,
    /// The message of the first error.
    pub first_error: Option<String>,
    /// Quantiles of each metric, in microseconds.
    pub us: BTreeMap<Metric, Quantiles<f64>>,
}

/// One lane's quantiles minus the baseline's.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The lane's name.
    pub lane: String,
    /// Whether the lane is the control, which has the baseline's target.
    pub is_control: bool,
    /// The metric that is compared.
    pub metric: Metric,
    /// The difference at each quantile.
    pub added: Quantiles<Interval>,
}

/// The detection limit: the end of the control's confidence interval that lies further from 0.
#[derive(Clone, Debug, Serialize)]
pub struct Detectable {
    /// The metric that is compared.
    pub metric: Metric,
    /// The limit at each quantile.
    pub us: Quantiles<f64>,
}

/// The overhead that `x-offpath-overhead-us` claims, compared with the paired difference. The claim
/// covers the phase before the response head, so it is compared with the head's difference. The
/// residual is the hop itself, the kernel and the scheduler, which no header can measure.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The lane's name.
    pub lane: String,
    /// The claimed overhead.
    pub claimed_us: Quantiles<f64>,
    /// The difference of the head minus the claim, at each quantile.
    pub head_residual: Quantiles<Interval>,
    /// The difference of the latency minus the claim, at each quantile.
    pub latency_residual: Quantiles<Interval>,
}

/// The resource use of one process.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessFigures {
    /// The name given on the command line.
    pub name: String,
    /// The process id.
    pub pid: u32,
    /// Memory at the end of the comparison; `None` if it could not be read.
    pub memory: Option<Memory>,
    /// Use by case and lane; without those during which it could not be read throughout.
    pub used: Vec<LaneUsage>,
}

/// The resource use of one process while one case was sent to one lane.
#[derive(Clone, Debug, Serialize)]
pub struct LaneUsage {
    /// The case's name.
    pub case: String,
    /// The lane's name.
    pub lane: String,
    /// CPU time per request, in microseconds.
    pub cpu_us_per_request: f64,
    /// Page faults served from memory, per request.
    pub minor_faults_per_request: f64,
    /// Page faults that read from disk, in total.
    pub major_faults: u64,
}

/// The result of one gate for one case and lane.
#[derive(Clone, Debug, Serialize)]
pub struct GateResult {
    /// The gate's condition.
    pub gate: Gate,
    /// The case's name.
    pub case: String,
    /// The lane's name.
    pub lane: String,
    /// The difference; `None` if there were too few values.
    pub added: Option<Interval>,
    /// Whether the gate passed.
    pub verdict: Verdict,
}

impl Comparison {
    /// The worst verdict of all gates, or `None` without gates.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.gates.iter().map(|result| result.verdict).max()
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
