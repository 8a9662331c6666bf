//! Comparisons: several targets on one schedule, and the latency that each adds to the first.
//!
//! A comparison consists of rounds. In each round every case is sent to every target for one block,
//! in random order and on the same schedule, so that other work on the machine affects all targets
//! alike. The difference of two distributions is the difference of their quantiles, with a
//! confidence interval from resampling whole rounds ([`bootstrap`]). Two lanes are reported as
//! different only if a permutation test agrees ([`permutation`]). The first target is also loaded
//! under the name `control`: the differences between it and itself show the detection limit of this
//! machine.
//!
//! The first round warms up and is not counted. A comparison cannot detect that targets share a
//! cache which one of them warms for the others.

mod assemble;
pub mod bootstrap;
mod figures;
mod gate;
mod machine;
pub mod permutation;
mod process;
mod rounds;
mod table;

pub use self::figures::{
    Audit, CaseFigures, Comparison, Detectable, Difference, GateResult, LaneFigures, LaneUsage,
    ProcessFigures, Quantiles,
};
pub use self::gate::{Gate, Verdict};
pub use self::machine::Machine;
pub use self::process::{Memory, Process, Usage};

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::client::{Http, Target, Trust};
use crate::run::Error;
use crate::schedule::Load;

/// Minimum number of rounds for a confidence interval.
pub const ROUNDS_MIN: usize = 8;

/// The description of a comparison.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The target that the others are compared with.
    pub baseline: NamedTarget,
    /// The targets to compare with the baseline.
    pub others: Vec<NamedTarget>,
    /// The kinds of requests to send; each is compared separately.
    pub cases: Vec<Case>,
    /// The HTTP version of the requests.
    pub http: Http,
    /// Certificate authorities; required for `https` targets.
    pub trust: Option<Trust>,
    /// A host that may be loaded although it is not this machine.
    pub permitted_host: Option<String>,
    /// When requests are sent within a block. Its seed is replaced by the plan's seed plus the
    /// round's number.
    pub load: Load,
    /// How long one target is loaded before the next.
    pub block: Duration,
    /// Pause after each block, whose resource use counts towards the block: for work that a target
    /// does after it has responded.
    pub settle: Duration,
    /// How often every target is loaded; at least [`ROUNDS_MIN`].
    pub rounds: usize,
    /// Seed of the order, the gaps and the statistics.
    pub seed: u64,
    /// Time allowed from a request's intended start to the last byte of its response.
    pub timeout: Duration,
    /// Whether to compare the baseline with itself, too.
    pub with_control: bool,
    /// The processes whose CPU time, page faults and memory to report.
    pub processes: Vec<Process>,
    /// The conditions under which the comparison fails.
    pub gates: Vec<Gate>,
}

/// A target and its name in the tables.
#[derive(Clone, Debug)]
pub struct NamedTarget {
    /// The name in tables and reports.
    pub name: String,
    /// The target to load.
    pub target: Target,
}

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name in tables and reports.
    pub name: String,
    /// The request method.
    pub method: Method,
    /// The request header fields.
    pub headers: HeaderMap,
    /// The request body.
    pub body: Bytes,
}

/// How far a comparison has got.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Number of finished blocks.
    pub finished: u64,
    /// Number of blocks in all, including the warm-up.
    pub blocks: u64,
}

/// Runs `plan` until it is complete or `stop` resolves. Rounds that are complete by then count.
/// `progress` is called after every block.
///
/// # Errors
/// When a target is down at the beginning, or no request could be attempted. If a target goes down
/// later, the comparison contains it as its `failure`.
pub async fn compare(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Progress),
) -> Result<Comparison, Error> {
    let before = Machine::now();
    let measurements = rounds::load(plan, stop, progress).await?;
    Ok(assemble::comparison(plan, measurements, before))
}

#[cfg(test)]
mod tests;
