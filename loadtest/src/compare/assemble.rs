//! Computes the figures of a comparison from its measurements: differences with their confidence
//! intervals, the audit of claimed overhead, and resource use.

use std::collections::BTreeMap;

use super::bootstrap::{Bootstrap, BootstrapQuantiles, Interval, QUANTILES};
use super::permutation::Permutations;
use super::rounds::{Cell, LaneId, Measurements};
use super::{
    Audit, CaseFigures, Comparison, Detectable, Difference, Gate, GateResult, LaneFigures,
    LaneUsage, Machine, Plan, Process, ProcessFigures, Quantiles, ROUNDS_MIN,
};
use crate::report::Metric;

/// A comparison is degraded if a dispatch lag at p99 is above this, in microseconds.
const LAG_P99_MAX_US: u64 = 1000;
/// A comparison is degraded if a larger fraction of requests failed.
const FAILED_MAX: f64 = 0.001;
/// The probability of a wrong claim that the p50 to p99.9 of two equal lanes differ.
const SIGNIFICANCE: f64 = 0.05;

pub(super) fn comparison(plan: &Plan, measurements: Measurements, before: Machine) -> Comparison {
    let mut cases = Vec::new();
    if measurements.rounds >= ROUNDS_MIN {
        let bootstrap = Bootstrap::new(measurements.rounds, plan.seed);
        let permutations = Permutations::new(measurements.rounds, plan.seed);
        for (case, cells) in plan.cases.iter().zip(&measurements.cells) {
            let figures = Figures {
                bootstrap: &bootstrap,
                permutations: &permutations,
                lanes: &measurements.lanes,
                cells,
            };
            cases.push(figures.case(&case.name, case.body.len()));
        }
    }
    let is_short = measurements.failure.is_none() && measurements.rounds < ROUNDS_MIN;
    let too_few =
        is_short.then(|| format!("{} rounds are too few for an interval", measurements.rounds));
    Comparison {
        baseline: plan.baseline.name.clone(),
        http: plan.http,
        load: plan.load,
        block_s: plan.block.as_secs_f64(),
        rounds: measurements.rounds,
        seed: plan.seed,
        machine: [before, Machine::now()],
        processes: processes(plan, &measurements),
        gates: plan
            .gates
            .iter()
            .flat_map(|gate| judge(gate, &cases))
            .collect(),
        degraded: degraded(plan, &measurements),
        failure: measurements.failure.or(too_few),
        cases,
    }
}

/// Computes the figures of one case from its cells, one per lane.
struct Figures<'a> {
    bootstrap: &'a Bootstrap,
    permutations: &'a Permutations,
    lanes: &'a [LaneId],
    cells: &'a [Cell],
}

/// One lane's cell and the quantiles computed from it.
struct Lane<'a> {
    cell: &'a Cell,
    quantiles: BTreeMap<Metric, BootstrapQuantiles>,
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
        let lane = |cell| Lane {
            cell,
            quantiles: metrics
                .into_iter()
                .filter_map(|metric| Some((metric, self.quantiles(cell, metric)?)))
                .collect(),
        };
        let lanes: Vec<Lane<'_>> = self.cells.iter().map(lane).collect();
        let mut figures = CaseFigures {
            name: name.to_owned(),
            request_bytes,
            lanes: Vec::new(),
            differences: Vec::new(),
            detectable: Vec::new(),
            audits: Vec::new(),
        };
        for (id, lane) in self.lanes.iter().zip(&lanes) {
            figures.lanes.push(lane_figures(id, lane));
        }
        let Some((baseline, others)) = lanes.split_first() else {
            return figures;
        };
        for (id, lane) in self.lanes.iter().skip(1).zip(others) {
            for difference in self.differences(id, lane, baseline) {
                if difference.is_control {
                    let limit = |interval: Interval| interval.low.abs().max(interval.high.abs());
                    figures.detectable.push(Detectable {
                        metric: difference.metric,
                        us: Quantiles(difference.added.0.map(|added| added.map(limit))),
                    });
                }
                figures.differences.push(difference);
            }
            figures.audits.extend(self.audit(id, lane, baseline));
        }
        figures
    }

    /// The differences of one lane's metrics to the baseline's.
    fn differences(&self, id: &LaneId, lane: &Lane<'_>, baseline: &Lane<'_>) -> Vec<Difference> {
        let difference = |(metric, quantiles): (&Metric, &BootstrapQuantiles)| {
            // Nobody waited for a claimed duration, so it is not compared.
            let of_baseline = baseline
                .quantiles
                .get(metric)
                .filter(|_| *metric != Metric::Claimed)?;
            let mut added = Quantiles(self.bootstrap.difference(quantiles, &[of_baseline]));
            let p_values = self
                .permutations
                .p_values(&blocks(baseline.cell, *metric), &blocks(lane.cell, *metric));
            confirm(&mut added, p_values);
            Some(Difference {
                lane: id.name.clone(),
                is_control: id.is_control,
                metric: *metric,
                added,
            })
        };
        lane.quantiles.iter().filter_map(difference).collect()
    }

    /// The quantiles of one metric, or `None` if no block has a value.
    fn quantiles(&self, cell: &Cell, metric: Metric) -> Option<BootstrapQuantiles> {
        let blocks = blocks(cell, metric);
        let is_empty = blocks.iter().all(|block| block.is_empty());
        (!is_empty).then(|| self.bootstrap.quantiles(&blocks))
    }

    fn audit(&self, id: &LaneId, lane: &Lane<'_>, baseline: &Lane<'_>) -> Option<Audit> {
        // If the baseline claims an overhead it is a proxy itself, and its overhead is in both.
        let claimed = lane
            .quantiles
            .get(&Metric::Claimed)
            .filter(|_| !baseline.quantiles.contains_key(&Metric::Claimed))?;
        let residual = |metric| {
            let of_lane = lane.quantiles.get(&metric)?;
            let of_baseline = baseline.quantiles.get(&metric)?;
            let added = self.bootstrap.difference(of_lane, &[of_baseline, claimed]);
            Some(Quantiles(added))
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
    cell.blocks
        .iter()
        .map(|samples| samples.get(metric))
        .collect()
}

/// Clears `differs` unless the permutation test is significant, too. The significance level is
/// divided among the quantiles (Bonferroni).
fn confirm(added: &mut Quantiles<Interval>, p_values: [f64; QUANTILES.len()]) {
    let count = added.0.iter().flatten().count();
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are at most four quantiles"
    )]
    let level = SIGNIFICANCE / count.max(1) as f64;
    for (interval, p_value) in added.0.iter_mut().zip(p_values) {
        if let Some(interval) = interval {
            interval.differs &= p_value <= level;
        }
    }
}

