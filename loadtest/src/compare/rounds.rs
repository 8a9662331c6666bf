//! The rounds of a comparison: every case is sent to every lane, in random order.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;

use super::{Case, NamedTarget, Plan, Process, Progress, Usage};
use crate::client::PreparedRequest;
use crate::histogram::DurationHistogram;
use crate::report::{Recorder, Samples};
use crate::run::{self, Error, Lane, LoadSpec, Requests};
use crate::schedule::Load;
use crate::units;

/// The name of the lane that loads the baseline a second time.
const CONTROL: &str = "control";

/// A lane's name and target. The baseline and the control are two lanes with one target.
#[derive(Clone, Debug)]
pub(super) struct LaneId {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) is_control: bool,
}

/// The measurements of a comparison.
pub(super) struct Measurements {
    /// The lanes, the baseline first.
    pub(super) lanes: Vec<LaneId>,
    /// One cell for each case and lane, indexed by case and then by lane.
    pub(super) cells: Vec<Vec<Cell>>,
    /// Number of rounds that the cells contain.
    pub(super) rounds: usize,
    /// The reason why the comparison ended early.
    pub(super) failure: Option<String>,
}

/// The measurements of one case on one lane.
#[derive(Default)]
pub(super) struct Cell {
    /// The samples of each round.
    pub(super) blocks: Vec<Samples>,
    pub(super) requests: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) first_error: Option<String>,
    pub(super) lag: DurationHistogram,
    /// Resource use of each process; `None` once a reading has failed.
    pub(super) used: Vec<Option<Usage>>,
}

/// One case to be sent to one lane in every round.
struct Turn {
    case: usize,
    lane: usize,
    requests: Requests,
}

/// The measurements of one block.
struct Block {
    recorder: Recorder,
    used: Vec<Option<Usage>>,
}

/// Runs all rounds, or as many as are complete when `stop` resolves or a target goes down.
pub(super) async fn load(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Progress),
) -> Result<Measurements, Error> {
    let control = NamedTarget {
        name: CONTROL.to_owned(),
        target: plan.baseline.target.clone(),
    };
    let targets: Vec<&NamedTarget> = [&plan.baseline]
        .into_iter()
        .chain(&plan.others)
        .chain(plan.with_control.then_some(&control))
        .collect();
    let mut lanes = Vec::new();
    for named in &targets {
        let (trust, host) = (plan.trust.as_ref(), plan.permitted_host.as_deref());
        lanes.push(Lane::open(&named.target, plan.http, trust, host, plan.timeout).await?);
    }
    let mut turns = Vec::new();
    for (case, request) in plan.cases.iter().enumerate() {
        for (lane, named) in targets.iter().enumerate() {
            turns.push(Turn {
                case,
                lane,
                requests: requests(plan, request, named)?,
            });
        }
    }
    let mut measurements = Measurements::new(plan, &targets);
    let mut rng = SmallRng::seed_from_u64(plan.seed);
    let mut stop = std::pin::pin!(stop);
    for round in 0..=plan.rounds {
        turns.shuffle(&mut rng);
        let mut blocks = Vec::new();
        for turn in &turns {
            let lane = lanes.get_mut(turn.lane).expect(LANE_EXISTS);
            let block = match block(plan, lane, turn, round, &mut stop).await? {
                Some(block) => block,
                None => {
                    let reason = format!("stopped in round {round} of {}", plan.rounds);
                    measurements.failure = Some(reason);
                    return Ok(measurements);
                }
            };
            if let Some(reason) = failure(&block.recorder) {
                let name = &measurements.lanes.get(turn.lane).expect(LANE_EXISTS).name;
                measurements.failure = Some(format!(
                    "no request to `{name}` succeeded in round {round}: {reason}"
                ));
                return Ok(measurements);
            }
            blocks.push(block);
            progress(Progress {
                finished: units::count(turns.len() * round + blocks.len()),
                blocks: units::count(turns.len() * (plan.rounds + 1)),
            });
        }
        // The first round warms up.
        if round > 0 {
            measurements.add(&turns, blocks);
        }
    }
    Ok(measurements)
}

