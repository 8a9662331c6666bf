//! Line plots in SVG with axes, a legend, error bars, and a tooltip for every point.

use std::fmt;

use super::Escaped;
use super::scale::{Range, Scale, Unit};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 44.0;
/// Number of colours in the style sheet.
const COLOURS: usize = 8;

/// A plot of one or more lines.
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Vertical dashed lines with a label.
    pub(super) marks: Vec<Mark>,
}

/// A vertical line at a value of the x axis.
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) label: String,
}

/// One axis of a plot.
pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) unit: Unit,
    pub(super) scale: Scale,
}

/// One line of a plot.
pub(super) struct Series {
    pub(super) name: String,
    /// Index of the colour. One subject has the same colour in all plots of a page.
    pub(super) colour: usize,
    pub(super) points: Vec<Point>,
}

/// One point of a line.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// The low and the high end of the confidence interval.
    pub(super) interval: Option<(f64, f64)>,
}

impl Point {
    pub(super) fn new(x: f64, y: f64) -> Self {
        Self {
            x,
            y,
            interval: None,
        }
    }
}

impl Plot {
    pub(super) fn has_points(&self) -> bool {
        self.series.iter().any(|series| !series.points.is_empty())
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marks = self.marks.iter().map(|mark| mark.x);
        let xs = Range::covering(
            self.x.scale,
            self.points().map(|point| point.x).chain(marks),
        );
        let ys = self.points().flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [point.y, low, high]
        });
        let (Some(xs), Some(ys)) = (xs, Range::covering(self.y.scale, ys)) else {
            return Ok(());
        };
        let area = PlotArea { xs, ys };
        let title = Escaped(&self.title);
        writeln!(
            f,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
             <text class=\"title\" x=\"{LEFT}\" y=\"18\">{title}</text>"
        )?;
        self.write_axes(f, &area)?;
        self.write_legend(f)?;
        for mark in &self.marks {
            let (x, bottom) = (area.x(mark.x), HEIGHT - BOTTOM);
            writeln!(
                f,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{}</text>",
                x + 4.0,
                TOP + 12.0,
                Escaped(&mark.label)
            )?;
        }
        for series in &self.series {
            self.write_series(f, &area, series)?;
        }
        writeln!(f, "</svg>")
    }
}

/// Maps values to coordinates in the picture.
struct PlotArea {
    xs: Range,
    ys: Range,
}

impl PlotArea {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.xs.at(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.ys.at(value) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Plot {
    fn write_axes(&self, f: &mut fmt::Formatter<'_>, area: &PlotArea) -> fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in area.ys.ticks() {
            let y = area.y(tick);
            let is_zero = self.y.scale == Scale::Linear && tick.abs() < 1e-9;
            let class = if is_zero { "zero" } else { "grid" };
            writeln!(
                f,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                self.y.unit.format(tick)
            )?;
        }
        for tick in area.xs.ticks() {
            let x = area.x(tick);
            writeln!(
                f,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 15.0,
                self.x.unit.format(tick)
            )?;
        }
        let middle = f64::midpoint(LEFT, right);
        writeln!(
            f,
            "<text class=\"tick\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"tick\" x=\"{LEFT}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            HEIGHT - 8.0,
            self.x.label,
            TOP - 10.0,
            self.y.label
        )
    }

    fn write_legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut x = LEFT + 8.0;
        for series in &self.series {
            let colour = series.colour % COLOURS;
            writeln!(
                f,
                "<rect class=\"f{colour}\" x=\"{x:.0}\" y=\"31\" width=\"10\" height=\"10\"/>\
                 <text x=\"{:.0}\" y=\"40\">{}</text>",
                x + 14.0,
                Escaped(&series.name)
            )?;
            // Wide enough for most fonts.
            let width: f64 = series.name.chars().map(|_| 7.2).sum();
            x += width + 34.0;
        }
        Ok(())
    }

    fn write_series(
        &self,
        f: &mut fmt::Formatter<'_>,
        area: &PlotArea,
        series: &Series,
    ) -> fmt::Result {
        let colour = series.colour % COLOURS;
        write!(f, "<polyline class=\"s{colour}\" points=\"")?;
        for point in &series.points {
            write!(f, "{:.1},{:.1} ", area.x(point.x), area.y(point.y))?;
        }
        writeln!(f, "\"/>")?;
        for point in &series.points {
            let (x, y) = (area.x(point.x), area.y(point.y));
            let mut tip = format!(
                "{}: {} at {}",
                series.name,
                self.y.unit.format(point.y),
                self.x.unit.format(point.x)
            );
            if let Some((low, high)) = point.interval {
                let (top, bottom) = (area.y(high), area.y(low));
                writeln!(
                    f,
                    "<line class=\"bar s{colour}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>"
                )?;
                let (low, high) = (self.y.unit.format(low), self.y.unit.format(high));
                tip.push_str(&format!(" [{low}, {high}]"));
            }
            writeln!(
                f,
                "<circle class=\"f{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"><title>{}</title></circle>",
                Escaped(&tip)
            )?;
        }
        Ok(())
    }
}
