use std::time::{Duration, Instant};

use super::plot::{Axis, Plot, Point, Series};
use super::scale::{Scale, Unit};
use super::*;
use crate::client::Http;
use crate::report::{Attempt, Measured, Recorder, Summary, TimedResponse, Timeline};
use crate::run::{Knee, Sweep};
use crate::schedule::{Arrivals, Load};

/// The summary of 1,000 responses, one per millisecond, each with a latency of `us`.
fn summary_of(rate: f64, us: u64) -> Summary {
    let start = Instant::now();
    let mut timeline = Timeline::new(Duration::from_secs(1));
    timeline.begin(start);
    let mut recorder = Recorder {
        timeline: Some(timeline),
        ..Recorder::default()
    };
    for millis in 0..1000 {
        let intended = start + Duration::from_millis(millis);
        let ended = intended + Duration::from_micros(us);
        recorder.add(Attempt {
            intended,
            lag: None,
            sent: Some(intended),
            body_bytes: 10,
            outcome: Ok(TimedResponse {
                status: 200,
                head: ended,
                ended,
                overhead: None,
                ttft: None,
                tpot: None,
            }),
        });
    }
    let load = Load::Open {
        arrivals: Arrivals::Constant,
        rate,
        ramp_to: None,
        seed: 1,
        connections: 8,
    };
    Summary::new(Measured {
        target: &"http://127.0.0.1:9001/a?b&c".parse().unwrap(),
        http: Http::One,
        load,
        recorder: &recorder,
        start,
        duration: Duration::from_secs(1),
        offered: Some(1000),
    })
}

/// Checks that every element is closed, and that a browser would not fetch or run anything.
#[track_caller]
fn check_page(page: &str, plots: usize) {
    assert!(page.starts_with("<!doctype html>"));
    for element in ["svg", "figure", "pre", "text", "title", "body", "html"] {
        let opened = page.matches(&format!("<{element} ")).count()
            + page.matches(&format!("<{element}>")).count();
        let closed = page.matches(&format!("</{element}>")).count();
        assert_eq!(opened, closed, "{element}");
    }
    assert_eq!(page.matches("<svg").count(), plots);
    for fetched in [
        "<script", "<link", "<img", "src=", "href=", "url(", "@import", "NaN", "inf,",
    ] {
        assert!(!page.contains(fetched), "{fetched}");
    }
}

#[test]
fn the_page_of_a_run_is_well_formed_and_fetches_nothing() {
    let page = summary(&summary_of(1000.0, 1500));
    check_page(&page, 2);
    assert!(page.contains("latency: 1.5 ms at p50"), "{page}");
    assert!(page.contains("9001/a?b&amp;c"), "{page}");
    // The run has ten windows of 100 ms, whose histograms have two significant digits.
    assert!(page.contains("p99: 1.503 ms at 0.9 s"), "{page}");
}

#[test]
fn the_page_of_a_sweep_marks_the_knee() {
    let steps = vec![summary_of(500.0, 200), summary_of(1000.0, 9000)];
    let knee = Some(Knee {
        rate: Some(500.0),
        because: "p99 <there>".to_owned(),
    });
    let page = sweep(&Sweep { steps, knee });
    check_page(&page, 4);
    assert!(page.contains(">knee</text>"));
    assert!(page.contains("p99 &lt;there&gt;"));
    assert!(page.contains("p50: 200 us at 500/s"), "{page}");
}

#[test]
fn intervals_are_drawn_and_labelled_and_a_plot_without_points_is_empty() {
    let axis = |unit, scale| Axis {
        label: "",
        unit,
        scale,
    };
    let mut plot = Plot {
        title: "added".to_owned(),
        x: axis(Unit::Bytes, Scale::Log),
        y: axis(Unit::Micros, Scale::Linear),
        series: vec![Series {
            name: "proxy".to_owned(),
            colour: 0,
            points: vec![Point {
                x: 1000.0,
                y: -5.0,
                interval: Some((-15.0, 5.0)),
            }],
        }],
        marks: Vec::new(),
    };
    let svg = plot.to_string();
    assert!(svg.contains("proxy: -5 us at 1 KB [-15 us, 5 us]"), "{svg}");
    assert_eq!(svg.matches("class=\"bar s0\"").count(), 1);
    plot.series.clear();
    assert!(!plot.has_points());
    assert_eq!(plot.to_string(), "");
}
