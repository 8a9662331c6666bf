//! When requests are to be sent: offsets from the start of a run, computed and never slept.
//!
//! No socket, no clock: an iterator. Each constant offset is computed from its index, so no error
//! adds up; Poisson gaps are drawn from a seed, so that a run can be repeated.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

/// How the gaps between two sends are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// All gaps are 1/rate; the first send is at the start.
    Constant,
    /// Exponential gaps of mean 1/rate, as independent callers make them.
    Poisson,
}

/// When the requests of a run are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "loop", rename_all = "lowercase")]
pub enum Load {
    /// At scheduled instants, answered or not.
    Open {
        /// The distribution of the gaps.
        arrivals: Arrivals,
        /// Requests per second.
        rate: f64,
        /// Of the random gaps.
        seed: u64,
        /// The most requests in flight: connections, or streams of the one HTTP/2 connection.
        connections: usize,
    },
    /// When the worker's last one is over.
    Closed {
        /// Requests in flight.
        workers: usize,
    },
}

/// The send offsets of one run, ascending, all before its duration.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    duration: Duration,
    index: u64,
    /// The last Poisson arrival, in seconds.
    at_s: f64,
    rng: SmallRng,
}

impl Schedule {
    /// `rate` sends per second, above 0, for `duration`.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, duration: Duration, seed: u64) -> Self {
        debug_assert!(rate.is_finite() && rate > 0.0);
        Self {
            arrivals,
            rate,
            duration,
            index: 0,
            at_s: 0.0,
            rng: SmallRng::seed_from_u64(seed),
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let at_s = match self.arrivals {
            #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 sends")]
            Arrivals::Constant => self.index as f64 / self.rate,
            Arrivals::Poisson => {
                let uniform: f64 = self.rng.random();
                self.at_s - (1.0 - uniform).ln() / self.rate
            }
        };
        self.index += 1;
        self.at_s = at_s;
        Duration::try_from_secs_f64(at_s)
            .ok()
            .filter(|at| *at < self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_offsets_are_exact_and_end_before_the_duration() {
        let schedule = Schedule::new(Arrivals::Constant, 4.0, Duration::from_secs(1), 0);
        let millis: Vec<u128> = schedule.map(|at| at.as_millis()).collect();
        assert_eq!(millis, [0, 250, 500, 750]);

        let hour = Duration::from_secs(3600);
        let mut long = Schedule::new(Arrivals::Constant, 3000.0, hour, 0);
        let at = long.nth(3000 * 3599 + 1).unwrap();
        assert_eq!(at.as_nanos(), 3599 * 1_000_000_000 + 333_333);
        assert_eq!(long.count(), 3000 - 2);
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_variation_of_an_exponential() {
        let duration = Duration::from_secs(200);
        let schedule = Schedule::new(Arrivals::Poisson, 500.0, duration, 42);
        let offsets: Vec<f64> = schedule.map(|at| at.as_secs_f64()).collect();
        assert!(offsets.is_sorted());
        let gaps: Vec<f64> = offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        // 100,000 gaps: three standard errors are 1 %.
        assert!((mean * 500.0 - 1.0).abs() < 0.01, "mean {mean}");
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.02,
            "variance {variance}"
        );
    }

    #[test]
    fn poisson_offsets_depend_on_the_seed_alone() {
        let of = |seed| -> Vec<Duration> {
            Schedule::new(Arrivals::Poisson, 100.0, Duration::from_secs(1), seed).collect()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
