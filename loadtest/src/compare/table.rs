//! The table that a comparison prints as.

use std::fmt;

use super::bootstrap::{Interval, QUANTILES};
use super::{Audit, CaseFigures, Comparison, Machine, Quantiles, Verdict};
use crate::client::Http;
use crate::report::write_load;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = match self.http {
            Http::One => "HTTP/1.1",
            Http::Two => "HTTP/2",
        };
        let (rounds, block_s) = (self.rounds, self.block_s);
        writeln!(
            f,
            "compared     {rounds} rounds of {block_s} s per target, {http}"
        )?;
        write_load(f, self.load)?;
        let [before, after] = self.machine;
        let load = |machine: Machine| {
            machine
                .load_average
                .map_or_else(|| "?".to_owned(), |average| format!("{average:.1}"))
        };
        writeln!(
            f,
            "machine      {} cores, load average {} to {}",
            before.cores,
            load(before),
            load(after)
        )?;
        for case in &self.cases {
            write_case(f, case, &self.baseline)?;
        }
        write_processes(f, self)?;
        for result in &self.gates {
            let verdict = match result.verdict {
                Verdict::Passed => "passed",
                Verdict::Undecidable => "UNDECIDABLE: the interval is wider than the threshold",
                Verdict::Breached => "BREACHED",
            };
            let found = result.added.map_or_else(
                || "too few requests".to_owned(),
                |added| format!("{} us", interval(added)),
            );
            writeln!(f, "\ngate         {}", result.gate)?;
            writeln!(
                f,
                "             `{}` on `{}`: {found}: {verdict}",
                result.case, result.lane
            )?;
        }
        for reason in &self.degraded {
            writeln!(f, "\nDEGRADED     {reason}")?;
        }
        Ok(())
    }
}

fn write_case(f: &mut fmt::Formatter<'_>, case: &CaseFigures, baseline: &str) -> fmt::Result {
    writeln!(f, "\n{} ({} bytes)", case.name, case.request_bytes)?;
    write!(f, "{:<22}{:<10}{:>10}", "us", "", "requests")?;
    for (name, _) in QUANTILES {
        write!(f, "{name:>12}")?;
    }
    writeln!(f)?;
    for lane in &case.lanes {
        for (index, (metric, us)) in lane.us.iter().enumerate() {
            let (name, requests) = if index == 0 {
                (lane.name.as_str(), lane.requests.to_string())
            } else {
                ("", String::new())
            };
            write!(f, "{name:<22}{:<10}{requests:>10}", metric.name())?;
            write_quantiles(f, us)?;
        }
        for (kind, count) in &lane.errors {
            writeln!(f, "{:<22}{count} errors: {kind}", "")?;
        }
    }
    writeln!(
        f,
        "\nadded to {baseline}, us [95 % confidence interval] (* significant at all quantiles \
         together)"
    )?;
    for found in &case.differences {
        let name = if found.is_control {
            "control (A/A)"
        } else {
            &found.lane
        };
        write_intervals(f, name, found.metric.name(), &found.added)?;
    }
    for found in &case.detectable {
        write!(
            f,
            "{:<22}{:<10}{:>10}",
            "detection limit",
            found.metric.name(),
            ""
        )?;
        write_quantiles(f, &found.us)?;
    }
    case.audits
        .iter()
        .try_for_each(|audit| write_audit(f, audit))
}

fn write_audit(f: &mut fmt::Formatter<'_>, audit: &Audit) -> fmt::Result {
    writeln!(
        f,
        "\nheader audit of {}: x-offpath-overhead-us, and the measured difference beyond it",
        audit.lane
    )?;
    write!(f, "{:<42}", "claimed")?;
    write_quantiles(f, &audit.claimed_us)?;
    write_intervals(f, "added - claimed", "head", &audit.head_residual)?;
    write_intervals(f, "", "latency", &audit.latency_residual)
}

fn write_processes(f: &mut fmt::Formatter<'_>, found: &Comparison) -> fmt::Result {
    for process in &found.processes {
        let mebibytes = |bytes: u64| bytes / (1 << 20);
        let memory = process.memory.map_or_else(
            || "cannot be read".to_owned(),
            |memory| {
                let (peak, now) = (
                    mebibytes(memory.peak_bytes),
                    mebibytes(memory.resident_bytes),
                );
                format!("peak memory {peak} MiB, now {now} MiB")
            },
        );
        writeln!(
            f,
            "\nprocess      {} ({}): {memory}",
            process.name, process.pid
        )?;
        for used in &process.used {
            writeln!(
                f,
                "             {:<22}{:<22}{:>9.1} us CPU, {:.2} page faults per request; {} from disk",
                used.case,
                used.lane,
                used.cpu_us_per_request,
                used.minor_faults_per_request,
                used.major_faults
            )?;
        }
    }
    Ok(())
}

fn write_quantiles(f: &mut fmt::Formatter<'_>, us: &Quantiles<f64>) -> fmt::Result {
    for value in us.0 {
        match value {
            Some(value) => write!(f, "{value:>12.1}")?,
            None => write!(f, "{:>12}", "-")?,
        }
    }
    writeln!(f)
}

fn write_intervals(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    metric: &str,
    intervals: &Quantiles<Interval>,
) -> fmt::Result {
    write!(f, "{name:<22}{metric:<10}")?;
    for ((name, _), value) in QUANTILES.iter().zip(intervals.0) {
        let Some(value) = value else { continue };
        let mark = if value.differs { "*" } else { "" };
        write!(f, "  {name} {}{mark}", interval(value))?;
    }
    writeln!(f)
}

fn interval(Interval { us, low, high, .. }: Interval) -> String {
    format!("{us:+.1} [{low:+.1}, {high:+.1}]")
}
