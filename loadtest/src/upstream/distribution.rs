//! How long something takes, drawn: what real services do, or what a test has scripted.

use std::str::FromStr;
use std::time::Duration;

use rand::Rng;

use crate::units;

/// A duration drawn longer is cut to this.
const MAX: Duration = Duration::from_secs(600);

/// A distribution of durations. As text: `0`, `20ms`, `uniform:10ms..30ms`, `exp:20ms` (the mean),
/// `lognormal:20ms,0.5` (the median, and sigma of the logarithm), `quantiles:50=20ms,99=200ms`
/// (straight lines between, constant beyond).
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(Duration),
    /// Evenly between two.
    Uniform(Duration, Duration),
    /// Exponential, with a mean.
    Exponential(Duration),
    /// Log-normal, with a median and the standard deviation of its logarithm.
    LogNormal(Duration, f64),
    /// Quantiles, ascending in both, at least one.
    Quantiles(Vec<(f64, Duration)>),
}

impl Distribution {
    /// The next one.
    pub fn draw(&self, rng: &mut impl Rng) -> Duration {
        let drawn = match self {
            Self::Constant(always) => *always,
            Self::Uniform(low, high) => between(*low, *high, rng.random()),
            Self::Exponential(mean) => {
                let uniform: f64 = rng.random();
                scaled(*mean, -(1.0 - uniform).ln())
            }
            Self::LogNormal(median, sigma) => scaled(*median, (sigma * normal(rng)).exp()),
            Self::Quantiles(points) => at_quantile(points, rng.random()),
        };
        drawn.min(MAX)
    }
}

/// Standard normal (Box and Muller, 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (first, second): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(MAX)
}

fn between(low: Duration, high: Duration, part: f64) -> Duration {
    low + high.saturating_sub(low).mul_f64(part)
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
                "`{text}` is not like 20ms, uniform:10ms..30ms, exp:20ms, lognormal:20ms,0.5 or quantiles:50=20ms,99=200ms"
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
                let points: Result<Vec<_>, String> = rest.split(',').map(point).collect();
                let points = points?;
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

    /// Holds quantiles of 20,000 draws against the distribution's own, to 5 %.
    #[track_caller]
    fn check(text: &str, quantiles_us: [(f64, u64); 3]) {
        let distribution: Distribution = text.parse().unwrap();
        let mut rng = SmallRng::seed_from_u64(3);
        let mut drawn: Vec<Duration> = (0..20_000).map(|_| distribution.draw(&mut rng)).collect();
        drawn.sort_unstable();
        for (quantile, us) in quantiles_us {
            let found = drawn[(20_000.0 * quantile) as usize].as_micros() as f64;
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
    fn what_is_no_distribution_is_refused() {
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
                error.starts_with(&format!("`{broken}` is not like")),
                "{error}"
            );
        }
    }
}
