//! Figures against thresholds, for people or as JSON.

use std::time::Duration;

use serde::Serialize;

use super::duration;
use super::fetch::{Absent, Found};
use super::figures::{Figures, Observed};

/// What the figures must keep to; what is not given is not judged.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Thresholds {
    /// Highest share of exchanges that fail, from 0 to 1.
    #[arg(long, value_name = "SHARE")]
    max_error_rate: Option<f64>,
    /// Longest median.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    max_p50: Option<Duration>,
    /// Longest time that 95 of 100 exchanges keep to.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    max_p95: Option<Duration>,
    /// Longest time that 99 of 100 exchanges keep to.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    max_p99: Option<Duration>,
    /// Most tokens, in and out.
    #[arg(long, value_name = "COUNT")]
    max_tokens: Option<f64>,
    /// With fewer traces nothing can be told.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    min_traces: usize,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    verdict: Verdict,
    window_seconds: f64,
    groups: Vec<Group>,
    /// Experiments of routes that MLflow does not have: nothing is known of these routes, and
    /// nothing is wrong with them.
    without_traffic: Vec<Absent>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Healthy,
    Breached,
    Unknown,
}

#[derive(Debug, Serialize)]
struct Group {
    name: String,
    #[serde(flatten)]
    figures: Figures,
    /// What is over its threshold.
    breached: Vec<&'static str>,
}

impl Verdict {
    /// For cron.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Breached => 1,
            Self::Unknown => 2,
        }
    }
}

