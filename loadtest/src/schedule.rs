//! The instants at which a run's requests are due, as offsets from its start.
//!
//! A schedule is an iterator: it owns no socket and reads no clock. Each constant offset is
//! computed from its index, so that rounding errors do not accumulate; Poisson gaps are drawn from
//! a seed, so that a run can be repeated. A ramp maps the same events onto a changing rate: event
//! `u` is due when the rate's integral reaches `u`.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rand_distr::Exp1;
use serde::Serialize;

/// The distribution of the gaps between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// All gaps are 1/rate, and the first request is due at the start.
    Constant,
    /// Gaps are exponential with mean 1/rate, as independent callers produce.
    Poisson,
}

/// The timing of a run's requests: an open loop, a closed loop, or a recording.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "loop", rename_all = "lowercase")]
pub enum Load {
    /// Requests are sent at scheduled instants, whether or not earlier ones were answered.
    Open {
        /// The distribution of the gaps.
        arrivals: Arrivals,
        /// Requests per second at the start.
        rate: f64,
        /// Requests per second at the end of a linear ramp.
        #[serde(skip_serializing_if = "Option::is_none")]
        ramp_to: Option<f64>,
        /// Seed of the random gaps.
        seed: u64,
        /// Maximum requests in flight: connections, or streams of the one HTTP/2 connection.
        connections: usize,
    },
    /// Each worker sends its next request when its last one is over.
    Closed {
        /// Number of workers, and so of requests in flight.
        workers: usize,
    },
    /// Requests are sent at the instants of a recording, whether or not earlier ones were
    /// answered.
    Recorded {
        /// Number of exchanges in the recording.
        exchanges: usize,
        /// Recorded time divided by replayed time: 2 is twice as fast.
        speed: f64,
        /// Number of passes over the recording.
        loops: u32,
        /// Maximum requests in flight.
        connections: usize,
    },
}

impl Load {
    /// The requested rate at the start, per second. Only an open loop has one.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Open { rate, .. } => Some(rate),
            Self::Closed { .. } | Self::Recorded { .. } => None,
        }
    }
}

/// The send offsets of one run: ascending, and all before its duration.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    /// Change of the rate, in requests per second per second.
    slope: f64,
    duration: Duration,
    index: u64,
    /// The last Poisson arrival, measured as the rate's integral up to it.
    poisson_events: f64,
    rng: SmallRng,
}

impl Schedule {
    /// Schedules `rate` requests per second, above 0, for `duration`.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, duration: Duration, seed: u64) -> Self {
        debug_assert!(rate.is_finite() && rate > 0.0);
        Self {
            arrivals,
            rate,
            slope: 0.0,
            duration,
            index: 0,
            poisson_events: 0.0,
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    /// Changes the rate linearly, so that it reaches `rate`, above 0, at the end.
    #[must_use]
    pub fn ramp_to(mut self, rate: f64) -> Self {
        debug_assert!(rate.is_finite() && rate > 0.0);
        self.slope = (rate - self.rate) / self.duration.as_secs_f64();
        self
    }

    /// The time at which the rate's integral is `events`: the root of
    /// `rate t + slope t^2 / 2 = events`.
    fn seconds_until(&self, events: f64) -> f64 {
        if self.slope == 0.0 {
            return events / self.rate;
        }
        // NaN beyond the turning point of a falling rate, which lies after the duration.
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
                let gap: f64 = self.rng.sample(Exp1);
                self.poisson_events += gap;
                self.poisson_events
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
        // With 100,000 gaps, three standard errors are 1 %.
        assert!((mean * 500.0 - 1.0).abs() < 0.01, "mean {mean}");
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.02,
            "variance {variance}"
        );
    }

    #[test]
    fn poisson_offsets_depend_on_the_seed_alone() {
        let offsets = |seed| -> Vec<Duration> {
            Schedule::new(Arrivals::Poisson, 100.0, Duration::from_secs(1), seed).collect()
        };
        assert_eq!(offsets(1), offsets(1));
        assert_ne!(offsets(1), offsets(2));
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