fn lane_figures(id: &LaneId, lane: &Lane<'_>) -> LaneFigures {
    let cell = lane.cell;
    LaneFigures {
        name: id.name.clone(),
        target: id.target.clone(),
        requests: cell.requests,
        statuses: cell.statuses.clone(),
        errors: cell.errors.clone(),
        first_error: cell.first_error.clone(),
        us: lane
            .quantiles
            .iter()
            .map(|(metric, quantiles)| (*metric, Quantiles(quantiles.measured_us())))
            .collect(),
    }
}

fn processes(plan: &Plan, measurements: &Measurements) -> Vec<ProcessFigures> {
    let figures = |(index, process): (usize, &Process)| {
        let mut used = Vec::new();
        for (case, cells) in plan.cases.iter().zip(&measurements.cells) {
            for (lane, cell) in measurements.lanes.iter().zip(cells) {
                let Some(usage) = cell.used.get(index).copied().flatten() else {
                    continue;
                };
                #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 nanoseconds")]
                let per_request = |count: u64| count as f64 / cell.requests.max(1) as f64;
                used.push(LaneUsage {
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
    };
    plan.processes.iter().enumerate().map(figures).collect()
}

fn judge<'a>(gate: &'a Gate, cases: &'a [CaseFigures]) -> impl Iterator<Item = GateResult> + 'a {
    cases.iter().flat_map(move |case| {
        let lanes = case.lanes.iter().skip(1);
        let is_control = |lane: &str| {
            case.differences
                .iter()
                .any(|found| found.is_control && found.lane == lane)
        };
        let lanes = lanes.filter(move |lane| !is_control(&lane.name));
        lanes.map(move |lane| {
            let added = case
                .differences
                .iter()
                .find(|found| found.lane == lane.name && found.metric == gate.metric)
                .and_then(|found| found.added.0.get(gate.quantile).copied().flatten());
            GateResult {
                gate: gate.clone(),
                case: case.name.clone(),
                lane: lane.name.clone(),
                added,
                verdict: gate.judge(added),
            }
        })
    })
}

fn degraded(plan: &Plan, measurements: &Measurements) -> Vec<String> {
    let mut reasons = Vec::new();
    for (case, cells) in plan.cases.iter().zip(&measurements.cells) {
        for (lane, cell) in measurements.lanes.iter().zip(cells) {
            let subject = format!("`{}` on `{}`", case.name, lane.name);
            if let Some(lag) = cell.lag.percentiles()
                && lag.p99 > LAG_P99_MAX_US
            {
                reasons.push(format!(
                    "{subject}: dispatch lag p99 is {} us, above {LAG_P99_MAX_US} us",
                    lag.p99
                ));
            }
            let succeeded: u64 = cell.statuses.range(..400).map(|(_, count)| count).sum();
            let failed = cell.requests.saturating_sub(succeeded);
            #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 requests")]
            let too_many_failed = failed as f64 > FAILED_MAX * cell.requests as f64;
            if too_many_failed {
                reasons.push(format!(
                    "{subject}: {failed} of {} requests failed",
                    cell.requests
                ));
            }
        }
    }
    reasons
}
