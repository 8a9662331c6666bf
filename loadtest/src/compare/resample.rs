//! Quantiles of values that came in blocks, and how far chance alone moves them.
//!
//! The bootstrap draws whole rounds: requests of one block share what the machine was doing, so
//! they are not independent, and drawing them one by one would make intervals too narrow. All
//! lanes are drawn with the same rounds, which keeps the pairing. Intervals are expanded
//! percentile intervals (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015,
//! section 4.4): the plain ones are too narrow when rounds are few.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

/// What is estimated of each distribution.
pub const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// A quantile is estimated where at least so many values lie beyond it.
const BEYOND_MIN: f64 = 10.0;
const REPLICATES: usize = 2000;

/// Rounds drawn with replacement, many times over.
#[derive(Debug)]
pub struct Resamples {
    rounds: u32,
    /// How often each round was drawn.
    draws: Vec<Vec<u32>>,
}

/// Quantiles of one lane: from what was measured, and from each draw; in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// As [`QUANTILES`]; `None` where there were too few values.
    at: [Option<Quantile>; QUANTILES.len()],
}

#[derive(Clone, Debug)]
struct Quantile {
    measured: f64,
    drawn: Vec<f64>,
}

/// An estimate and where it lies with the stated confidence, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The estimate.
    pub us: f64,
    /// The lower end, at 95 %.
    pub low: f64,
    /// The upper end, at 95 %.
    pub high: f64,
    /// Whether 0 lies outside an interval wide enough for all quantiles together (Bonferroni); of a
    /// lane's difference also whether [`super::relabel`] confirms it.
    pub differs: bool,
}

impl Interval {
    /// Half of what lies between its ends.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

impl Resamples {
    /// Draws `rounds` rounds from as many; `rounds` is at least 2.
    #[must_use]
    pub fn new(rounds: usize, seed: u64) -> Self {
        debug_assert!(rounds >= 2);
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut draw = || {
            let mut counts = vec![0_u32; rounds];
            for _ in 0..rounds {
                if let Some(count) = counts.get_mut(rng.random_range(0..rounds)) {
                    *count += 1;
                }
            }
            counts
        };
        Self {
            rounds: u32::try_from(rounds).unwrap_or(u32::MAX),
            draws: (0..REPLICATES).map(|_| draw()).collect(),
        }
    }

    /// The quantiles of values that came in `blocks`, one a round.
    #[must_use]
    pub fn spread(&self, blocks: &[&[u64]]) -> Spread {
        let mut values: Vec<(u64, usize)> = Vec::new();
        for (round, block) in blocks.iter().enumerate() {
            values.extend(block.iter().map(|value| (*value, round)));
        }
        values.sort_unstable();
        let sizes: Vec<usize> = blocks.iter().map(|block| block.len()).collect();
        let once = vec![1; blocks.len()];
        let measured = weighted(&values, &sizes, &once);
        let drawn: Vec<_> = self
            .draws
            .iter()
            .map(|draw| weighted(&values, &sizes, draw))
            .collect();
        let mut spread = Spread::default();
        let slots = spread
            .at
            .iter_mut()
            .zip(QUANTILES)
            .zip(measured)
            .enumerate();
        for (index, ((slot, (_, quantile)), measured)) in slots {
            #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 values")]
            let beyond = values.len() as f64 * (1.0 - quantile);
            // A hair under, as 1 - 0.9 is.
            if beyond > BEYOND_MIN - 0.001 {
                let drawn = drawn.iter().filter_map(|draw| draw.get(index).copied());
                *slot = Some(Quantile {
                    measured,
                    drawn: drawn.collect(),
                });
            }
        }
        spread
    }

    /// `of` less everything in `less`, quantile by quantile; in microseconds.
    #[must_use]
    pub fn difference(&self, of: &Spread, less: &[&Spread]) -> [Option<Interval>; QUANTILES.len()] {
        std::array::from_fn(|index| {
            let at = |spread: &Spread| spread.at.get(index).cloned().flatten();
            let mut sum = at(of)?;
            for spread in less {
                let Quantile { measured, drawn } = at(spread)?;
                sum.measured -= measured;
                sum.drawn
                    .iter_mut()
                    .zip(drawn)
                    .for_each(|(sum, drawn)| *sum -= drawn);
            }
            Some(self.interval(sum))
        })
    }

    fn interval(
        &self,
        Quantile {
            measured,
            mut drawn,
        }: Quantile,
    ) -> Interval {
        drawn.sort_unstable_by(f64::total_cmp);
        let (low, high) = self.ends(&drawn, Z_SINGLE);
        let (all_low, all_high) = self.ends(&drawn, Z_TOGETHER);
        Interval {
            us: measured / 1000.0,
            low: low / 1000.0,
            high: high / 1000.0,
            differs: all_low > 0.0 || all_high < 0.0,
        }
    }

    /// The ends of the expanded percentile interval for a normal quantile `z`.
    fn ends(&self, sorted: &[f64], z: f64) -> (f64, f64) {
        let rounds = f64::from(self.rounds);
        let widened = (rounds / (rounds - 1.0)).sqrt() * student_t(z, rounds - 1.0);
        let tail = normal_tail(widened);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a fraction of the length of a list"
        )]
        let skipped = (tail * sorted.len() as f64) as usize;
        let low = sorted.get(skipped).copied();
        let high = sorted.iter().rev().nth(skipped).copied();
        (low.unwrap_or(f64::NAN), high.unwrap_or(f64::NAN))
    }
}

impl Spread {
    /// The quantiles as they were measured, in microseconds.
    #[must_use]
    pub fn measured_us(&self) -> [Option<f64>; QUANTILES.len()] {
        std::array::from_fn(|index| Some(self.at.get(index)?.as_ref()?.measured / 1000.0))
    }
}

/// Two-sided 95 %: the normal quantile at 1 - 0.05 / 2.
const Z_SINGLE: f64 = 1.959_964;
/// The same shared out among the quantiles: at 1 - 0.05 / 2 / 4.
const Z_TOGETHER: f64 = 2.497_705;

/// Nearest ranks of sorted `(value, round)` pairs, each counted as often as its round.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact to 2^53 nanoseconds and values"
)]
fn weighted(values: &[(u64, usize)], sizes: &[usize], weights: &[u32]) -> [f64; QUANTILES.len()] {
    let products = sizes.iter().zip(weights);
    let total: f64 = products
        .map(|(size, weight)| *size as f64 * f64::from(*weight))
        .sum();
    let mut found = [0.0; QUANTILES.len()];
    let mut wanted = found.iter_mut().zip(QUANTILES).peekable();
    let mut passed = 0.0;
    for (value, round) in values {
        passed += f64::from(weights.get(*round).copied().unwrap_or_default());
        while let Some((slot, _)) = wanted.next_if(|(_, (_, q))| passed >= (q * total).ceil()) {
            *slot = *value as f64;
        }
    }
    found
}

/// Student's quantile with `freedom` degrees, from the normal one: the Cornish-Fisher expansion
/// (Abramowitz and Stegun, 26.7.5), right to 0.5 % from 7 degrees on.
fn student_t(z: f64, freedom: f64) -> f64 {
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / freedom + second / freedom.powi(2) + third / freedom.powi(3)
}

/// The normal distribution's mass above `z` >= 0 (Abramowitz and Stegun, 26.2.17; error < 7.5e-8).
fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial
}

#[cfg(test)]
mod tests;
