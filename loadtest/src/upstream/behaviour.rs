//! The timing and faults of responses, unless a request sets its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::distribution::Distribution;
use super::knobs::{Gaps, Knobs};

/// The timing and faults of all responses except those to health checks. Rates are fractions of the
/// responses, from 0 to 1.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Time from a request's last byte to the response head.
    pub latency: Distribution,
    /// Time between two events of a stream.
    pub gap: Distribution,
    /// Number of tokens in a chat response.
    pub tokens: usize,
    /// Responses that are an error.
    pub errors: ErrorFault,
    /// Responses that stall.
    pub stalls: StallFault,
    /// Responses that are truncated.
    pub cuts: CutFault,
    /// Seed of everything random.
    pub seed: u64,
}

/// Responses with an error status.
#[derive(Clone, Copy, Debug)]
pub struct ErrorFault {
    /// The fraction of responses that are errors.
    pub rate: f64,
    /// The status of the errors.
    pub status: StatusCode,
}

/// Responses that pause after their first chunk.
#[derive(Clone, Copy, Debug)]
pub struct StallFault {
    /// The fraction of responses that stall.
    pub rate: f64,
    /// How long a stall lasts.
    pub duration: Duration,
}

/// Responses whose connection is closed within the body.
#[derive(Clone, Copy, Debug)]
pub struct CutFault {
    /// The fraction of responses that are cut.
    pub rate: f64,
    /// The maximum number of body bytes before the cut.
    pub bytes_max: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency: Distribution::Constant(Duration::ZERO),
            gap: Distribution::Constant(Duration::from_millis(2)),
            tokens: 32,
            errors: ErrorFault {
                rate: 0.0,
                status: StatusCode::INTERNAL_SERVER_ERROR,
            },
            stalls: StallFault {
                rate: 0.0,
                duration: Duration::from_secs(5),
            },
            cuts: CutFault {
                rate: 0.0,
                bytes_max: 1000,
            },
            seed: 1,
        }
    }
}

/// Draws the knobs of each request, in the order in which requests arrive.
#[derive(Debug)]
pub(super) struct KnobSampler {
    behaviour: Behaviour,
    /// Number of requests so far.
    requests: AtomicU64,
}

impl KnobSampler {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            requests: AtomicU64::new(0),
        }
    }

    /// Draws the knobs of the next request.
    pub(super) fn next(&self) -> Knobs {
        let Behaviour {
            latency,
            gap,
            tokens,
            errors,
            stalls,
            cuts,
            seed,
        } = &self.behaviour;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        // Each request has its own generator, so that its draws do not depend on other requests.
        let mut rng = SmallRng::seed_from_u64(seed.wrapping_add(number.wrapping_mul(0x9E37_79B9)));
        let delay = latency.draw(&mut rng);
        let mut happens = |rate: f64| rate > 0.0 && rng.random::<f64>() < rate;
        let is_error = happens(errors.rate);
        let is_stall = happens(stalls.rate);
        let is_cut = happens(cuts.rate);
        let gap = match gap {
            Distribution::Constant(gap) => Gaps::Constant(*gap),
            random => Gaps::Random(random.clone(), Box::new(rng.clone())),
        };
        Knobs {
            delay,
            spin: Duration::ZERO,
            tokens: *tokens,
            gap,
            status: is_error.then_some(errors.status),
            stall: is_stall.then_some(stalls.duration),
            cut_after_bytes: is_cut.then(|| rng.random_range(0..=cuts.bytes_max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_at_their_rates_and_repeat_with_the_seed() {
        let behaviour = Behaviour {
            latency: "exp:1ms".parse().unwrap(),
            errors: ErrorFault {
                rate: 0.25,
                status: StatusCode::TOO_MANY_REQUESTS,
            },
            stalls: StallFault {
                rate: 0.5,
                duration: Duration::from_secs(1),
            },
            cuts: CutFault {
                rate: 1.0,
                bytes_max: 10,
            },
            ..Behaviour::default()
        };
        let draw = || -> Vec<Knobs> {
            let sampler = KnobSampler::new(behaviour.clone());
            (0..10_000).map(|_| sampler.next()).collect()
        };
        let knobs = draw();
        assert!(knobs == draw());
        let count = |has: fn(&Knobs) -> bool| knobs.iter().filter(|knobs| has(knobs)).count();
        let errors = count(|knobs| knobs.status == Some(StatusCode::TOO_MANY_REQUESTS));
        // Five standard deviations of 10,000 sampler are 217 and 250.
        assert!(errors.abs_diff(2500) < 217, "{errors}");
        let stalls = count(|knobs| knobs.stall == Some(Duration::from_secs(1)));
        assert!(stalls.abs_diff(5000) < 250, "{stalls}");
        assert_eq!(count(|knobs| knobs.cut_after_bytes.unwrap() <= 10), 10_000);
        assert!(count(|knobs| knobs.delay > Duration::from_millis(1)) > 3000);
    }
}