impl Report {
    pub(super) fn of(found: Found, window: Duration, thresholds: &Thresholds) -> Self {
        let group = |(name, observed): (String, Vec<Observed>)| {
            let figures = Figures::of(&observed);
            Group {
                name,
                breached: thresholds.breached(&figures),
                figures,
            }
        };
        let groups: Vec<Group> = found.groups.into_iter().map(group).collect();
        let finished = |group: &Group| group.figures.traces - group.figures.unfinished;
        let traces: usize = groups.iter().map(finished).sum();
        let verdict = if traces < thresholds.min_traces.max(1) {
            Verdict::Unknown
        } else if groups.iter().any(|group| !group.breached.is_empty()) {
            Verdict::Breached
        } else {
            Verdict::Healthy
        };
        Self {
            verdict,
            window_seconds: window.as_secs_f64(),
            groups,
            without_traffic: found.absent,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    pub(crate) fn show(&self, json: bool) -> String {
        if json {
            return serde_json::to_string_pretty(self).unwrap_or_default();
        }
        let mut lines = vec![format!(
            "{:<24} {:>8} {:>10} {:>8} {:>9} {:>9} {:>9} {:>12}  over its threshold",
            "group", "traces", "exchanges", "errors", "p50", "p95", "p99", "tokens"
        )];
        lines.extend(self.groups.iter().map(Group::line));
        lines.extend(self.without_traffic.iter().map(|absent| {
            let (experiment, routes) = (&absent.experiment, absent.routes.join(", "));
            format!("{routes}: no traffic yet, there is no experiment `{experiment}`")
        }));
        let sum = |of: fn(&Figures) -> usize| -> usize {
            self.groups.iter().map(|group| of(&group.figures)).sum()
        };
        let (unweighted, unfinished) = (sum(|f| f.unweighted), sum(|f| f.unfinished));
        if unweighted > 0 {
            lines.push(format!(
                "{unweighted} traces have no known weight (a rate cap, or a caller's flag): each counts once"
            ));
        }
        if unfinished > 0 {
            lines.push(format!(
                "{unfinished} traces are not finished, and left out"
            ));
        }
        lines.push(
            match self.verdict {
                Verdict::Healthy => "healthy",
                Verdict::Breached => "breached",
                Verdict::Unknown => "cannot tell: too few traces",
            }
            .to_owned(),
        );
        lines.join("\n")
    }
}

impl Group {
    fn line(&self) -> String {
        let figures = &self.figures;
        let time = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
        let errors = figures.error_rate;
        let errors = errors.map_or("-".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
        // A user's name is a stranger's words.
        let name: String = self.name.chars().filter(|c| !c.is_control()).collect();
        format!(
            "{name:<24} {:>8} {:>10.0} {errors:>8} {:>9} {:>9} {:>9} {:>12.0}  {}",
            figures.traces,
            figures.exchanges,
            time(figures.p50_ms),
            time(figures.p95_ms),
            time(figures.p99_ms),
            figures.total_tokens,
            self.breached.join(", "),
        )
        .trim_end()
        .to_owned()
    }
}

impl Thresholds {
    fn breached(&self, figures: &Figures) -> Vec<&'static str> {
        let ms = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64() * 1e3);
        let rows = [
            ("error_rate", figures.error_rate, self.max_error_rate),
            ("p50", figures.p50_ms, ms(self.max_p50)),
            ("p95", figures.p95_ms, ms(self.max_p95)),
            ("p99", figures.p99_ms, ms(self.max_p99)),
            ("tokens", Some(figures.total_tokens), self.max_tokens),
        ];
        let over = |(_, figure, limit): &(_, Option<f64>, Option<f64>)| {
            figure
                .zip(*limit)
                .is_some_and(|(figure, limit)| figure > limit)
        };
        rows.into_iter()
            .filter(over)
            .map(|(name, ..)| name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(failed: bool, millis: u64) -> Observed {
        Observed {
            weight: Some(1.0),
            finished: true,
            failed,
            took: Some(Duration::from_millis(millis)),
            ..Observed::default()
        }
    }

    fn thresholds() -> Thresholds {
        Thresholds {
            max_error_rate: Some(0.25),
            max_p50: None,
            max_p95: Some(Duration::from_millis(100)),
            max_p99: None,
            max_tokens: None,
            min_traces: 3,
        }
    }

    #[track_caller]
    fn check(groups: &[(&str, Vec<Observed>)], verdict: Verdict, line: &str) {
        let groups = groups
            .iter()
            .map(|(name, all)| ((*name).to_owned(), all.clone()));
        let found = Found {
            groups: groups.collect(),
            absent: vec![Absent {
                experiment: "echo".into(),
                routes: vec!["a".into(), "b".into()],
            }],
        };
        let report = Report::of(found, Duration::from_secs(60), &thresholds());
        assert_eq!(report.verdict(), verdict, "{report:?}");
        let page = report.show(false);
        assert!(page.contains(line), "no `{line}` in:\n{page}");
        let json: serde_json::Value = serde_json::from_str(&report.show(true)).unwrap();
        assert_eq!(
            json["groups"].as_array().unwrap().len(),
            report.groups.len()
        );
        assert!(page.contains("a, b: no traffic yet, there is no experiment `echo`"));
        assert_eq!(json["without_traffic"][0]["experiment"], "echo");
    }

    #[test]
    fn a_threshold_is_kept_by_what_equals_it() {
        let fine = vec![
            observed(false, 100),
            observed(true, 90),
            observed(false, 1),
            observed(false, 2),
        ];
        check(&[("a", fine.clone())], Verdict::Healthy, "healthy");
        let slow = vec![observed(false, 101); 3];
        check(
            &[("a", fine.clone()), ("b", slow)],
            Verdict::Breached,
            "p95\n",
        );
        let failing = vec![observed(true, 1), observed(false, 1), observed(false, 1)];
        check(&[("a", fine), ("b", failing)], Verdict::Breached, "33.33 %");
    }

    #[test]
    fn too_few_traces_tell_nothing() {
        check(&[], Verdict::Unknown, "cannot tell");
        check(
            &[("a", vec![observed(true, 1); 2])],
            Verdict::Unknown,
            "cannot tell",
        );
        let unfinished = Observed {
            finished: false,
            ..observed(true, 1)
        };
        check(
            &[("a", vec![unfinished; 9])],
            Verdict::Unknown,
            "9 traces are not finished",
        );
    }
}
