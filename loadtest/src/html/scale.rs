//! Axes: the position of values, the ticks, and the format of tick labels.

/// How values are spaced on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Linearly.
    Linear,
    /// By their logarithm; values must be above zero.
    Log,
    /// Quantiles by the number of nines: 0.9, 0.99 and 0.999 are equally far apart.
    Nines,
}

/// The unit of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    Micros,
    Seconds,
    PerSecond,
    Bytes,
    Quantile,
}

/// A scale with its minimum and maximum, in scaled units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    scale: Scale,
    low: f64,
    high: f64,
    /// The distance between ticks of a linear axis.
    step: f64,
}

/// The last quantile with a position of its own. The maximum is drawn there.
const LAST_NINE: f64 = 0.999_999;

impl Range {
    /// The range that covers `values`, widened to round ends. `None` without finite values.
    pub(super) fn covering(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let positions: Vec<f64> = values
            .map(|value| position(scale, value))
            .filter(|value| value.is_finite())
            .collect();
        let low = positions.iter().copied().reduce(f64::min)?;
        let high = positions.iter().copied().reduce(f64::max)?;
        let mut step = 1.0;
        let (low, high) = match scale {
            Scale::Linear => {
                let (low, high) = (low.min(0.0), high.max(0.0));
                step = step_of(high - low);
                ((low / step).floor() * step, (high / step).ceil() * step)
            }
            Scale::Log => (low.floor(), high.ceil()),
            Scale::Nines => (low, high),
        };
        let high = if high > low { high } else { low + 1.0 };
        Some(Self {
            scale,
            low,
            high,
            step,
        })
    }

    /// The relative position of a value, from 0 to 1.
    pub(super) fn at(self, value: f64) -> f64 {
        let position = position(self.scale, value);
        ((position - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The values of the ticks.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let count = ((self.high - self.low) / self.step).round();
                std::iter::successors(Some(0.0), |n| Some(n + 1.0))
                    .take_while(|n| *n <= count)
                    .map(|n| self.low + n * self.step)
                    .collect()
            }
            Scale::Log => {
                let between: &[f64] = if self.high - self.low > 3.0 {
                    &[1.0]
                } else {
                    &[1.0, 2.0, 5.0]
                };
                std::iter::successors(Some(self.low), |n| Some(n + 1.0))
                    .take_while(|decade| *decade <= self.high)
                    .flat_map(|decade| {
                        between
                            .iter()
                            .map(move |factor| factor * 10_f64.powf(decade))
                    })
                    .filter(|tick| tick.log10() <= self.high)
                    .collect()
            }
            Scale::Nines => {
                let ticks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
                ticks
                    .into_iter()
                    .filter(|tick| (self.low..=self.high).contains(&position(self.scale, *tick)))
                    .collect()
            }
        }
    }
}

fn position(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
        Scale::Nines => -(1.0 - value.min(LAST_NINE)).log10(),
    }
}

/// A step of 1, 2 or 5 times a power of ten that divides `length` into four to ten.
fn step_of(length: f64) -> f64 {
    if length <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf((length / 4.0).log10().floor());
    let times = length / 4.0 / power;
    let factor = [5.0, 2.0]
        .into_iter()
        .find(|factor| *factor <= times * 1.000_001);
    factor.unwrap_or(1.0) * power
}

impl Unit {
    /// Formats a value with its unit for a tick label or a tooltip.
    pub(super) fn format(self, value: f64) -> String {
        match self {
            Self::Micros if value.abs() >= 1e6 => format!("{} s", short(value / 1e6)),
            Self::Micros if value.abs() >= 1e3 => format!("{} ms", short(value / 1e3)),
            Self::Micros => format!("{} us", short(value)),
            Self::Seconds => format!("{} s", short(value)),
            Self::PerSecond => format!("{}/s", short(value)),
            Self::Bytes if value >= 1e6 => format!("{} MB", short(value / 1e6)),
            Self::Bytes if value >= 1e3 => format!("{} KB", short(value / 1e3)),
            Self::Bytes => format!("{} B", short(value)),
            Self::Quantile if value >= 1.0 => "max".to_owned(),
            Self::Quantile => format!("p{}", short(value * 100.0)),
        }
    }
}

/// Formats a value with at most five significant digits and without trailing zeros.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 3,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scale: Scale, values: &[f64], ticks: &[f64]) {
        let range = Range::covering(scale, values.iter().copied()).unwrap();
        let found = range.ticks();
        let close = |(found, expect): (&f64, &f64)| (found - expect).abs() < 1e-6;
        let are_equal = found.len() == ticks.len() && found.iter().zip(ticks).all(close);
        assert!(are_equal, "{found:?} for {ticks:?}");
        for value in values {
            assert!((0.0..=1.0).contains(&range.at(*value)));
        }
    }

    #[test]
    fn ticks_are_round_and_enclose_all_values() {
        check(
            Scale::Linear,
            &[3.0, 97.0],
            &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0],
        );
        check(
            Scale::Linear,
            &[-3.0, 5.0],
            &[-4.0, -2.0, 0.0, 2.0, 4.0, 6.0],
        );
        check(Scale::Linear, &[0.0], &[0.0, 1.0]);
        check(
            Scale::Log,
            &[150.0, 4000.0],
            &[100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0],
        );
        check(
            Scale::Linear,
            &[-40.0, 320.0],
            &[-50.0, 0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0],
        );
        check(Scale::Nines, &[0.0, 0.5, 0.995], &[0.0, 0.5, 0.9, 0.99]);
        check(Scale::Nines, &[0.5, 0.9], &[0.5, 0.9]);
        assert!(Range::covering(Scale::Log, std::iter::empty()).is_none());
    }

    #[test]
    fn nines_are_equally_far_apart_and_the_maximum_has_a_position() {
        let range = Range::covering(Scale::Nines, [0.0, 0.9, 0.99, 0.999].into_iter()).unwrap();
        assert!((range.at(0.9) - 1.0 / 3.0).abs() < 1e-6);
        assert!((range.at(0.99) - 2.0 / 3.0).abs() < 1e-6);
        assert_eq!(range.at(1.0), 1.0);
    }

    #[test]
    fn values_are_formatted_with_their_unit() {
        let cases = [
            (Unit::Micros, 43.0, "43 us"),
            (Unit::Micros, 1500.0, "1.5 ms"),
            (Unit::Micros, -2_000_000.0, "-2 s"),
            (Unit::Bytes, 20_480.0, "20.48 KB"),
            (Unit::Quantile, 0.999, "p99.9"),
            (Unit::Quantile, 1.0, "max"),
            (Unit::PerSecond, 8000.0, "8000/s"),
            (Unit::Seconds, -0.0, "0 s"),
        ];
        for (unit, value, expect) in cases {
            assert_eq!(unit.format(value), expect);
        }
    }
}
