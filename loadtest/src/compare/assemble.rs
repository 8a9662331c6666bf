//! From what was seen to figures: differences with their intervals, the audit, what was used.

use std::collections::BTreeMap;

use super::relabel::Relabels;
use super::resample::{Interval, QUANTILES, Resamples, Spread};
use super::rounds::{Cell, LaneId, Seen};
use super::{
    Audit, CaseFigures, Comparison, Detectable, Difference, Gate, Judged, LaneFigures, Machine,
    Plan, ProcessFigures, Quantiles, ROUNDS_MIN, Used,
};
use crate::report::Metric;

/// A dispatch lag over this at p99, in microseconds, spoils a comparison.
const LAG_P99_MAX_US: u64 = 1000;
/// A larger part of requests that failed spoils it.
const FAILED_MAX: f64 = 0.001;

pub(super) fn comparison(plan: &Plan, seen: Seen, before: Machine) -> Comparison {
    let mut cases = Vec::new();
    if seen.rounds >= ROUNDS_MIN {
        let resamples = Resamples::new(seen.rounds, plan.seed);
        let relabels = Relabels::new(seen.rounds, plan.seed);
        for (case, cells) in plan.cases.iter().zip(&seen.cells) {
            let figures = Figures {
                resamples: &resamples,
                relabels: &relabels,
                lanes: &seen.lanes,
                cells,
            };
            cases.push(figures.case(&case.name, case.body.len()));
        }
    }
    let few = seen.failure.is_none() && seen.rounds < ROUNDS_MIN;
    let too_few = few.then(|| format!("{} rounds are too few for an interval", seen.rounds));
    Comparison {
        baseline: plan.baseline.name.clone(),
        http: plan.http,
        load: plan.load,
        block_s: plan.block.as_secs_f64(),
        rounds: seen.rounds,
        seed: plan.seed,
        machine: [before, Machine::now()],
        processes: processes(plan, &seen),
        gates: plan
            .gates
            .iter()
            .flat_map(|gate| judge(gate, &cases))
            .collect(),
        degraded: degraded(plan, &seen),
        failure: seen.failure.or(too_few),
        cases,
    }
}

/// One case's cells, by lane.
struct Figures<'a> {
    resamples: &'a Resamples,
    relabels: &'a Relabels,
    lanes: &'a [LaneId],
    cells: &'a [Cell],
}

impl Figures<'_> {
    fn case(&self, name: &str, request_bytes: usize) -> CaseFigures {
        let metrics = [
            Metric::Latency,
            Metric::Head,
            Metric::Ttft,
            Metric::Itl,
            Metric::Claimed,
        ];
        let spreads: Vec<BTreeMap<Metric, Spread>> = self
            .cells
            .iter()
            .map(|cell| {
                metrics
                    .into_iter()
                    .filter_map(|metric| Some((metric, self.spread(cell, metric)?)))
                    .collect()
            })
            .collect();
        let mut figures = CaseFigures {
            name: name.to_owned(),
            request_bytes,
            lanes: Vec::new(),
            differences: Vec::new(),
            detectable: Vec::new(),
            audits: Vec::new(),
        };
        let baseline = spreads.first();
        let first = self.cells.first();
        for ((id, cell), spread) in self.lanes.iter().zip(self.cells).zip(&spreads) {
            figures.lanes.push(lane(id, cell, spread));
            let Some(baseline) = baseline.filter(|baseline| !std::ptr::eq(*baseline, spread))
            else {
                continue;
            };
            for (metric, of) in spread {
                // A claim is no duration that anybody waited for.
                let Some(less) = baseline.get(metric).filter(|_| *metric != Metric::Claimed) else {
                    continue;
                };
                let mut added = Quantiles(self.resamples.difference(of, &[less]));
                let chance = first.map(|first| self.chance(cell, first, *metric));
                confirm(&mut added, chance.unwrap_or([1.0; QUANTILES.len()]));
                if id.is_control {
                    let us = Quantiles(
                        added
                            .0
                            .map(|at| at.map(|at| at.low.abs().max(at.high.abs()))),
                    );
                    figures.detectable.push(Detectable {
                        metric: *metric,
                        us,
                    });
                }
                figures.differences.push(Difference {
                    lane: id.name.clone(),
                    is_control: id.is_control,
                    metric: *metric,
                    added,
                });
            }
            figures.audits.extend(self.audit(id, spread, baseline));
        }
        figures
    }

    fn chance(&self, cell: &Cell, baseline: &Cell, metric: Metric) -> [f64; QUANTILES.len()] {
        self.relabels
            .chance(&blocks(baseline, metric), &blocks(cell, metric))
    }

    /// `None` where no block had a value.
    fn spread(&self, cell: &Cell, metric: Metric) -> Option<Spread> {
        let blocks = blocks(cell, metric);
        let is_empty = blocks.iter().all(|block| block.is_empty());
        (!is_empty).then(|| self.resamples.spread(&blocks))
    }

    fn audit(
        &self,
        id: &LaneId,
        of: &BTreeMap<Metric, Spread>,
        baseline: &BTreeMap<Metric, Spread>,
    ) -> Option<Audit> {
        // A baseline that claims, too, is a proxy itself: what it claims is in both.
        let claimed = of
            .get(&Metric::Claimed)
            .filter(|_| !baseline.contains_key(&Metric::Claimed))?;
        let residual = |metric| {
            let (of, less) = (of.get(&metric)?, baseline.get(&metric)?);
            Some(Quantiles(self.resamples.difference(of, &[less, claimed])))
        };
        Some(Audit {
            lane: id.name.clone(),
            claimed_us: Quantiles(claimed.measured_us()),
            head_residual: residual(Metric::Head)?,
            latency_residual: residual(Metric::Latency)?,
        })
    }
}

