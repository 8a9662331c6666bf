//! Several targets on one schedule, and what each adds over the first.
//!
//! Time is cut into rounds. In each round every case is sent to every target for one block, in
//! random order, on the same schedule; what the machine does beside it then hits all of them
//! alike. The difference of two distributions is the difference of their quantiles, with an
//! interval from drawing whole rounds anew ([`resample`]);
//! two lanes are said to differ only where exchanging their names says so, too ([`relabel`]). The first target is loaded once more
//! under the name `control`: what is found between it and itself is what this machine cannot tell
//! from nothing.
//!
//! A first round warms up and is not counted. What it does not know: whether targets share a
//! cache that one warms for the other.

mod assemble;
mod figures;
mod gate;
mod machine;
mod process;
pub mod relabel;
pub mod resample;
mod rounds;
mod table;

pub use self::figures::{
    Audit, CaseFigures, Comparison, Detectable, Difference, Judged, LaneFigures, ProcessFigures,
    Quantiles, Used,
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

/// The fewest rounds that an interval can be drawn from.
pub const ROUNDS_MIN: usize = 8;

/// All that a comparison is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The target that the others are compared with.
    pub baseline: Named,
    /// The others.
    pub others: Vec<Named>,
    /// What is sent; each is compared by itself.
    pub cases: Vec<Case>,
    /// The version spoken.
    pub http: Http,
    /// Authorities for `https` targets.
    pub trust: Option<Trust>,
    /// Hosts besides this machine that the caller may load.
    pub permitted_host: Option<String>,
    /// When requests are sent in a block; its seed counts from the plan's, a round at a time.
    pub load: Load,
    /// How long one target is loaded at a stretch.
    pub block: Duration,
    /// Left between two blocks, and counted to the first of them: for work that a target does
    /// after it has answered.
    pub settle: Duration,
    /// How often every target is loaded; at least [`ROUNDS_MIN`].
    pub rounds: usize,
    /// Of the order, the gaps, and the intervals.
    pub seed: u64,
    /// From a request's intended start to its last byte.
    pub timeout: Duration,
    /// Whether the baseline is compared with itself, too.
    pub with_control: bool,
    /// Whose CPU time, page faults and memory are wanted.
    pub processes: Vec<Process>,
    /// What makes the comparison fail.
    pub gates: Vec<Gate>,
}

/// A target with a name for the tables.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The target.
    pub target: Target,
}

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name.
    pub name: String,
    /// Its method.
    pub method: Method,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Compares until it is done or `stop` resolves; rounds that are whole by then count. `progress`
/// is told the blocks done and all there are.
///
/// # Errors
/// When a target is down at the beginning, or nothing could be tried. One that goes down later is
/// in the comparison's `failure`.
pub async fn compare(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(usize, usize),
) -> Result<Comparison, Error> {
    let before = Machine::now();
    let seen = rounds::load(plan, stop, progress).await?;
    Ok(assemble::comparison(plan, seen, before))
}

#[cfg(test)]
mod tests;
