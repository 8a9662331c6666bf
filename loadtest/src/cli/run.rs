//! The command `loadtest run`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use http::Method;
use offpath_loadtest::client::Target;
use offpath_loadtest::report::Summary;
use offpath_loadtest::run::{self, Plan};
use offpath_loadtest::schedule::{Arrivals, Load};
use offpath_loadtest::{csv, html, units};
use tokio::runtime::Runtime;

use super::body::BodyArgs;
use super::connect::{ConnectArgs, run_error};
use super::outputs::{Opened, Outputs};
use super::{Usage, progress, values};

/// Send load to a target at scheduled instants and report its latency.
///
/// The load is an open loop: requests are due at their instants whether or not earlier ones were
/// answered, and latency counts from those instants. The exit code is 1 if the target is down, every
/// request failed, or fewer than 95 % of the due requests could be sent on time (for a sweep: at its
/// first rate).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// URL to send requests to: http:// or https://, on this machine
    url: Target,
    /// Requests per second
    #[arg(long, value_name = "N", value_parser = values::rate, required_unless_present_any = ["closed_loop", "sweep"])]
    rate: Option<f64>,
    /// Change the rate linearly so that it ends at N
    #[arg(long, value_name = "N", value_parser = values::rate, requires = "rate")]
    ramp_to: Option<f64>,
    /// Run once at each of these rates, for `--duration` each: `500,1000,2000`, or `500..4000:8` for
    /// eight evenly spaced rates; reports the rate at which latency rises sharply
    #[arg(long, value_name = "RATES", value_parser = values::rates, conflicts_with = "rate")]
    sweep: Option<values::Rates>,
    /// How long to send requests (250us, 500ms, 10s, 5m)
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s")]
    duration: Duration,
    /// Distribution of the gaps between requests
    #[arg(long, value_enum, default_value = "constant")]
    arrivals: ArrivalsArg,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Maximum requests in flight: connections (HTTP/1.1) or streams of one connection (HTTP/2);
    /// further requests wait, and their latency includes the wait
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 128)]
    connections: u16,
    /// Run a closed loop instead: each of N workers sends its next request when its last one is over
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with_all = ["rate", "sweep", "arrivals", "connections"]
    )]
    closed_loop: Option<u16>,
    /// Request method [default: POST with a body, GET without]
    #[arg(long)]
    method: Option<Method>,
    #[command(flatten)]
    body: BodyArgs,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    outputs: Outputs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ArrivalsArg {
    Constant,
    Poisson,
}

/// Runs the load, prints the summary, and fails if no request succeeded or the rate was missed.
pub(super) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let outputs = args.outputs.open().map_err(Usage)?;
    let runtime = args.connect.runtime()?;
    let sweep = args.sweep.clone();
    let plan = plan(args).map_err(Usage)?;
    match sweep {
        None => run_once(&plan, &runtime, outputs),
        Some(values::Rates(rates)) => run_sweep(&plan, &rates, &runtime, outputs),
    }
}

fn run_once(plan: &Plan, runtime: &Runtime, outputs: Opened) -> anyhow::Result<ExitCode> {
    let length = units::whole_millis(plan.duration);
    let bar = progress::bar("{wide_bar} {elapsed} {msg} requests", length);
    let run = run::run(plan, progress::interrupted(), |elapsed, finished| {
        bar.set_position(units::whole_millis(elapsed));
        bar.set_message(finished.to_string());
    });
    let summary = runtime.block_on(run).map_err(run_error)?;
    bar.finish_and_clear();
    write!(io::stdout(), "{summary}").context("cannot print the summary")?;
    outputs.write(
        &summary,
        || csv::runs([&summary]),
        || html::summary(&summary),
    )?;
    check(&summary)?;
    Ok(ExitCode::SUCCESS)
}

fn run_sweep(
    plan: &Plan,
    rates: &[f64],
    runtime: &Runtime,
    outputs: Opened,
) -> anyhow::Result<ExitCode> {
    let step_ms = units::whole_millis(plan.duration);
    let length = step_ms.saturating_mul(u64::try_from(rates.len())?);
    let bar = progress::bar("{wide_bar} {elapsed} {msg}", length);
    let sweep = run::sweep(plan, rates, progress::interrupted(), |progress| {
        let in_step = units::whole_millis(progress.elapsed).min(step_ms);
        let earlier_steps = step_ms.saturating_mul(progress.step);
        bar.set_position(earlier_steps.saturating_add(in_step));
        bar.set_message(format!(
            "rate {} of {}, {} requests",
            progress.step + 1,
            rates.len(),
            progress.finished
        ));
    });
    let sweep = runtime.block_on(sweep).map_err(run_error)?;
    bar.finish_and_clear();
    write!(io::stdout(), "{sweep}").context("cannot print the sweep")?;
    outputs.write(&sweep, || csv::runs(&sweep.steps), || html::sweep(&sweep))?;
    // Later rates may exceed the target's capacity: a sweep is there to find that out.
    if let Some(first) = sweep.steps.first() {
        check(first)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails if no request succeeded, or the rate was not reached.
fn check(summary: &Summary) -> anyhow::Result<()> {
    let target = &summary.target;
    if summary.has_failed() {
        let reason = summary
            .first_error
            .as_deref()
            .unwrap_or("every status was 400 or above");
        anyhow::bail!("no request to `{target}` succeeded: {reason}");
    }
    ensure!(
        !summary.missed_its_rate(),
        "the rate was not reached: {:.1}/s were sent of {:.1}/s due",
        summary.rate.achieved,
        summary.rate.offered.unwrap_or(f64::NAN)
    );
    Ok(())
}

fn plan(args: Args) -> anyhow::Result<Plan> {
    let http = args.connect.http();
    let headers = args.connect.headers();
    let requests = args
        .body
        .requests(&args.url, http, args.method, headers, args.seed)?;
    let first_rate = args
        .sweep
        .as_ref()
        .and_then(|rates| rates.0.first().copied());
    let load = match args.closed_loop {
        Some(workers) => Load::Closed {
            workers: usize::from(workers),
        },
        None => Load::Open {
            arrivals: args.arrivals.into(),
            rate: args
                .rate
                .or(first_rate)
                .expect("the parser requires --rate, --sweep or --closed-loop"),
            ramp_to: args.ramp_to,
            seed: args.seed,
            connections: usize::from(args.connections),
        },
    };
    Ok(Plan {
        requests,
        target: args.url,
        http,
        trust: args.connect.trust()?,
        load,
        duration: args.duration,
        timeout: args.connect.timeout,
        permitted_host: args.connect.i_may_load,
    })
}

impl From<ArrivalsArg> for Arrivals {
    fn from(arrivals: ArrivalsArg) -> Self {
        match arrivals {
            ArrivalsArg::Constant => Self::Constant,
            ArrivalsArg::Poisson => Self::Poisson,
        }
    }
}
