//! The page of a run, and of a sweep.

use super::Page;
use super::plot::{Axis, Plot, Point, Series};
use super::scale::{Scale, Unit};
use crate::report::{Summary, Window};
use crate::run::Sweep;

/// Of these a run has at most one percentile curve each.
const CURVES: [&str; 6] = [
    "latency",
    "latency from send",
    "dispatch lag",
    "ttft",
    "itl",
    "tpot",
];

/// The page of one run.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let mut page = Page::new(format!("Load on {}", summary.target));
    notes(&mut page, summary);
    let curves = (0..)
        .zip(CURVES)
        .filter_map(|(colour, name)| curve(summary, name, name, colour));
    page.plot(&percentiles(curves.collect()));
    page.plot(&over_time(&summary.windows));
    page.heading("In figures");
    page.text(summary);
    page.to_string()
}

/// The page of a sweep.
#[must_use]
pub fn sweep(sweep: &Sweep) -> String {
    let target = sweep.steps.first().map_or("", |step| step.target.as_str());
    let mut page = Page::new(format!("Load on {target}, rate by rate"));
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
    let mut figures = summary.figures.iter();
    let figure = figures.find(|found| found.name == figure)?;
    let points = figure.curve.iter().map(|(quantile, us)| at(*quantile, *us));
    Some(Series {
        name: name.to_owned(),
        colour,
        points: points.collect(),
    })
}

/// A logarithm has no place for 0.
#[expect(clippy::cast_precision_loss, reason = "exact to 2^53 microseconds")]
fn at(x: f64, us: u64) -> Point {
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
    let line = |colour, name: &str, of: fn(&Window) -> Option<u64>| Series {
        name: name.to_owned(),
        colour,
        points: windows
            .iter()
            .filter_map(|window| Some(at(window.from_s, of(window)?)))
            .collect(),
    };
    Plot {
        title: "Latency from the intended start, over time".to_owned(),
        x: Axis {
            label: "from the run's begin",
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
    let line = |colour, name: &str, of: fn(&crate::micros::Percentiles) -> u64| Series {
        name: name.to_owned(),
        colour,
        points: sweep
            .steps
            .iter()
            .filter_map(|step| Some(at(rate(step), of(step.figure("latency")?))))
            .collect(),
    };
    let knee = sweep.knee.as_ref().and_then(|knee| knee.rate);
    Plot {
        title: "Latency from the intended start, over the rate asked for".to_owned(),
        x: Axis {
            label: "requests per second asked for",
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
            .map(|rate| (rate, "knee".to_owned()))
            .into_iter()
            .collect(),
    }
}
