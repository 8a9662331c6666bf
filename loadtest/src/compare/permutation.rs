//! A permutation test of whether two lanes differ.
//!
//! If two lanes are equal, the blocks of a round are exchangeable, because both lanes got the same
//! load in random order. Swapping them in randomly chosen rounds therefore shows which differences
//! arise by chance. The test is exact for every distribution and every dependence between requests
//! of one block. The bootstrap interval of a tail quantile is not, because a burst of other work in
//! one round moves the whole tail (Good, "Permutation, Parametric and Bootstrap Tests of
//! Hypotheses", 2005, section 3.2).

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::bootstrap::QUANTILES;

const REPLICATES: u32 = 1000;

/// Random permutations: for each, the rounds in which the two lanes are swapped.
#[derive(Debug)]
pub struct Permutations {
    swapped: Vec<Vec<bool>>,
}

impl Permutations {
    /// Draws permutations of `rounds` rounds.
    #[must_use]
    pub fn new(rounds: usize, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut draw = || (0..rounds).map(|_| rng.random()).collect();
        Self {
            swapped: (0..REPLICATES).map(|_| draw()).collect(),
        }
    }

    /// The p-value at each quantile: the fraction of permutations in which the lanes differ at least
    /// as much as measured. `first` and `second` have one block per round, in the same order.
    ///
    /// # Panics
    /// When there are more blocks than the rounds that the permutations were drawn for.
    #[must_use]
    pub fn p_values(&self, first: &[&[u64]], second: &[&[u64]]) -> [f64; QUANTILES.len()] {
        let mut values: Vec<Value> = Vec::new();
        for (is_second, blocks) in [(false, first), (true, second)] {
            for (round, block) in blocks.iter().enumerate() {
                values.extend(block.iter().map(|&nanos| Value {
                    nanos,
                    round,
                    is_second,
                }));
            }
        }
        values.sort_unstable_by_key(|value| value.nanos);
        let unswapped = vec![false; first.len().max(second.len())];
        let measured = differences(&values, &unswapped);
        let mut as_large = [1_u32; QUANTILES.len()];
        for swapped in &self.swapped {
            let permuted = differences(&values, swapped);
            for ((count, permuted), measured) in as_large.iter_mut().zip(permuted).zip(measured) {
                *count += u32::from(permuted >= measured);
            }
        }
        as_large.map(|count| f64::from(count) / f64::from(REPLICATES + 1))
    }
}

struct Value {
    nanos: u64,
    round: usize,
    is_second: bool,
}

/// The absolute difference of the two lanes' quantiles, in nanoseconds. `values` are sorted.
fn differences(values: &[Value], swapped: &[bool]) -> [u64; QUANTILES.len()] {
    let is_second = |value: &Value| {
        let is_swapped = swapped.get(value.round);
        value.is_second != *is_swapped.expect("there is a flag for every round")
    };
    let in_second = values.iter().filter(|value| is_second(value)).count();
    let mut first = RunningQuantiles::new(values.len() - in_second);
    let mut second = RunningQuantiles::new(in_second);
    for value in values {
        let lane = if is_second(value) {
            &mut second
        } else {
            &mut first
        };
        lane.add(value.nanos);
    }
    let mut differences = first.quantiles;
    for (difference, second) in differences.iter_mut().zip(second.quantiles) {
        *difference = difference.abs_diff(second);
    }
    differences
}

/// The quantiles of one lane by nearest rank, computed from its values in ascending order.
struct RunningQuantiles {
    total: usize,
    added: usize,
    quantiles: [u64; QUANTILES.len()],
    /// How many of the quantiles are known.
    known: usize,
}

impl RunningQuantiles {
    fn new(total: usize) -> Self {
        Self {
            total,
            added: 0,
            quantiles: [0; QUANTILES.len()],
            known: 0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 values")]
    fn add(&mut self, nanos: u64) {
        self.added += 1;
        while let (Some(slot), Some((_, quantile))) = (
            self.quantiles.get_mut(self.known),
            QUANTILES.get(self.known),
        ) && self.added as f64 >= (quantile * self.total as f64).ceil()
        {
            *slot = nanos;
            self.known += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generates 20 blocks of 20 values. In some blocks a burst makes the tail long.
    fn blocks(rng: &mut SmallRng, added: u64) -> Vec<Vec<u64>> {
        let mut block = || {
            let burst = if rng.random::<f64>() < 0.2 {
                2_000_000
            } else {
                0
            };
            (0..20)
                .map(|n| {
                    let late = if n % 5 == 0 { burst } else { 0 };
                    100_000 + added + late + rng.random_range(0..20_000)
                })
                .collect()
        };
        (0..20).map(|_| block()).collect()
    }

    fn p_values(first: &[Vec<u64>], second: &[Vec<u64>]) -> [f64; QUANTILES.len()] {
        let first: Vec<&[u64]> = first.iter().map(Vec::as_slice).collect();
        let second: Vec<&[u64]> = second.iter().map(Vec::as_slice).collect();
        Permutations::new(20, 1).p_values(&first, &second)
    }

    #[test]
    fn bursts_in_few_rounds_are_not_significant_and_a_shift_is() {
        let mut rng = SmallRng::seed_from_u64(2);
        let mut claims = [0; QUANTILES.len()];
        for _ in 0..30 {
            let found = p_values(&blocks(&mut rng, 0), &blocks(&mut rng, 0));
            for (claims, p_value) in claims.iter_mut().zip(found) {
                *claims += u32::from(p_value <= 0.05);
            }
        }
        // 1.5 of 30 are expected of each; seven or more happen one time in 1,000.
        assert!(claims.iter().all(|claims| *claims < 7), "{claims:?}");
        let [p50, ..] = p_values(&blocks(&mut rng, 0), &blocks(&mut rng, 10_000));
        assert!(p50 <= 0.002, "{p50}");
    }

    #[test]
    fn identical_lanes_have_a_p_value_of_1() {
        let mut rng = SmallRng::seed_from_u64(2);
        let blocks = blocks(&mut rng, 0);
        assert_eq!(p_values(&blocks, &blocks), [1.0; QUANTILES.len()]);
    }
}
