//! The page of a comparison.

use super::Page;
use super::plot::{Axis, Plot, Point, Series};
use super::scale::{Scale, Unit};
use crate::compare::resample::QUANTILES;
use crate::compare::{CaseFigures, Comparison, Difference};
use crate::report::Metric;

/// The page of one comparison.
#[must_use]
pub fn comparison(found: &Comparison) -> String {
    let others = found.cases.first().map_or(&[][..], |case| &case.lanes);
    let names: Vec<&str> = others
        .iter()
        .skip(1)
        .map(|lane| lane.name.as_str())
        .collect();
    let mut page = Page::new(format!("{} over {}", names.join(", "), found.baseline));
    for reason in &found.degraded {
        page.note(format!("Degraded: {reason}."));
    }
    for quantile in ["p50", "p99"] {
        page.plot(&over_size(found, quantile));
    }
    for case in &found.cases {
        page.heading(format!("{} ({} bytes)", case.name, case.request_bytes));
        for metric in [Metric::Latency, Metric::Ttft, Metric::Itl] {
            page.plot(&added(case, metric));
            page.plot(&curves(case, metric));
        }
    }
    page.heading("In figures");
    page.text(found);
    page.to_string()
}

fn added_axis() -> Axis {
    Axis {
        label: "",
        unit: Unit::Micros,
        scale: Scale::Linear,
    }
}

/// What each lane adds at one quantile, by the size of the request; streams are left to their own
/// plots.
fn over_size(found: &Comparison, quantile: &str) -> Plot {
    let index = QUANTILES.iter().position(|(name, _)| *name == quantile);
    let mut lanes: Vec<Series> = Vec::new();
    for case in found.cases.iter().filter(|case| case.request_bytes > 0) {
        for difference in latencies(case) {
            let added = index.and_then(|index| difference.added.0.get(index).copied().flatten());
            let Some(added) = added else { continue };
            let size = u32::try_from(case.request_bytes).unwrap_or(u32::MAX);
            let point = Point {
                x: f64::from(size),
                y: added.us,
                interval: Some((added.low, added.high)),
            };
            match lanes.iter_mut().find(|lane| lane.name == difference.lane) {
                Some(lane) => lane.points.push(point),
                None => lanes.push(Series {
                    name: difference.lane.clone(),
                    colour: colour(case, &difference.lane),
                    points: vec![point],
                }),
            }
        }
    }
    for lane in &mut lanes {
        lane.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    // One size is no curve.
    lanes.retain(|lane| lane.points.len() > 1);
    Plot {
        title: format!(
            "Added latency over {}, {quantile}, by body size",
            found.baseline
        ),
        x: Axis {
            label: "bytes of the request's body",
            unit: Unit::Bytes,
            scale: Scale::Log,
        },
        y: added_axis(),
        series: lanes,
        marks: Vec::new(),
    }
}

fn latencies(case: &CaseFigures) -> impl Iterator<Item = &Difference> {
    let is_stream = case
        .lanes
        .iter()
        .any(|lane| lane.us.contains_key(&Metric::Ttft));
    let differences = case.differences.iter();
    differences.filter(move |found| !is_stream && found.metric == Metric::Latency)
}

/// What each lane adds, quantile by quantile.
fn added(case: &CaseFigures, metric: Metric) -> Plot {
    let of = case
        .differences
        .iter()
        .filter(|found| found.metric == metric);
    let series = of.map(|found| Series {
        name: found.lane.clone(),
        colour: colour(case, &found.lane),
        points: QUANTILES
            .iter()
            .zip(found.added.0)
            .filter_map(|((_, quantile), added)| {
                let added = added?;
                Some(Point {
                    x: *quantile,
                    y: added.us,
                    interval: Some((added.low, added.high)),
                })
            })
            .collect(),
    });
    Plot {
        title: format!("Added {}, with 95 % intervals", metric.name()),
        x: percentile_axis(),
        y: added_axis(),
        series: series.collect(),
        marks: Vec::new(),
    }
}

fn curves(case: &CaseFigures, metric: Metric) -> Plot {
    let series = case.lanes.iter().filter_map(|lane| {
        let us = lane.us.get(&metric)?;
        let points = QUANTILES.iter().zip(us.0);
        let points =
            points.filter_map(|((_, quantile), us)| Some(Point::new(*quantile, us?.max(1.0))));
        Some(Series {
            name: lane.name.clone(),
            colour: colour(case, &lane.name),
            points: points.collect(),
        })
    });
    Plot {
        title: format!("Percentiles of {}", metric.name()),
        x: percentile_axis(),
        y: Axis {
            label: "",
            unit: Unit::Micros,
            scale: Scale::Log,
        },
        series: series.collect(),
        marks: Vec::new(),
    }
}

fn colour(case: &CaseFigures, lane: &str) -> usize {
    let mut lanes = case.lanes.iter();
    lanes.position(|found| found.name == lane).unwrap_or(0)
}

fn percentile_axis() -> Axis {
    Axis {
        label: "percentile",
        unit: Unit::Quantile,
        scale: Scale::Nines,
    }
}
