//! The HTML page of a comparison.

use super::Page;
use super::plot::{Axis, Plot, Point, Series};
use super::scale::{Scale, Unit};
use crate::compare::bootstrap::QUANTILES;
use crate::compare::{CaseFigures, Comparison, Difference};
use crate::report::Metric;

/// Renders a comparison as an HTML page.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let names: Vec<&str> = comparison
        .cases
        .first()
        .into_iter()
        .flat_map(|case| case.lanes.iter().skip(1))
        .map(|lane| lane.name.as_str())
        .collect();
    let title = format!("{} compared with {}", names.join(", "), comparison.baseline);
    let mut page = Page::new(title);
    for reason in &comparison.degraded {
        page.note(format!("Degraded: {reason}."));
    }
    for quantile in ["p50", "p99"] {
        page.plot(&over_size(comparison, quantile));
    }
    for case in &comparison.cases {
        page.heading(format!("{} ({} bytes)", case.name, case.request_bytes));
        for metric in [Metric::Latency, Metric::Ttft, Metric::Itl] {
            page.plot(&added(case, metric));
            page.plot(&curves(case, metric));
        }
    }
    page.heading("Figures");
    page.text(comparison);
    page.to_string()
}

fn added_axis() -> Axis {
    Axis {
        label: "",
        unit: Unit::Micros,
        scale: Scale::Linear,
    }
}

/// The latency that each lane adds at one quantile, by request size. Streams are not included.
fn over_size(comparison: &Comparison, quantile: &str) -> Plot {
    let index = QUANTILES.iter().position(|(name, _)| *name == quantile);
    let mut lanes: Vec<Series> = Vec::new();
    for case in comparison
        .cases
        .iter()
        .filter(|case| case.request_bytes > 0)
    {
        for difference in latencies(case) {
            let added = index.and_then(|index| difference.added.0.get(index).copied().flatten());
            let Some(added) = added else { continue };

            let point = Point {
                #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 bytes")]
                x: case.request_bytes as f64,
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
    // A curve needs at least two sizes.
    lanes.retain(|lane| lane.points.len() > 1);
    Plot {
        title: format!(
            "Latency added to {}, {quantile}, by request size",
            comparison.baseline
        ),
        x: Axis {
            label: "request body, bytes",
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
    case.differences
        .iter()
        .filter(move |found| !is_stream && found.metric == Metric::Latency)
}

/// The difference of each lane at each quantile.
fn added(case: &CaseFigures, metric: Metric) -> Plot {
    let series = |found: &Difference| Series {
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
    };
    Plot {
        title: format!("Added {}, with 95 % confidence intervals", metric.name()),
        x: percentile_axis(),
        y: added_axis(),
        series: case
            .differences
            .iter()
            .filter(|found| found.metric == metric)
            .map(series)
            .collect(),
        marks: Vec::new(),
    }
}

fn curves(case: &CaseFigures, metric: Metric) -> Plot {
    let series = case.lanes.iter().filter_map(|lane| {
        let us = lane.us.get(&metric)?;
        Some(Series {
            name: lane.name.clone(),
            colour: colour(case, &lane.name),
            points: QUANTILES
                .iter()
                .zip(us.0)
                .filter_map(|((_, quantile), us)| Some(Point::new(*quantile, us?.max(1.0))))
                .collect(),
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
    case.lanes
        .iter()
        .position(|found| found.name == lane)
        .expect("every plotted lane is a lane of its case")
}

fn percentile_axis() -> Axis {
    Axis {
        label: "percentile",
        unit: Unit::Quantile,
        scale: Scale::Nines,
    }
}
