//! Durations as a distribution of microseconds, three significant digits each.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer durations are recorded as this.
const MAX: Duration = Duration::from_secs(3600);

/// The points of a curve.
const CURVE: [f64; 16] = [
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999,
    1.0,
];

/// A distribution. Takes 190 kB, whatever it holds; a coarse one 30 kB.
#[derive(Clone, Debug)]
pub struct Micros {
    histogram: Histogram<u64>,
}

/// What is reported of a distribution: microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many durations.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// 90 % are at most this.
    pub p90: u64,
    /// 99 % are at most this.
    pub p99: u64,
    /// 99.9 % are at most this.
    #[serde(rename = "p99.9")]
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Micros {
    /// Adds one duration, rounded down.
    pub fn record(&mut self, duration: Duration) {
        self.histogram.saturating_record(whole_micros(duration));
    }

    /// Adds all of another's.
    pub fn add(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("all have the same bounds");
    }

    /// A distribution with two significant digits, where many are kept side by side.
    #[must_use]
    pub fn coarse() -> Self {
        Self::with_digits(2)
    }

    /// The whole distribution: quantiles and their values in microseconds, up to the last one that
    /// the count can tell from the maximum, and the maximum.
    #[must_use]
    pub fn curve(&self) -> Vec<(f64, u64)> {
        #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 values")]
        let count = self.histogram.len() as f64;
        let told = CURVE
            .into_iter()
            .filter(|quantile| *quantile == 1.0 || count * (1.0 - quantile) >= 1.0);
        if self.histogram.is_empty() {
            return Vec::new();
        }
        told.map(|quantile| (quantile, self.histogram.value_at_quantile(quantile)))
            .collect()
    }

    fn with_digits(digits: u8) -> Self {
        let histogram = Histogram::new_with_bounds(1, whole_micros(MAX), digits);
        Self {
            histogram: histogram.expect("1 <= MAX / 2, and the digits are within 0..=5"),
        }
    }

    /// `None` where nothing was recorded.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        (!self.histogram.is_empty()).then(|| Percentiles {
            count: self.histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.histogram.max(),
        })
    }
}

impl Default for Micros {
    fn default() -> Self {
        Self::with_digits(3)
    }
}

fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with the nearest rank of the sorted values.
    #[track_caller]
    fn check(mut values: Vec<u64>) {
        let mut micros = Micros::default();
        for value in &values {
            micros.record(Duration::from_micros(*value));
        }
        values.sort_unstable();
        let found = micros.percentiles().unwrap();
        assert_eq!(found.count, values.len() as u64);
        for (quantile, found) in [
            (0.5, found.p50),
            (0.9, found.p90),
            (0.99, found.p99),
            (0.999, found.p999),
            (1.0, found.max),
        ] {
            let rank = (quantile * values.len() as f64).ceil() as usize;
            let exact = values[rank - 1] as f64;
            let error = (found as f64 - exact).abs() / exact;
            assert!(error < 0.02, "{quantile}: {found} for {exact}");
        }
    }

    #[test]
    fn percentiles_of_scripted_latencies_are_right_to_two_percent() {
        check((1..=100_000).collect());
        // Two modes: 9 of 10 near 100 us, 1 of 10 near 80 ms.
        check(
            (0..10_000)
                .map(|n| if n % 10 == 0 { 80_000 + n } else { 100 + n % 7 })
                .collect(),
        );
        // Heavy tail: 1/u.
        check((1..=20_000).map(|n| 2_000_000_000 / n).collect());
        check(vec![43]);
    }

    #[test]
    fn a_curve_ends_where_the_count_cannot_tell_more() {
        let mut micros = Micros::coarse();
        assert_eq!(micros.curve(), []);
        (1..=100).for_each(|n| micros.record(Duration::from_micros(n)));
        let curve = micros.curve();
        assert_eq!(curve.first(), Some(&(0.0, 1)));
        assert_eq!(curve[3], (0.5, 50));
        assert_eq!(curve[curve.len() - 2..], [(0.99, 99), (1.0, 100)]);
    }

    #[test]
    fn longer_than_an_hour_is_an_hour_and_nothing_is_nothing() {
        let mut micros = Micros::default();
        assert_eq!(micros.percentiles(), None);
        micros.record(Duration::from_secs(86_400));
        let hour = micros.percentiles().unwrap().max as f64;
        assert!((hour / 3.6e9 - 1.0).abs() < 0.001);
    }
}
