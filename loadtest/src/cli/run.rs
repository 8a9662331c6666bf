//! `loadtest run`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use indicatif::{ProgressBar, ProgressStyle};
use offpath_loadtest::client::{Http, Target, Trust};
use offpath_loadtest::report::Summary;
use offpath_loadtest::run::{self, Plan, Sweep};
use offpath_loadtest::schedule::{Arrivals, Load};
use offpath_loadtest::{csv, html, units};
use tokio::runtime::Runtime;

use super::body::Body;
use super::outputs::{Opened, Outputs};
use super::{Usage, values};

/// Load a target at scheduled instants, and say what it was like.
///
/// Open loop: requests are due at their instants whether or not earlier ones were answered, and
/// latency counts from there. Exit code 1 when the target is down, every request failed, or fewer
/// than 95 % of the requests that were due could be sent in their time (a sweep: at its first rate).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where requests go: http:// or https://, on this machine
    url: Target,
    /// Requests per second
    #[arg(long, value_name = "N", value_parser = values::rate, required_unless_present_any = ["closed_loop", "sweep"])]
    rate: Option<f64>,
    /// Change the rate in a straight line, to this at the end
    #[arg(long, value_name = "N", value_parser = values::rate, requires = "rate")]
    ramp_to: Option<f64>,
    /// One run after another at these rates, `--duration` each: `500,1000,2000` or `500..4000:8`
    /// (eight rates, evenly spaced); says where latency turns
    #[arg(long, value_name = "RATES", value_parser = values::rates, conflicts_with = "rate")]
    sweep: Option<values::Rates>,
    /// How long requests are due (250us, 500ms, 10s, 5m)
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s")]
    duration: Duration,
    /// How the gaps between requests are distributed
    #[arg(long, value_enum, default_value = "constant")]
    arrivals: Gaps,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Most requests in flight: connections (HTTP/1.1) or streams of one connection (HTTP/2);
    /// requests beyond them wait, and the waiting is in their latency
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 128)]
    connections: u16,
    /// Closed loop instead: N workers send when their last request is over
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with_all = ["rate", "sweep", "arrivals", "connections"]
    )]
    closed_loop: Option<u16>,
    /// Request method; POST where there is a body, else GET
    #[arg(long)]
    method: Option<Method>,
    /// Request header, may be repeated
    #[arg(short = 'H', value_name = "NAME: VALUE", value_parser = values::header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    #[command(flatten)]
    body: Body,
    /// HTTP version: 1 or 2 (h2c without TLS)
    #[arg(long, value_enum, default_value = "1")]
    http: Version,
    /// Certificate authorities (PEM) for an https target
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// From a request's intended start to its last byte; later ones are errors
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    outputs: Outputs,
    /// Permit a host that is not this machine, by the name it has in the url
    #[arg(long, value_name = "HOST")]
    i_may_load: Option<String>,
    /// Threads that send and receive; half the cores, where not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Gaps {
    Constant,
    Poisson,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Version {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

/// Runs, prints the summary, and says with the exit code whether anything was answered.
pub(super) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let threads = args.threads;
    let outputs = args.outputs.open().map_err(Usage)?;
    let sweep = args.sweep.clone();
    let plan = plan(args).map_err(Usage)?;
    let runtime = runtime(threads)?;
    match sweep {
        None => once(&plan, &runtime, outputs),
        Some(values::Rates(rates)) => swept(&plan, &rates, &runtime, outputs),
    }
}

fn once(plan: &Plan, runtime: &Runtime, outputs: Opened) -> anyhow::Result<ExitCode> {
    let bar = progress_bar("{wide_bar} {elapsed} {msg} requests");
    bar.set_length(u64::try_from(plan.duration.as_millis()).unwrap_or(u64::MAX));
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    let summary = runtime.block_on(run::run(plan, stop, |elapsed, finished| {
        bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        bar.set_message(finished.to_string());
    }));
    bar.finish_and_clear();
    let summary = summary.map_err(told)?;
    write!(io::stdout(), "{summary}").context("cannot print the summary")?;
    outputs.write(
        &summary,
        || csv::runs([&summary]),
        || html::summary(&summary),
    )?;
    check(&summary)?;
    Ok(ExitCode::SUCCESS)
}

