//! Distributions of durations, to imitate real services or to script a test.

use std::str::FromStr;
use std::time::Duration;

use rand::Rng;
use rand_distr::{Exp1, StandardNormal};

use crate::units;

/// Longer durations are capped at this.
const MAX: Duration = Duration::from_secs(600);

/// A distribution of durations. `FromStr` parses `0`, `20ms`, `uniform:10ms..30ms`, `exp:20ms` (with
/// the mean), `lognormal:20ms,0.5` (with the median and sigma) and `quantiles:50=20ms,99=200ms`
/// (linear between the quantiles, constant outside).
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Every draw is the same.
    Constant(Duration),
    /// Uniform between two durations.
    Uniform(Duration, Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Log-normal with this median and this standard deviation of the logarithm.
    LogNormal(Duration, f64),
    /// At least one quantile and its duration, both ascending.
    Quantiles(Vec<(f64, Duration)>),
}

impl Distribution {
    /// Draws a duration of at most 600 s.
    pub fn draw(&self, rng: &mut impl Rng) -> Duration {
        let duration = match self {
            Self::Constant(duration) => *duration,
            Self::Uniform(low, high) => between(*low, *high, rng.random()),
            Self::Exponential(mean) => scaled(*mean, rng.sample(Exp1)),
            Self::LogNormal(median, sigma) => {
                let normal: f64 = rng.sample(StandardNormal);
                scaled(*median, (sigma * normal).exp())
            }
            Self::Quantiles(points) => at_quantile(points, rng.random()),
        };
        duration.min(MAX)
    }
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(MAX)
}

fn between(low: Duration, high: Duration, fraction: f64) -> Duration {
    low + high.saturating_sub(low).mul_f64(fraction)
}

fn at_quantile(points: &[(f64, Duration)], quantile: f64) -> Duration {
    let mut before: Option<(f64, Duration)> = None;
    for (at, duration) in points {
        if quantile < *at {
            return match before {
                None => *duration,
                Some((from, low)) => between(low, *duration, (quantile - from) / (at - from)),
            };
        }
        before = Some((*at, *duration));
    }
    before.map_or(Duration::ZERO, |(_, longest)| longest)
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let broken = || {
            format!(
                "`{text}` is not a distribution such as 20ms, uniform:10ms..30ms, exp:20ms, \
                 lognormal:20ms,0.5 or quantiles:50=20ms,99=200ms"
            )
        };
        let duration = |text: &str| units::duration(text).map_err(|_| broken());
        if text == "0" {
            return Ok(Self::Constant(Duration::ZERO));
        }
        let Some((kind, rest)) = text.split_once(':') else {
            return duration(text).map(Self::Constant);
        };
        match kind {
            "uniform" => {
                let (low, high) = rest.split_once("..").ok_or_else(broken)?;
                let (low, high) = (duration(low)?, duration(high)?);
                (low <= high).then_some(Self::Uniform(low, high))
            }
            "exp" => Some(Self::Exponential(duration(rest)?)),
            "lognormal" => {
                let (median, sigma) = rest.split_once(',').ok_or_else(broken)?;
                let sigma: f64 = sigma.parse().map_err(|_| broken())?;
                let is_sound = (0.0..=10.0).contains(&sigma);
                let median = duration(median)?;
                is_sound.then_some(Self::LogNormal(median, sigma))
            }
            "quantiles" => {
                let point = |point: &str| {
                    let (percent, at) = point.split_once('=').ok_or_else(broken)?;
                    let percent: f64 = percent.parse().map_err(|_| broken())?;
                    Ok((percent / 100.0, duration(at)?))
                };
                let points = rest
                    .split(',')
                    .map(point)
                    .collect::<Result<Vec<_>, String>>()?;
                let ascend = points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
                let within = points.iter().all(|(at, _)| (0.0..=1.0).contains(at));
                (ascend && within).then_some(Self::Quantiles(points))
            }
            _ => None,
        }
        .ok_or_else(broken)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    /// Checks that quantiles of 20,000 draws are within 5 % of the distribution's own.
    #[track_caller]
    fn check(text: &str, quantiles_us: [(f64, u64); 3]) {
        let distribution: Distribution = text.parse().unwrap();
        let mut rng = SmallRng::seed_from_u64(3);
        let mut draws: Vec<Duration> = (0..20_000).map(|_| distribution.draw(&mut rng)).collect();
        draws.sort_unstable();
        for (quantile, us) in quantiles_us {
            let found = draws[(20_000.0 * quantile) as usize].as_micros() as f64;
            assert!(
                (found / us as f64 - 1.0).abs() < 0.05,
                "{text} at {quantile}: {found} us for {us}"
            );
        }
    }

    #[test]
    fn draws_have_the_distributions_quantiles() {
        check("20ms", [(0.0, 20_000), (0.5, 20_000), (0.99, 20_000)]);
        check(
            "uniform:10ms..30ms",
            [(0.01, 10_200), (0.5, 20_000), (0.9, 28_000)],
        );
        // -ln(0.5), -ln(0.1), -ln(0.01).
        check("exp:20ms", [(0.5, 13_863), (0.9, 46_052), (0.99, 92_103)]);
        // exp(0.5 z) at z = 0, 1.2816, 2.3263.
        check(
            "lognormal:20ms,0.5",
            [(0.5, 20_000), (0.9, 37_957), (0.99, 63_998)],
        );
        let scripted = "quantiles:50=20ms,90=40ms,99=200ms";
        check(scripted, [(0.2, 20_000), (0.7, 30_000), (0.995, 200_000)]);
    }

    #[test]
    fn an_invalid_distribution_is_rejected() {
        for broken in [
            "20",
            "uniform:3ms..2ms",
            "lognormal:2ms",
            "lognormal:2ms,-1",
            "quantiles:90=1ms,50=2ms",
            "quantiles:50=2ms,90=1ms",
            "quantiles:101=2ms",
            "normal:1ms",
        ] {
            let error = broken.parse::<Distribution>().unwrap_err();
            assert!(
                error.starts_with(&format!("`{broken}` is not a distribution")),
                "{error}"
            );
        }
    }
}
