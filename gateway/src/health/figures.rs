//! Weighted figures of a group of traces.

use std::time::Duration;

use serde::Serialize;

/// What one trace says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observed {
    /// How many exchanges it stands for; `None`: not known.
    pub(super) weight: Option<f64>,
    /// Whether all of it came.
    pub(super) finished: bool,
    pub(super) failed: bool,
    pub(super) took: Option<Duration>,
    pub(super) tokens: Tokens,
}

/// Token counts, as the upstream gave them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) total: u64,
}

/// What a group of traces comes to. Figures are of exchanges, not of traces.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Figures {
    /// Traces that were read.
    pub(super) traces: usize,
    /// Of these, without a known weight: each counts once.
    pub(super) unweighted: usize,
    /// Of these, not finished: they count nowhere else.
    pub(super) unfinished: usize,
    /// The exchanges that the finished ones stand for.
    pub(super) exchanges: f64,
    /// Share of exchanges that failed; `None` where there is no finished trace.
    pub(super) error_rate: Option<f64>,
    /// Median of the whole time in milliseconds.
    pub(super) p50_ms: Option<f64>,
    pub(super) p95_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) input_tokens: f64,
    pub(super) output_tokens: f64,
    pub(super) total_tokens: f64,
}

impl Figures {
    pub(super) fn of(observed: &[Observed]) -> Self {
        let finished = || observed.iter().filter(|one| one.finished);
        let weigh = |one: &Observed| one.weight.unwrap_or(1.0);
        let sum = |of: &dyn Fn(&Observed) -> f64| finished().map(|one| weigh(one) * of(one)).sum();
        let exchanges: f64 = sum(&|_| 1.0);
        let failed: f64 = sum(&|one| f64::from(u8::from(one.failed)));
        let mut times: Vec<(Duration, f64)> = finished()
            .filter_map(|one| Some((one.took?, weigh(one))))
            .collect();
        times.sort_by_key(|(took, _)| *took);
        let percentile = |share| quantile(&times, share).map(|took| took.as_secs_f64() * 1e3);
        Self {
            traces: observed.len(),
            unweighted: finished().filter(|one| one.weight.is_none()).count(),
            unfinished: observed.len() - finished().count(),
            exchanges,
            error_rate: (exchanges > 0.0).then(|| failed / exchanges),
            p50_ms: percentile(0.50),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
            input_tokens: sum(&|one| one.tokens.input as f64),
            output_tokens: sum(&|one| one.tokens.output as f64),
            total_tokens: sum(&|one| one.tokens.total as f64),
        }
    }
}

/// The smallest value that at least this share of the weight is at or below; ascending values.
fn quantile(values: &[(Duration, f64)], share: f64) -> Option<Duration> {
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    // A rounding error must not pass over the value that is exactly at the share.
    let due = share * total * (1.0 - 1e-12);
    let mut below = 0.0;
    let reached = |(_, weight): &&(Duration, f64)| {
        below += weight;
        below >= due
    };
    let found = values.iter().find(reached).or(values.last());
    found.map(|(value, _)| *value)
}

#[cfg(test)]
mod tests;