fn swept(
    plan: &Plan,
    rates: &[f64],
    runtime: &Runtime,
    outputs: Opened,
) -> anyhow::Result<ExitCode> {
    let bar = progress_bar("{wide_bar} {elapsed} {msg}");
    let step_ms = u64::try_from(plan.duration.as_millis()).unwrap_or(u64::MAX);
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    bar.set_length(step_ms.saturating_mul(u64::try_from(rates.len())?));
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    let sweep = run::sweep(plan, rates, stop, |step, elapsed, finished| {
        let before = step_ms.saturating_mul(u64::try_from(step).unwrap_or(u64::MAX));
        bar.set_position(before.saturating_add(millis(elapsed).min(step_ms)));
        bar.set_message(format!(
            "rate {} of {}, {finished} requests",
            step + 1,
            rates.len()
        ));
    });
    let sweep: Sweep = runtime.block_on(sweep).map_err(told)?;
    bar.finish_and_clear();
    write!(io::stdout(), "{sweep}").context("cannot print the sweep")?;
    outputs.write(&sweep, || csv::runs(&sweep.steps), || html::sweep(&sweep))?;
    // Later rates may be past what the target can take: to find that out is what a sweep is for.
    if let Some(first) = sweep.steps.first() {
        check(first)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An error where nothing was answered, or the rate was not reached.
pub(super) fn check(summary: &Summary) -> anyhow::Result<()> {
    let target = &summary.target;
    if summary.has_failed() {
        let reason = summary.first_error.as_deref();
        let reason = reason.unwrap_or("every status was 400 or above");
        anyhow::bail!("no request to `{target}` succeeded: {reason}");
    }
    ensure!(
        !summary.missed_its_rate(),
        "the rate was not reached: {:.1}/s were sent of {:.1}/s that were due",
        summary.rate.achieved,
        summary.rate.offered.unwrap_or_default()
    );
    Ok(())
}

/// What the caller asked wrongly, or what went wrong.
pub(super) fn told(error: run::Error) -> anyhow::Error {
    match error {
        run::Error::Thread(_) | run::Error::Down(_) => error.into(),
        run::Error::Refused(_) | run::Error::Request(_) => Usage(error.into()).into(),
    }
}

fn plan(args: Args) -> anyhow::Result<Plan> {
    let http = Http::from(args.http);
    let headers: HeaderMap = args.headers.into_iter().collect();
    let requests = args
        .body
        .requests(&args.url, http, args.method, headers, args.seed)?;
    let trust = args.ca.as_deref().map(Trust::from_pem_file).transpose()?;
    let first_rate = args
        .sweep
        .as_ref()
        .and_then(|rates| rates.0.first().copied());
    let load = match (args.closed_loop, args.rate.or(first_rate)) {
        (Some(workers), _) => Load::Closed {
            workers: usize::from(workers),
        },
        (None, Some(rate)) => Load::Open {
            arrivals: args.arrivals.into(),
            rate,
            ramp_to: args.ramp_to,
            seed: args.seed,
            connections: usize::from(args.connections),
        },
        (None, None) => anyhow::bail!("`--rate` or `--closed-loop` is needed"),
    };
    Ok(Plan {
        requests,
        target: args.url,
        http,
        trust,
        load,
        duration: args.duration,
        timeout: args.timeout,
        permitted_host: args.i_may_load,
    })
}

impl From<Version> for Http {
    fn from(version: Version) -> Self {
        match version {
            Version::One => Self::One,
            Version::Two => Self::Two,
        }
    }
}

impl From<Gaps> for Arrivals {
    fn from(gaps: Gaps) -> Self {
        match gaps {
            Gaps::Constant => Self::Constant,
            Gaps::Poisson => Self::Poisson,
        }
    }
}

/// Half the cores where `threads` is not given: the other half is left to the target, which mostly
/// runs beside.
pub(super) fn runtime(threads: Option<u16>) -> anyhow::Result<Runtime> {
    let half = || thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.map_or_else(half, usize::from))
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Hidden where stderr is no terminal.
pub(super) fn progress_bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
