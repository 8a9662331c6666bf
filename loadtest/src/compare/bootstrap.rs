//! Quantiles of values that were measured in blocks, with bootstrap confidence intervals.
//!
//! The bootstrap resamples whole rounds. Requests of one block share the state of the machine, so
//! they are not independent, and resampling them one by one would make intervals too narrow. All
//! lanes are resampled with the same rounds, which keeps the pairing. Intervals are expanded
//! percentile intervals (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015,
//! section 4.4), because plain ones are too narrow for few rounds.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

/// The quantiles that are estimated of each distribution, with their names.
pub const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Minimum number of values beyond a quantile for it to be estimated.
const BEYOND_MIN: f64 = 10.0;
const REPLICATES: usize = 2000;

/// Resamples: rounds drawn with replacement, many times.
#[derive(Debug)]
pub struct Bootstrap {
    rounds: u32,
    /// For each resample, how often each round was drawn.
    resamples: Vec<Vec<u32>>,
}

/// The quantiles of one lane, measured and resampled, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct BootstrapQuantiles {
    /// In the order of [`QUANTILES`]; `None` for a quantile with too few values.
    at: [Option<Quantile>; QUANTILES.len()],
}

#[derive(Clone, Debug)]
struct Quantile {
    measured: f64,
    resampled: Vec<f64>,
}

/// An estimate with its 95 % confidence interval, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The estimate.
    pub us: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// Whether 0 lies outside the interval after correction for the number of quantiles
    /// (Bonferroni). For a lane's difference, [`super::permutation`] must confirm it, too.
    pub differs: bool,
}

impl Interval {
    /// Half the width of the interval.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

impl Bootstrap {
    /// Draws resamples of `rounds` rounds, which must be at least 2.
    #[must_use]
    pub fn new(rounds: usize, seed: u64) -> Self {
        debug_assert!(rounds >= 2);
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut draw = || {
            let mut counts = vec![0_u32; rounds];
            for _ in 0..rounds {
                let count = counts.get_mut(rng.random_range(0..rounds));
                *count.expect("the index is drawn from the list's range") += 1;
            }
            counts
        };
        Self {
            rounds: u32::try_from(rounds).expect("a comparison has far fewer than 2^32 rounds"),
            resamples: (0..REPLICATES).map(|_| draw()).collect(),
        }
    }

    /// Computes the quantiles of values that were measured in `blocks`, one block per round.
    ///
    /// # Panics
    /// When there are more blocks than rounds.
    #[must_use]
    pub fn quantiles(&self, blocks: &[&[u64]]) -> BootstrapQuantiles {
        let mut values: Vec<Value> = Vec::new();
        for (round, block) in blocks.iter().enumerate() {
            values.extend(block.iter().map(|&nanos| Value { nanos, round }));
        }
        values.sort_unstable_by_key(|value| value.nanos);
        let sizes: Vec<usize> = blocks.iter().map(|block| block.len()).collect();
        let once = vec![1; blocks.len()];
        let measured = weighted(&values, &sizes, &once);
        let resampled: Vec<_> = self
            .resamples
            .iter()
            .map(|weights| weighted(&values, &sizes, weights))
            .collect();
        let mut quantiles = BootstrapQuantiles::default();
        let slots = quantiles
            .at
            .iter_mut()
            .zip(QUANTILES)
            .zip(measured)
            .enumerate();
        for (index, ((slot, (_, quantile)), measured)) in slots {
            #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 values")]
            let beyond = values.len() as f64 * (1.0 - quantile);
            // 1.0 - 0.9 is slightly less than 0.1.
            if beyond > BEYOND_MIN - 0.001 {
                *slot = Some(Quantile {
                    measured,
                    resampled: resampled
                        .iter()
                        .filter_map(|quantiles| quantiles.get(index).copied())
                        .collect(),
                });
            }
        }
        quantiles
    }

    /// `minuend` minus every one of `subtrahends`, at each quantile.
    #[must_use]
    pub fn difference(
        &self,
        minuend: &BootstrapQuantiles,
        subtrahends: &[&BootstrapQuantiles],
    ) -> [Option<Interval>; QUANTILES.len()] {
        std::array::from_fn(|index| {
            let mut difference = minuend.at.get(index)?.clone()?;
            for subtrahend in subtrahends {
                let subtrahend = subtrahend.at.get(index)?.as_ref()?;
                difference.measured -= subtrahend.measured;
                let pairs = difference.resampled.iter_mut().zip(&subtrahend.resampled);
                for (difference, subtrahend) in pairs {
                    *difference -= subtrahend;
                }
            }
            Some(self.interval(difference))
        })
    }

    fn interval(&self, quantile: Quantile) -> Interval {
        let Quantile {
            measured,
            mut resampled,
        } = quantile;
        resampled.sort_unstable_by(f64::total_cmp);
        let (low, high) = self.ends(&resampled, Z_SINGLE);
        let (all_low, all_high) = self.ends(&resampled, Z_TOGETHER);
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
        low.zip(high)
            .expect("the tail is below one half, so fewer values are skipped than there are")
    }
}

impl BootstrapQuantiles {
    /// The measured quantiles in microseconds.
    #[must_use]
    pub fn measured_us(&self) -> [Option<f64>; QUANTILES.len()] {
        std::array::from_fn(|index| Some(self.at.get(index)?.as_ref()?.measured / 1000.0))
    }
}

/// The normal quantile of a two-sided 95 % interval, at 1 - 0.05 / 2.
const Z_SINGLE: f64 = 1.959_964;
/// The normal quantile of a 95 % interval for four quantiles together, at 1 - 0.05 / 2 / 4.
const Z_TOGETHER: f64 = 2.497_705;

/// One measured value and the round of its block.
struct Value {
    nanos: u64,
    round: usize,
}

/// Quantiles of sorted values by nearest rank, each value counted as often as its round was drawn.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact to 2^53 nanoseconds and values"
)]
fn weighted(values: &[Value], sizes: &[usize], weights: &[u32]) -> [f64; QUANTILES.len()] {
    let total: f64 = sizes
        .iter()
        .zip(weights)
        .map(|(size, weight)| *size as f64 * f64::from(*weight))
        .sum();
    let mut quantiles = [0.0; QUANTILES.len()];
    let mut pending = quantiles.iter_mut().zip(QUANTILES).peekable();
    let mut rank = 0.0;
    for value in values {
        let weight = weights.get(value.round);
        rank += f64::from(*weight.expect("there is a weight for every round"));
        while let Some((slot, _)) = pending.next_if(|(_, (_, q))| rank >= (q * total).ceil()) {
            *slot = value.nanos as f64;
        }
    }
    quantiles
}

/// Student's quantile with `freedom` degrees of freedom, from the normal quantile `z`: the
/// Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5), accurate to 0.5 % from 7 degrees on.
fn student_t(z: f64, freedom: f64) -> f64 {
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / freedom + second / freedom.powi(2) + third / freedom.powi(3)
}

/// The probability that a standard normal variable exceeds `z` >= 0 (Abramowitz and Stegun,
/// 26.2.17; error < 7.5e-8).
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
