//! The HTML pages of a run and of a sweep.

use super::Page;
use super::plot::{Axis, Mark, Plot, Point, Series};
use super::scale::{Scale, Unit};
use crate::histogram::Percentiles;
use crate::report::{Summary, Window};
use crate::run::Sweep;

/// The figures whose percentile curves are drawn.
const CURVES: [&str; 6] = [
    "latency",
    "latency from send",
    "dispatch lag",
    "ttft",
    "itl",
    "tpot",
];

/// Renders the summary of a run as an HTML page.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let mut page = Page::new(format!("Load on {}", summary.target));
    notes(&mut page, summary);
    let curves = (0..)
        .zip(CURVES)
        .filter_map(|(colour, name)| curve(summary, name, name, colour));
    page.plot(&percentiles(curves.collect()));
    page.plot(&over_time(&summary.windows));
    page.heading("Figures");
    page.text(summary);
    page.to_string()
}

/// Renders a sweep as an HTML page.
#[must_use]
pub fn sweep(sweep: &Sweep) -> String {
    let target = sweep.steps.first().map_or("", |step| step.target.as_str());
    let mut page = Page::new(format!("Load on {target} at rising rates"));
    page.plot(&over_rate(sweep));
    if let Some(knee) = &sweep.knee {
        page.note(&knee.because);
    }
    let curves = sweep.steps.iter().enumerate().filter_map(|(colour, step)| {
        let name = format!("{}/s", rate(step));
        curve(step, "latency", &name, colour)
    });
    page.plot(&percentiles(curves.collect()));
    for step in &sweep.steps {
        page.heading(format!("At {}/s", rate(step)));
        notes(&mut page, step);
        page.plot(&over_time(&step.windows));
        page.text(step);
    }
    page.to_string()
}

fn notes(page: &mut Page, summary: &Summary) {
    for reason in &summary.degraded {
        page.note(format!("Degraded: {reason}."));
    }
}

fn rate(step: &Summary) -> f64 {
    let achieved = step.rate.achieved.round();
    step.load.rate().unwrap_or(achieved)
}

fn micros(label: &'static str) -> Axis {
    Axis {
        label,
        unit: Unit::Micros,
        scale: Scale::Log,
    }
}

fn curve(summary: &Summary, figure: &str, name: &str, colour: usize) -> Option<Series> {
    let figure = summary.figures.iter().find(|found| found.name == figure)?;
    Some(line(colour, name, &figure.curve, |(quantile, us)| {
        Some(log_point(*quantile, *us))
    }))
}

/// A line with a point for each item that has one.
fn line<T>(colour: usize, name: &str, items: &[T], point: impl Fn(&T) -> Option<Point>) -> Series {
    Series {
        name: name.to_owned(),
        colour,
        points: items.iter().filter_map(point).collect(),
    }
}

/// A point on a logarithmic axis, which has no place for 0.
#[expect(clippy::cast_precision_loss, reason = "exact to 2^53 microseconds")]
fn log_point(x: f64, us: u64) -> Point {
    Point::new(x, us.max(1) as f64)
}

fn percentiles(series: Vec<Series>) -> Plot {
    Plot {
        title: "Percentiles".to_owned(),
        x: Axis {
            label: "percentile",
            unit: Unit::Quantile,
            scale: Scale::Nines,
        },
        y: micros(""),
        series,
        marks: Vec::new(),
    }
}

fn over_time(windows: &[Window]) -> Plot {
    let line = |colour, name, us: fn(&Window) -> Option<u64>| {
        line(colour, name, windows, |window| {
            Some(log_point(window.from_s, us(window)?))
        })
    };
    Plot {
        title: "Latency from the intended start, over time".to_owned(),
        x: Axis {
            label: "time since the start of the run",
            unit: Unit::Seconds,
            scale: Scale::Linear,
        },
        y: micros(""),
        series: vec![
            line(0, "p50", |window| window.p50),
            line(1, "p99", |window| window.p99),
            line(2, "max", |window| window.max),
        ],
        marks: Vec::new(),
    }
}

fn over_rate(sweep: &Sweep) -> Plot {
    let line = |colour, name, us: fn(&Percentiles) -> u64| {
        line(colour, name, &sweep.steps, |step| {
            Some(log_point(rate(step), us(step.figure("latency")?)))
        })
    };
    let knee = sweep.knee.as_ref().and_then(|knee| knee.rate);
    Plot {
        title: "Latency from the intended start, by offered rate".to_owned(),
        x: Axis {
            label: "offered requests per second",
            unit: Unit::PerSecond,
            scale: Scale::Linear,
        },
        y: micros(""),
        series: vec![
            line(0, "p50", |us| us.p50),
            line(1, "p90", |us| us.p90),
            line(2, "p99", |us| us.p99),
            line(3, "p99.9", |us| us.p999),
        ],
        marks: knee
            .map(|x| Mark {
                x,
                label: "knee".to_owned(),
            })
            .into_iter()
            .collect(),
    }
}
