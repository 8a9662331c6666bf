//! Whether two lanes can be told apart at all: by exchanging their names.
//!
//! If two lanes are alike, either block of a round might as well have been the other's, for both
//! were sent the same, in random order. So exchanging the two in rounds chosen by chance shows
//! what differences chance makes. This is exact whatever the distributions are and however much
//! requests of one block share, where the bootstrap's interval of a tail quantile is not: a burst
//! of other work in one round moves the tail as a whole (Good, "Permutation, Parametric and
//! Bootstrap Tests of Hypotheses", 2005, section 3.2).

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::resample::QUANTILES;

const REPLICATES: u32 = 1000;

/// Rounds in which the two lanes exchange names, many times over.
#[derive(Debug)]
pub struct Relabels {
    exchanged: Vec<Vec<bool>>,
}

impl Relabels {
    /// Draws for so many rounds.
    #[must_use]
    pub fn new(rounds: usize, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut draw = || (0..rounds).map(|_| rng.random()).collect();
        Self {
            exchanged: (0..REPLICATES).map(|_| draw()).collect(),
        }
    }

    /// The part of exchanges that make the two differ by at least as much as they do, quantile by
    /// quantile. Blocks are one a round, in the same order.
    #[must_use]
    pub fn chance(&self, one: &[&[u64]], other: &[&[u64]]) -> [f64; QUANTILES.len()] {
        let mut values: Vec<Value> = Vec::new();
        for (is_other, blocks) in [(false, one), (true, other)] {
            for (round, block) in blocks.iter().enumerate() {
                let of = |&nanos: &u64| Value {
                    nanos,
                    round,
                    is_other,
                };
                values.extend(block.iter().map(of));
            }
        }
        values.sort_unstable_by_key(|value| value.nanos);
        let none = vec![false; one.len().max(other.len())];
        let measured = differences(&values, &none);
        let mut as_large = [1_u32; QUANTILES.len()];
        for exchanged in &self.exchanged {
            let drawn = differences(&values, exchanged);
            for ((count, drawn), measured) in as_large.iter_mut().zip(drawn).zip(measured) {
                *count += u32::from(drawn >= measured);
            }
        }
        as_large.map(|count| f64::from(count) / f64::from(REPLICATES + 1))
    }
}

struct Value {
    nanos: u64,
    round: usize,
    is_other: bool,
}

/// How far the quantiles of the two lie apart, in nanoseconds.
fn differences(values: &[Value], exchanged: &[bool]) -> [u64; QUANTILES.len()] {
    let is_second = |value: &Value| {
        let is_exchanged = exchanged.get(value.round).copied().unwrap_or_default();
        value.is_other != is_exchanged
    };
    let second = values.iter().filter(|value| is_second(value)).count();
    let totals = [values.len() - second, second];
    let mut found = [[0_u64; QUANTILES.len()]; 2];
    let mut passed = [0_usize; 2];
    // The next quantile of each that is not reached yet.
    let mut next = [0_usize; 2];
    for value in values {
        let which = usize::from(is_second(value));
        let (Some(found), Some(passed), Some(next), Some(total)) = (
            found.get_mut(which),
            passed.get_mut(which),
            next.get_mut(which),
            totals.get(which),
        ) else {
            continue;
        };
        *passed += 1;
        while let (Some(slot), Some((_, quantile))) = (found.get_mut(*next), QUANTILES.get(*next))
            && is_reached(*passed, *quantile, *total)
        {
            *slot = value.nanos;
            *next += 1;
        }
    }
    let [first, second] = found;
    let mut apart = [0; QUANTILES.len()];
    for ((apart, first), second) in apart.iter_mut().zip(first).zip(second) {
        *apart = first.abs_diff(second);
    }
    apart
}

/// Nearest rank.
#[expect(clippy::cast_precision_loss, reason = "exact to 2^53 values")]
fn is_reached(passed: usize, quantile: f64, total: usize) -> bool {
    passed as f64 >= (quantile * total as f64).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 20 values; in some rounds a burst makes the tail long, in one lane or the other.
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

    fn chance(one: &[Vec<u64>], other: &[Vec<u64>]) -> [f64; QUANTILES.len()] {
        let (one, other): (Vec<&[u64]>, Vec<&[u64]>) = (
            one.iter().map(Vec::as_slice).collect(),
            other.iter().map(Vec::as_slice).collect(),
        );
        Relabels::new(20, 1).chance(&one, &other)
    }

    #[test]
    fn bursts_in_few_rounds_are_no_difference_and_a_shift_is_one() {
        let mut rng = SmallRng::seed_from_u64(2);
        let mut claims = [0; QUANTILES.len()];
        for _ in 0..30 {
            let found = chance(&blocks(&mut rng, 0), &blocks(&mut rng, 0));
            for (claims, chance) in claims.iter_mut().zip(found) {
                *claims += u32::from(chance <= 0.05);
            }
        }
        // 1.5 of 30 expected of each; seven or more come one time in 1,000.
        assert!(claims.iter().all(|claims| *claims < 7), "{claims:?}");
        let [p50, ..] = chance(&blocks(&mut rng, 0), &blocks(&mut rng, 10_000));
        assert!(p50 <= 0.002, "{p50}");
    }

    #[test]
    fn equal_lanes_differ_by_nothing_that_chance_does_not_make() {
        let mut rng = SmallRng::seed_from_u64(2);
        let blocks = blocks(&mut rng, 0);
        assert_eq!(chance(&blocks, &blocks), [1.0; QUANTILES.len()]);
    }
}
