//! When requests are to be sent: offsets from the start of a run, computed and never slept.
//!
//! No socket, no clock: an iterator. Each constant offset is computed from its index, so no error
//! adds up; Poisson gaps are drawn from a seed, so that a run can be repeated. A ramp is the same
//! events on a clock that runs faster and faster: event `u` is due when the rate's integral is `u`.

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
        /// Requests per second, at the start.
        rate: f64,
        /// Requests per second at the end, where the rate changes in a straight line.
        #[serde(skip_serializing_if = "Option::is_none")]
        ramp_to: Option<f64>,
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
    /// At the instants of a recording, answered or not.
    Recorded {
        /// Exchanges of the recording.
        exchanges: usize,
        /// Recorded time over time now.
        speed: f64,
        /// How often all of it was sent.
        loops: u32,
        /// The most requests in flight.
        connections: usize,
    },
}

impl Load {
    /// Requests per second that were asked for, at the start.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Open { rate, .. } => Some(rate),
            Self::Closed { .. } | Self::Recorded { .. } => None,
        }
    }
}

/// The send offsets of one run, ascending, all before its duration.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    /// Change of the rate, per second and second.
    slope: f64,
    duration: Duration,
    index: u64,
    /// The last Poisson arrival, as the rate's integral up to it.
    drawn: f64,
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
            slope: 0.0,
            duration,
            index: 0,
            drawn: 0.0,
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    /// The same, its rate changing in a straight line to `rate`, above 0, at the end.
    #[must_use]
    pub fn ramp_to(mut self, rate: f64) -> Self {
        debug_assert!(rate.is_finite() && rate > 0.0);
        self.slope = (rate - self.rate) / self.duration.as_secs_f64();
        self
    }

    /// When the rate's integral is `events`: the root of `rate t + slope t^2 / 2 = events`.
    fn seconds_until(&self, events: f64) -> f64 {
        if self.slope == 0.0 {
            return events / self.rate;
        }
        // Not a number past the turning point of a falling rate, which lies after the duration.
        let root = (self.rate * self.rate + 2.0 * self.slope * events).sqrt();
        2.0 * events / (self.rate + root)
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let events = match self.arrivals {
            #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 sends")]
            Arrivals::Constant => self.index as f64,
            Arrivals::Poisson => {
                let uniform: f64 = self.rng.random();
                self.drawn -= (1.0 - uniform).ln();
                self.drawn
            }
        };
        self.index += 1;
        Duration::try_from_secs_f64(self.seconds_until(events))
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

    #[test]
    fn a_ramp_has_the_mean_of_its_rates_and_ends_at_the_last() {
        let second = Duration::from_secs(1);
        let up = Schedule::new(Arrivals::Constant, 100.0, 10 * second, 0).ramp_to(300.0);
        let offsets: Vec<f64> = up.map(|at| at.as_secs_f64()).collect();
        assert_eq!(offsets.len(), 2000);
        let last = offsets[1999] - offsets[1998];
        assert!((offsets[1] - 0.01).abs() < 1e-4 && (last - 1.0 / 300.0).abs() < 1e-4);

        let down = Schedule::new(Arrivals::Poisson, 4000.0, 10 * second, 3).ramp_to(1.0);
        let halves = down.fold([0_u32; 2], |[first, last], at| {
            if at < 5 * second {
                [first + 1, last]
            } else {
                [first, last + 1]
            }
        });
        // 15,001 and 5,004 expected; five standard deviations are 612 and 354.
        assert!(halves[0].abs_diff(15_001) < 612 && halves[1].abs_diff(5_004) < 354);
    }
}