const LANE_EXISTS: &str = "turns are made from the same list of targets as the lanes";

fn requests(plan: &Plan, case: &Case, named: &NamedTarget) -> Result<Requests, Error> {
    let Case {
        method,
        headers,
        body,
        ..
    } = case.clone();
    let request = PreparedRequest::new(&named.target, plan.http, method, headers, body);
    Ok(Requests::repeat(request.map_err(Error::Request)?))
}

/// Sends one block. Returns `None` if it was stopped.
async fn block(
    plan: &Plan,
    lane: &mut Lane,
    turn: &Turn,
    round: usize,
    stop: impl Future<Output = ()>,
) -> Result<Option<Block>, Error> {
    let usages = || {
        plan.processes
            .iter()
            .map(|process: &Process| process.usage().ok())
    };
    let before: Vec<Option<Usage>> = usages().collect();
    let mut load = plan.load;
    if let Load::Open { seed, .. } = &mut load {
        // All blocks of a round have the same schedule.
        *seed = plan.seed.wrapping_add(units::count(round));
    }
    let load = LoadSpec {
        requests: turn.requests.clone(),
        pacing: run::pacing(load, plan.block),
        timeout: plan.timeout,
        recorder: Recorder {
            samples: Some(Samples::default()),
            ..Recorder::default()
        },
        check: None,
    };
    let outcome = lane.load(load, stop, |_, _| ()).await?;
    if outcome.stopped_after.is_some() {
        return Ok(None);
    }
    if plan.settle > Duration::ZERO {
        tokio::time::sleep(plan.settle).await;
    }
    let used = usages()
        .zip(before)
        .map(|(after, before)| Some(after?.since(before?)));
    Ok(Some(Block {
        recorder: outcome.recorder,
        used: used.collect(),
    }))
}

/// The reason why a block has nothing to compare.
fn failure(recorder: &Recorder) -> Option<String> {
    if recorder.finished == 0 || recorder.statuses.range(..400).next().is_some() {
        return None;
    }
    let reason = recorder.first_error.clone();
    Some(reason.unwrap_or_else(|| "every status was 400 or above".to_owned()))
}

impl Measurements {
    fn new(plan: &Plan, targets: &[&NamedTarget]) -> Self {
        let lane = |(index, named): (usize, &&NamedTarget)| LaneId {
            name: named.name.clone(),
            target: named.target.to_string(),
            is_control: index > plan.others.len(),
        };
        let cells = || targets.iter().map(|_| Cell::default()).collect();
        Self {
            lanes: targets.iter().enumerate().map(lane).collect(),
            cells: plan.cases.iter().map(|_| cells()).collect(),
            rounds: 0,
            failure: None,
        }
    }

    /// Adds the blocks of a complete round, which are in the order of `turns`.
    fn add(&mut self, turns: &[Turn], blocks: Vec<Block>) {
        for (turn, block) in turns.iter().zip(blocks) {
            self.cells
                .get_mut(turn.case)
                .and_then(|lanes| lanes.get_mut(turn.lane))
                .expect("there is a cell for every case and lane of the plan")
                .add(block);
        }
        self.rounds += 1;
    }
}

impl Cell {
    fn add(&mut self, block: Block) {
        let Block { recorder, used } = block;
        self.blocks.extend(recorder.samples);
        self.requests += recorder.finished;
        for (status, count) in recorder.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (kind, count) in recorder.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.first_error = self.first_error.take().or(recorder.first_error);
        self.lag.add(&recorder.lag);
        self.used = if self.used.is_empty() {
            used
        } else {
            self.used
                .iter()
                .zip(used)
                .map(|(sum, more)| Some(sum.as_ref()?.plus(more?)))
                .collect()
        };
    }
}
