//! Results as comma-separated values (RFC 4180): a header row, then one row per figure.

use std::fmt::{self, Display, Write as _};

use crate::compare::Comparison;
use crate::compare::bootstrap::QUANTILES;
use crate::report::Summary;

const HINT: &str = "writing to a string cannot fail";

/// Formats the figures of runs. Times are in microseconds; `asked_per_s` is empty for a run
/// without a requested rate.
#[must_use]
pub fn runs<'a>(runs: impl IntoIterator<Item = &'a Summary>) -> String {
    let mut out = String::from(
        "target,asked_per_s,achieved_per_s,requests,errors,degraded,figure,count,p50_us,p90_us,p99_us,p99.9_us,max_us\r\n",
    );
    for run in runs {
        let asked = run
            .load
            .rate()
            .map_or_else(String::new, |rate| rate.to_string());
        let errors: u64 = run.errors.values().sum();
        let (achieved, degraded) = (run.rate.achieved, !run.degraded.is_empty());
        let target = Field(&run.target);
        for figure in &run.figures {
            let us = figure.us;
            write!(
                out,
                "{target},{asked},{achieved:.3},{},{errors},{degraded},{},{},{},{},{},{},{}\r\n",
                run.requests,
                Field(figure.name),
                us.count,
                us.p50,
                us.p90,
                us.p99,
                us.p999,
                us.max
            )
            .expect(HINT);
        }
    }
    out
}

/// Formats the figures of a comparison, one row per quantile. The `added_*` columns are empty for
/// the baseline.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let mut out = String::from(
        "case,request_bytes,lane,requests,metric,quantile,us,added_us,added_low_us,added_high_us,differs\r\n",
    );
    for case in &comparison.cases {
        for lane in &case.lanes {
            for (metric, us) in &lane.us {
                let difference = case.differences.iter().find(|difference| {
                    difference.lane == lane.name && difference.metric == *metric
                });
                for (index, ((quantile, _), us)) in QUANTILES.iter().zip(us.0).enumerate() {
                    let Some(us) = us else { continue };
                    let added = difference
                        .and_then(|difference| *difference.added.0.get(index)?)
                        .map_or_else(
                            || ",,,".to_owned(),
                            |added| {
                                let (us, low, high) = (added.us, added.low, added.high);
                                format!("{us:.3},{low:.3},{high:.3},{}", added.differs)
                            },
                        );
                    write!(
                        out,
                        "{},{},{},{},{},{quantile},{us:.3},{added}\r\n",
                        Field(&case.name),
                        case.request_bytes,
                        Field(&lane.name),
                        lane.requests,
                        metric.name()
                    )
                    .expect(HINT);
                }
            }
        }
    }
    out
}

/// A text field; it is quoted if it contains a comma, a quote or a line break.
struct Field<'a>(&'a str);

impl Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains([',', '"', '\r', '\n']) {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        } else {
            f.write_str(self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_special_characters_are_quoted() {
        for (text, expect) in [("a b", "a b"), ("a,b", "\"a,b\""), ("a\"", "\"a\"\"\"")] {
            assert_eq!(Field(text).to_string(), expect);
        }
    }
}
