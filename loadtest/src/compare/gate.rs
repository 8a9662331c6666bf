//! Gates: conditions on a difference, such as `added_p99 > 500us`, that fail a comparison.

use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::bootstrap::{Interval, QUANTILES};
use crate::report::Metric;

/// A condition under which a comparison fails. It concerns the difference of `latency` unless it
/// names another metric, as `added_ttft_p50 > 1ms` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The condition as written.
    text: String,
    /// The metric whose difference is tested.
    pub(super) metric: Metric,
    /// An index of [`QUANTILES`].
    pub(super) quantile: usize,
    threshold: Duration,
}

/// The verdict of a gate on a difference, ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The condition is not met.
    Passed,
    /// The confidence interval is wider than the threshold, or there is no interval.
    Undecidable,
    /// The condition is met.
    Breached,
}

impl Gate {
    pub(super) fn judge(&self, added: Option<Interval>) -> Verdict {
        let threshold = self.threshold.as_secs_f64() * 1e6;
        match added {
            Some(added) if added.high - added.low <= threshold => {
                if added.us > threshold {
                    Verdict::Breached
                } else {
                    Verdict::Passed
                }
            }
            // The whole interval lies beyond the threshold, however wide it is.
            Some(added) if added.low > threshold => Verdict::Breached,
            _ => Verdict::Undecidable,
        }
    }
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let broken = || {
            format!(
                "`{text}` is not a condition such as `added_p99 > 500us` (metrics: added_, \
                 added_head_, added_ttft_, added_itl_; quantiles: p50, p90, p99, p99.9)"
            )
        };
        let (added, threshold) = text.split_once('>').ok_or_else(broken)?;
        let added = added.trim().strip_prefix("added_").ok_or_else(broken)?;
        let (metric, quantile) = [Metric::Latency, Metric::Head, Metric::Ttft, Metric::Itl]
            .into_iter()
            .find_map(|metric| {
                let rest = added.strip_prefix(metric.name())?.strip_prefix('_')?;
                Some((metric, rest))
            })
            .unwrap_or((Metric::Latency, added));
        let quantile = QUANTILES.iter().position(|(name, _)| *name == quantile);
        let threshold = crate::units::duration(threshold.trim());
        Ok(Self {
            text: text.trim().to_owned(),
            metric,
            quantile: quantile.ok_or_else(broken)?,
            threshold: threshold.map_err(|reason| format!("{}: {reason}", broken()))?,
        })
    }
}

impl Serialize for Gate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(gate: &str, added: Option<(f64, f64, f64)>, expect: Verdict) {
        let gate: Gate = gate.parse().unwrap();
        let added = added.map(|(low, us, high)| Interval {
            us,
            low,
            high,
            differs: true,
        });
        assert_eq!(gate.judge(added), expect);
    }

    #[test]
    fn a_gate_decides_only_where_the_interval_is_narrower_than_the_threshold() {
        let gate = "added_p99 > 500us";
        check(gate, Some((50.0, 100.0, 150.0)), Verdict::Passed);
        check(gate, Some((510.0, 600.0, 700.0)), Verdict::Breached);
        check(gate, Some((450.0, 501.0, 550.0)), Verdict::Breached);
        check(gate, Some((-251.0, 0.0, 251.0)), Verdict::Undecidable);
        check(gate, Some((100.0, 600.0, 900.0)), Verdict::Undecidable);
        check(gate, Some((600.0, 900.0, 1500.0)), Verdict::Breached);
        check(gate, None, Verdict::Undecidable);
    }

    #[test]
    fn a_gate_names_a_metric_a_quantile_and_a_threshold() {
        let gate: Gate = " added_ttft_p99.9>1ms ".parse().unwrap();
        assert_eq!((gate.metric, gate.quantile), (Metric::Ttft, 3));
        assert_eq!(gate.threshold, Duration::from_millis(1));
        assert_eq!(gate.to_string(), "added_ttft_p99.9>1ms");
        for broken in [
            "p99 > 1ms",
            "added_p98 > 1ms",
            "added_p99 < 1ms",
            "added_p99 > 1",
            "added_p99 > 0us",
        ] {
            assert!(
                broken.parse::<Gate>().unwrap_err().contains(broken),
                "{broken}"
            );
        }
    }
}
