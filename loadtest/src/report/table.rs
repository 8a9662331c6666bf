//! The table that a summary prints as.

use std::fmt;

use super::{Figure, Summary, TokenEvents};
use crate::client::Http;
use crate::run::{Knee, Sweep};
use crate::schedule::{Arrivals, Load};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = match self.http {
            Http::One => "HTTP/1.1",
            Http::Two => "HTTP/2",
        };
        writeln!(f, "target       {} ({http})", self.target)?;
        write_load(f, self.load)?;
        let requests = grouped(self.requests);
        write!(f, "requests     {requests} in {:.1} s", self.duration_s)?;
        write!(f, " on {} connections: ", grouped(self.connections))?;
        write!(f, "{:.1}/s achieved", self.rate.achieved)?;
        match self.rate.offered {
            Some(offered) => writeln!(f, " of {offered:.1}/s offered")?,
            None => writeln!(f)?,
        }
        write_counts(f, "statuses", &self.statuses)?;
        write_counts(f, "errors", &self.errors)?;
        if let Some(error) = &self.first_error {
            writeln!(f, "first error  {error}")?;
        }
        let sent = grouped(self.body_bytes.sent);
        let received = grouped(self.body_bytes.received);
        writeln!(f, "body bytes   {sent} sent, {received} received")?;
        write_figures(f, &self.figures)?;
        let TokenEvents {
            gaps,
            merged,
            reads,
        } = self.token_events;
        if gaps > 0 {
            let (merged, gaps, reads) = (grouped(merged), grouped(gaps), grouped(reads));
            writeln!(
                f,
                "merged = token events read together with the one before: {merged} of {gaps}, in \
                 {reads} reads"
            )?;
        }
        for reason in &self.degraded {
            writeln!(f, "\nDEGRADED     {reason}")?;
        }
        Ok(())
    }
}

pub(crate) fn write_load(f: &mut fmt::Formatter<'_>, load: Load) -> fmt::Result {
    match load {
        Load::Open {
            arrivals,
            rate,
            ramp_to,
            seed,
            connections,
        } => {
            let arrivals = match arrivals {
                Arrivals::Constant => "constant".to_owned(),
                Arrivals::Poisson => format!("poisson (seed {seed})"),
            };
            let to = ramp_to.map_or_else(String::new, |to| format!(" to {to}"));
            writeln!(
                f,
                "load         open loop, {arrivals}, {rate}{to}/s, at most {connections} in flight"
            )
        }
        Load::Closed { workers } => {
            writeln!(f, "load         closed loop, {workers} in flight")
        }
        Load::Recorded {
            exchanges,
            speed,
            loops,
            connections,
        } => {
            writeln!(
                f,
                "load         {exchanges} recorded exchanges, {loops} times at {speed}x speed, at \
                 most {connections} in flight"
            )
        }
    }
}

fn write_counts<'a, K: fmt::Display + 'a>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    counts: impl IntoIterator<Item = (&'a K, &'a u64)>,
) -> fmt::Result {
    write!(f, "{name:<12}")?;
    let mut counts = counts.into_iter().peekable();
    if counts.peek().is_none() {
        write!(f, " none")?;
    }
    for (key, count) in counts {
        write!(f, " {key}: {}", grouped(*count))?;
    }
    writeln!(f)
}

fn write_figures(f: &mut fmt::Formatter<'_>, figures: &[Figure]) -> fmt::Result {
    if figures.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\n{:<22}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "us", "p50", "p90", "p99", "p99.9", "max", "count"
    )?;
    for Figure { name, us, .. } in figures {
        write!(f, "{name:<22}")?;
        for value in [us.p50, us.p90, us.p99, us.p999, us.max, us.count] {
            write!(f, "{:>12}", grouped(value))?;
        }
        writeln!(f)?;
    }
    writeln!(f)?;
    for Figure { name, formula, .. } in figures {
        writeln!(f, "{name} = {formula}")?;
    }
    Ok(())
}

/// Formats `1234567` as `1,234,567`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.steps.first() else {
            return Ok(());
        };
        writeln!(f, "target       {}", first.target)?;
        writeln!(
            f,
            "\nlatency, us {:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>10}{:>10}",
            "offered/s", "achieved/s", "p50", "p90", "p99", "p99.9", "requests", "errors"
        )?;
        for step in &self.steps {
            let rate = step
                .load
                .rate()
                .map_or_else(String::new, |rate| rate.to_string());
            write!(f, "{:<12}{rate:>12}{:>12.1}", "", step.rate.achieved)?;
            let us = step.figure("latency");
            let quantiles = us.map(|us| [us.p50, us.p90, us.p99, us.p999]);
            for value in quantiles.map_or([None; 4], |values| values.map(Some)) {
                let value = value.map_or_else(|| "-".to_owned(), grouped);
                write!(f, "{value:>12}")?;
            }
            let errors: u64 = step.errors.values().sum();
            write!(f, "{:>10}{:>10}", grouped(step.requests), grouped(errors))?;
            let mark = if step.degraded.is_empty() {
                ""
            } else {
                "  DEGRADED"
            };
            writeln!(f, "{mark}")?;
        }
        match &self.knee {
            None => writeln!(f, "\nknee         not reached"),
            Some(Knee {
                rate: None,
                because,
            }) => {
                writeln!(f, "\nknee         before the first rate: {because}")
            }
            Some(Knee {
                rate: Some(rate),
                because,
            }) => {
                writeln!(f, "\nknee         {rate}/s: {because}")
            }
        }?;
        for reason in self.steps.iter().flat_map(|step| &step.degraded) {
            writeln!(f, "\nDEGRADED     {reason}")?;
        }
        Ok(())
    }
}
