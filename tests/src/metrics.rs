//! Prometheus' text format, as far as a test reads it.

use std::collections::BTreeMap;

/// A page of metrics: each series with its value.
#[derive(Debug)]
pub struct Metrics {
    series: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads a page.
    pub(crate) fn parse(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self {
            series: series.collect(),
        }
    }

    /// The sum over all series of that name which have all of these labels, given as
    /// `route="model"`; 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_it = |series: &str| {
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            found == name && labels.iter().all(|label| rest.contains(label))
        };
        let matching = self.series.iter().filter(|(series, _)| is_it(series));
        matching.map(|(_, value)| value).sum()
    }

    /// The names of all series, labels apart.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let name = |series: &'_ String| series.find('{').unwrap_or(series.len());
        self.series
            .keys()
            .map(move |series| &series[..name(series)])
    }
}
