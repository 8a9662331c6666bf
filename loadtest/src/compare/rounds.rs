//! The rounds of a comparison: every case to every lane, in random order, and what was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;

use super::{Case, Named, Plan, Process, Usage};
use crate::client::Template;
use crate::micros::Micros;
use crate::report::{Recorder, Samples};
use crate::run::{self, Error, Lane, LaneLoad, Requests};
use crate::schedule::Load;

/// The name of the baseline's second lane.
const CONTROL: &str = "control";

/// One target under one name, loaded in turns with the others.
#[derive(Clone, Debug)]
pub(super) struct LaneId {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) is_control: bool,
}

/// What the whole comparison saw.
pub(super) struct Seen {
    /// The baseline first.
    pub(super) lanes: Vec<LaneId>,
    /// By case, by lane.
    pub(super) cells: Vec<Vec<Cell>>,
    /// Rounds that are in the cells.
    pub(super) rounds: usize,
    /// Why it ended early.
    pub(super) failure: Option<String>,
}

/// One case on one lane.
#[derive(Default)]
pub(super) struct Cell {
    /// One a round.
    pub(super) blocks: Vec<Samples>,
    pub(super) requests: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) first_error: Option<String>,
    pub(super) lag: Micros,
    /// One a process; `None` once it could not be read.
    pub(super) used: Vec<Option<Usage>>,
}

/// One block, until its round is whole.
struct Block {
    case: usize,
    lane: usize,
    recorder: Recorder,
    used: Vec<Option<Usage>>,
}

/// Where and what one block is.
struct Turn<'a> {
    requests: &'a Requests,
    /// The same for all of a round, and so the same schedule; another one in the next.
    seed: u64,
}

/// Runs all rounds, or those until `stop` resolves or a target goes down.
pub(super) async fn load(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(usize, usize),
) -> Result<Seen, Error> {
    let control = Named {
        name: CONTROL.to_owned(),
        target: plan.baseline.target.clone(),
    };
    let control = plan.with_control.then_some(&control);
    let named = [&plan.baseline].into_iter().chain(&plan.others);
    let named: Vec<&Named> = named.chain(control).collect();
    let mut lanes = Vec::new();
    for named in &named {
        let (trust, host) = (plan.trust.as_ref(), plan.permitted_host.as_deref());
        lanes.push(Lane::open(&named.target, plan.http, trust, host, plan.timeout).await?);
    }
    let mut turns = Vec::new();
    for (case_index, case) in plan.cases.iter().enumerate() {
        for (lane_index, named) in named.iter().enumerate() {
            turns.push((case_index, lane_index, requests(plan, case, named)?));
        }
    }
    let mut seen = Seen::new(plan, &named);
    let mut rng = SmallRng::seed_from_u64(plan.seed);
    let mut stop = std::pin::pin!(stop);
    for round in 0..=plan.rounds {
        turns.shuffle(&mut rng);
        let mut blocks = Vec::new();
        for (case, index, requests) in &turns {
            let Some(lane) = lanes.get_mut(*index) else {
                continue;
            };
            let seed = plan
                .seed
                .wrapping_add(u64::try_from(round).unwrap_or_default());
            let turn = Turn { requests, seed };
            let block = block(plan, lane, turn, &mut stop).await?;
            seen.failure = match &block {
                None => Some(format!("stopped in round {round} of {}", plan.rounds)),
                Some((recorder, _)) => failure(recorder).map(|reason| {
                    let name = seen.lanes.get(*index).map_or("", |lane| lane.name.as_str());
                    format!("no request to `{name}` succeeded in round {round}: {reason}")
                }),
            };
            let (None, Some((recorder, used))) = (&seen.failure, block) else {
                return Ok(seen);
            };
            blocks.push(Block {
                case: *case,
                lane: *index,
                recorder,
                used,
            });
            progress(
                turns.len() * round + blocks.len(),
                turns.len() * (plan.rounds + 1),
            );
        }
        // The first one warmed up.
        if round > 0 {
            seen.add(blocks);
        }
    }
    Ok(seen)
}

fn requests(plan: &Plan, case: &Case, named: &Named) -> Result<Requests, Error> {
    let Case {
        method,
        headers,
        body,
        ..
    } = case.clone();
    let template = Template::new(&named.target, plan.http, method, headers, body);
    Ok(Requests::same(template.map_err(Error::Request)?))
}

/// One block; `None` where it was stopped.
async fn block(
    plan: &Plan,
    lane: &mut Lane,
    turn: Turn<'_>,
    stop: impl Future<Output = ()>,
) -> Result<Option<(Recorder, Vec<Option<Usage>>)>, Error> {
    let usages = || {
        plan.processes
            .iter()
            .map(|process: &Process| process.usage().ok())
    };
    let before: Vec<Option<Usage>> = usages().collect();
    let mut load = plan.load;
    if let Load::Open { seed, .. } = &mut load {
        *seed = turn.seed;
    }
    let load = LaneLoad {
        requests: turn.requests.clone(),
        when: run::when(load, plan.block),
        timeout: plan.timeout,
        recorder: Recorder {
            samples: Some(Samples::default()),
            ..Recorder::default()
        },
        check: None,
    };
    let loaded = lane.load(load, stop, |_, _| ()).await?;
    if loaded.stopped_after.is_some() {
        return Ok(None);
    }
    if plan.settle > Duration::ZERO {
        tokio::time::sleep(plan.settle).await;
    }
    let used = usages()
        .zip(before)
        .map(|(after, before)| Some(after?.since(before?)));
    Ok(Some((loaded.recorder, used.collect())))
}

/// Why a block has nothing to compare.
fn failure(recorder: &Recorder) -> Option<String> {
    if recorder.finished == 0 || recorder.statuses.range(..400).next().is_some() {
        return None;
    }
    let reason = recorder.first_error.clone();
    Some(reason.unwrap_or_else(|| "every status was 400 or above".to_owned()))
}

impl Seen {
    fn new(plan: &Plan, named: &[&Named]) -> Self {
        let lanes = named.iter().enumerate().map(|(index, named)| LaneId {
            name: named.name.clone(),
            target: named.target.to_string(),
            is_control: index > plan.others.len(),
        });
        let cells = || named.iter().map(|_| Cell::default()).collect();
        Self {
            lanes: lanes.collect(),
            cells: plan.cases.iter().map(|_| cells()).collect(),
            rounds: 0,
            failure: None,
        }
    }

    fn add(&mut self, blocks: Vec<Block>) {
        for Block {
            case,
            lane,
            recorder,
            used,
        } in blocks
        {
            let cell = self
                .cells
                .get_mut(case)
                .and_then(|lanes| lanes.get_mut(lane));
            if let Some(cell) = cell {
                cell.add(recorder, used);
            }
        }
        self.rounds += 1;
    }
}

impl Cell {
    fn add(&mut self, recorder: Recorder, used: Vec<Option<Usage>>) {
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
            let pairs = self.used.iter().zip(used);
            pairs
                .map(|(sum, more)| Some(sum.as_ref()?.plus(more?)))
                .collect()
        };
    }
}
