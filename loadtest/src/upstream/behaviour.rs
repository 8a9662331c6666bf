//! What the endpoint does of its own accord, where a request asks for nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::distribution::Distribution;
use super::knobs::{Gaps, Knobs};

/// Timing and faults of all answers but the small routes'. Parts are between 0 and 1.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// From a request's last byte to the answer's head.
    pub latency: Distribution,
    /// Between two events of a stream.
    pub gap: Distribution,
    /// Tokens of a chat's answer.
    pub tokens: usize,
    /// The part of answers that are an error, and its status.
    pub errors: (f64, StatusCode),
    /// The part of answers that fall silent after their first piece, and for how long.
    pub stalls: (f64, Duration),
    /// The part of answers that are cut in their body, within the first so many bytes.
    pub cuts: (f64, u64),
    /// Of everything drawn.
    pub seed: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency: Distribution::Constant(Duration::ZERO),
            gap: Distribution::Constant(Duration::from_millis(2)),
            tokens: 32,
            errors: (0.0, StatusCode::INTERNAL_SERVER_ERROR),
            stalls: (0.0, Duration::from_secs(5)),
            cuts: (0.0, 1000),
            seed: 1,
        }
    }
}

/// Draws what each request gets, in the order that requests come.
#[derive(Debug)]
pub(super) struct Draws {
    behaviour: Behaviour,
    drawn: AtomicU64,
}

impl Draws {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            drawn: AtomicU64::new(0),
        }
    }

    /// What the next request gets.
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
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        // Its own generator, so that one draw more here shifts nothing there.
        let mut rng = SmallRng::seed_from_u64(seed.wrapping_add(number.wrapping_mul(0x9E37_79B9)));
        let delay = latency.draw(&mut rng);
        let mut befalls = |part: f64| part > 0.0 && rng.random::<f64>() < part;
        let (is_error, is_stall, is_cut) = (befalls(errors.0), befalls(stalls.0), befalls(cuts.0));
        let gap = match gap {
            Distribution::Constant(gap) => Gaps::Constant(*gap),
            drawn => Gaps::Drawn(drawn.clone(), Box::new(rng.clone())),
        };
        Knobs {
            delay,
            spin: Duration::ZERO,
            tokens: *tokens,
            gap,
            status: is_error.then_some(errors.1),
            stall: is_stall.then_some(stalls.1),
            cut_after_bytes: is_cut.then(|| rng.random_range(0..=cuts.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_at_their_rates_and_again_with_the_seed() {
        let behaviour = Behaviour {
            latency: "exp:1ms".parse().unwrap(),
            errors: (0.25, StatusCode::TOO_MANY_REQUESTS),
            stalls: (0.5, Duration::from_secs(1)),
            cuts: (1.0, 10),
            ..Behaviour::default()
        };
        let draw = || -> Vec<Knobs> {
            let draws = Draws::new(behaviour.clone());
            (0..10_000).map(|_| draws.next()).collect()
        };
        let drawn = draw();
        assert!(drawn == draw());
        let count = |of: fn(&Knobs) -> bool| drawn.iter().filter(|knobs| of(knobs)).count();
        let errors = count(|knobs| knobs.status == Some(StatusCode::TOO_MANY_REQUESTS));
        // Five standard deviations of 10,000 draws are 217 and 250.
        assert!(errors.abs_diff(2500) < 217, "{errors}");
        let stalls = count(|knobs| knobs.stall == Some(Duration::from_secs(1)));
        assert!(stalls.abs_diff(5000) < 250, "{stalls}");
        assert_eq!(count(|knobs| knobs.cut_after_bytes.unwrap() <= 10), 10_000);
        assert!(count(|knobs| knobs.delay > Duration::from_millis(1)) > 3000);
    }
}