fn blocks(cell: &Cell, metric: Metric) -> Vec<&[u64]> {
    let blocks = cell.blocks.iter();
    blocks.map(|samples| samples.of(metric)).collect()
}

/// Takes back what exchanging the names does not show, at all quantiles together (Bonferroni).
fn confirm(added: &mut Quantiles<Interval>, chance: [f64; QUANTILES.len()]) {
    let told = added.0.iter().flatten().count();
    #[expect(clippy::cast_precision_loss, reason = "there are four")]
    let level = 0.05 / told.max(1) as f64;
    for (interval, chance) in added.0.iter_mut().zip(chance) {
        if let Some(interval) = interval {
            interval.differs &= chance <= level;
        }
    }
}

fn lane(id: &LaneId, cell: &Cell, spreads: &BTreeMap<Metric, Spread>) -> LaneFigures {
    let us = spreads
        .iter()
        .map(|(metric, spread)| (*metric, Quantiles(spread.measured_us())));
    LaneFigures {
        name: id.name.clone(),
        target: id.target.clone(),
        requests: cell.requests,
        statuses: cell.statuses.clone(),
        errors: cell.errors.clone(),
        first_error: cell.first_error.clone(),
        us: us.collect(),
    }
}

fn processes(plan: &Plan, seen: &Seen) -> Vec<ProcessFigures> {
    let figures = plan.processes.iter().enumerate().map(|(index, process)| {
        let mut used = Vec::new();
        for (case, cells) in plan.cases.iter().zip(&seen.cells) {
            for (lane, cell) in seen.lanes.iter().zip(cells) {
                let Some(usage) = cell.used.get(index).copied().flatten() else {
                    continue;
                };
                #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 nanoseconds")]
                let per_request = |count: u64| count as f64 / cell.requests.max(1) as f64;
                used.push(Used {
                    case: case.name.clone(),
                    lane: lane.name.clone(),
                    cpu_us_per_request: per_request(usage.cpu_ns) / 1000.0,
                    minor_faults_per_request: per_request(usage.minor_faults),
                    major_faults: usage.major_faults,
                });
            }
        }
        ProcessFigures {
            name: process.name.clone(),
            pid: process.pid,
            memory: process.memory().ok(),
            used,
        }
    });
    figures.collect()
}

fn judge<'a>(gate: &'a Gate, cases: &'a [CaseFigures]) -> impl Iterator<Item = Judged> + 'a {
    cases.iter().flat_map(move |case| {
        let lanes = case.lanes.iter().skip(1);
        let is_control = |lane: &str| {
            case.differences
                .iter()
                .any(|found| found.is_control && found.lane == lane)
        };
        let lanes = lanes.filter(move |lane| !is_control(&lane.name));
        lanes.map(move |lane| {
            let mut found = case.differences.iter();
            let found = found.find(|found| found.lane == lane.name && found.metric == gate.metric);
            let added = found.and_then(|found| found.added.0.get(gate.quantile).copied().flatten());
            Judged {
                gate: gate.clone(),
                case: case.name.clone(),
                lane: lane.name.clone(),
                added,
                verdict: gate.judge(added),
            }
        })
    })
}

fn degraded(plan: &Plan, seen: &Seen) -> Vec<String> {
    let mut reasons = Vec::new();
    for (case, cells) in plan.cases.iter().zip(&seen.cells) {
        for (lane, cell) in seen.lanes.iter().zip(cells) {
            let of = format!("`{}` on `{}`", case.name, lane.name);
            if let Some(lag) = cell.lag.percentiles()
                && lag.p99 > LAG_P99_MAX_US
            {
                reasons.push(format!(
                    "{of}: dispatch lag p99 is {} us, over {LAG_P99_MAX_US} us",
                    lag.p99
                ));
            }
            let succeeded: u64 = cell.statuses.range(..400).map(|(_, count)| count).sum();
            let failed = cell.requests.saturating_sub(succeeded);
            #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 requests")]
            let is_many = failed as f64 > FAILED_MAX * cell.requests as f64;
            if is_many {
                reasons.push(format!(
                    "{of}: {failed} of {} requests failed",
                    cell.requests
                ));
            }
        }
    }
    reasons
}
