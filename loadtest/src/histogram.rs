//! Histograms of durations in microseconds, with three significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::units::whole_micros;

/// Longer durations are recorded as this one.
const MAX: Duration = Duration::from_secs(3600);

/// The quantiles of a percentile curve.
const CURVE: [f64; 16] = [
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999,
    1.0,
];

/// A histogram of durations. It occupies 190 kB however many values it holds; a coarse one 30 kB.
#[derive(Clone, Debug)]
pub struct DurationHistogram {
    histogram: Histogram<u64>,
}

/// Percentiles of a distribution, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Number of recorded durations.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p999: u64,
    /// The longest duration.
    pub max: u64,
}

impl DurationHistogram {
    /// Records one duration, rounded down to whole microseconds.
    pub fn record(&mut self, duration: Duration) {
        self.histogram.saturating_record(whole_micros(duration));
    }

    /// Adds every value of another histogram.
    pub fn add(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("every histogram of this type has the same bounds");
    }

    /// A histogram with two significant digits, for use where many are kept side by side.
    #[must_use]
    pub fn coarse() -> Self {
        Self::with_digits(2)
    }

    /// The percentile curve: pairs of a quantile and its value in microseconds. It ends with the
    /// last quantile that at least one value lies beyond, and then the maximum.
    #[must_use]
    pub fn curve(&self) -> Vec<(f64, u64)> {
        #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 values")]
        let count = self.histogram.len() as f64;
        if self.histogram.is_empty() {
            return Vec::new();
        }
        CURVE
            .into_iter()
            .filter(|quantile| *quantile == 1.0 || count * (1.0 - quantile) >= 1.0)
            .map(|quantile| (quantile, self.histogram.value_at_quantile(quantile)))
            .collect()
    }

    fn with_digits(digits: u8) -> Self {
        let histogram = Histogram::new_with_bounds(1, whole_micros(MAX), digits);
        Self {
            histogram: histogram.expect("1 <= MAX / 2, and the digits are within 0..=5"),
        }
    }

    /// The percentiles, or `None` if nothing was recorded.
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

impl Default for DurationHistogram {
    fn default() -> Self {
        Self::with_digits(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with the nearest rank of the sorted values.
    #[track_caller]
    fn check(mut values: Vec<u64>) {
        let mut micros = DurationHistogram::default();
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
        // Two modes: 9 of 10 values near 100 us, 1 of 10 near 80 ms.
        check(
            (0..10_000)
                .map(|n| if n % 10 == 0 { 80_000 + n } else { 100 + n % 7 })
                .collect(),
        );
        // A heavy tail, 1/u.
        check((1..=20_000).map(|n| 2_000_000_000 / n).collect());
        check(vec![43]);
    }

    #[test]
    fn a_curve_ends_with_the_last_quantile_that_has_values_beyond_it() {
        let mut micros = DurationHistogram::coarse();
        assert_eq!(micros.curve(), []);
        (1..=100).for_each(|n| micros.record(Duration::from_micros(n)));
        let curve = micros.curve();
        assert_eq!(curve.first(), Some(&(0.0, 1)));
        assert_eq!(curve[3], (0.5, 50));
        assert_eq!(curve[curve.len() - 2..], [(0.99, 99), (1.0, 100)]);
    }

    #[test]
    fn durations_over_an_hour_count_as_an_hour_and_an_empty_histogram_has_no_percentiles() {
        let mut micros = DurationHistogram::default();
        assert_eq!(micros.percentiles(), None);
        micros.record(Duration::from_secs(86_400));
        let hour = micros.percentiles().unwrap().max as f64;
        assert!((hour / 3.6e9 - 1.0).abs() < 0.001);
    }
}
