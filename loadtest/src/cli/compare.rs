//! `loadtest compare`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{HeaderMap, HeaderName, HeaderValue};
use offpath_loadtest::client::Trust;
use offpath_loadtest::compare::{self, Gate, Named, Plan, Process, ROUNDS_MIN, Verdict};
use offpath_loadtest::schedule::Load;
use offpath_loadtest::{csv, html, units};

use super::case::CaseArg;
use super::outputs::Outputs;
use super::{Usage, run, values};

/// More samples than this do not fit in memory beside what is measured.
const REQUESTS_MAX: f64 = 20e6;
/// More per second than a closed loop makes of one machine.
const CLOSED_LOOP_MAX: f64 = 50_000.0;
/// A gate's condition holds.
const BREACHED: u8 = 2;
/// A gate cannot be decided on what was measured.
const UNDECIDABLE: u8 = 3;

/// Load targets in turns on one schedule, and say what each adds over the first.
///
/// Exit code 0; 1 when a target is down or went down; 2 when a gate's condition holds; 3 when a gate
/// cannot be decided, because the interval is wider than its threshold.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// NAME=URL; the others are compared with the first
    #[arg(required = true, num_args = 2.., value_name = "NAME=URL", value_parser = values::named)]
    targets: Vec<Named>,
    /// What is sent, may be repeated: `get`, `chat:WORDS`, `stream:WORDS`, `dataframe:ROWSxCOLS` or
    /// `file:PATH`, each also as `NAME=CASE`
    #[arg(long = "case", value_name = "CASE", default_value = "get")]
    cases: Vec<CaseArg>,
    /// Requests per second
    #[arg(long, value_name = "N", value_parser = values::rate, default_value = "500")]
    rate: f64,
    /// How the gaps between requests are distributed
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: run::Gaps,
    /// How long one target is loaded at a stretch
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "250ms")]
    block: Duration,
    /// Pause after each block, counted to it: for work that is done after the answer
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    settle: Option<Duration>,
    /// How often every target is loaded, a warm-up apart
    #[arg(long, value_name = "N", default_value_t = 40)]
    rounds: u16,
    /// Most requests in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 128)]
    connections: u16,
    /// Closed loop instead: N workers send when their last request is over
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with_all = ["rate", "arrivals", "connections"]
    )]
    closed_loop: Option<u16>,
    /// Request header, may be repeated
    #[arg(short = 'H', value_name = "NAME: VALUE", value_parser = values::header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// HTTP version: 1 or 2 (h2c without TLS)
    #[arg(long, value_enum, default_value = "1")]
    http: run::Version,
    /// Certificate authorities (PEM) for https targets
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// From a request's intended start to its last byte; later ones are errors
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "30s")]
    timeout: Duration,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A local process whose CPU time, page faults and memory are wanted, may be repeated
    #[arg(long = "pid", value_name = "NAME=PID")]
    processes: Vec<Process>,
    /// Fail on this, may be repeated: `added_p99 > 500us`, `added_ttft_p50 > 1ms`
    #[arg(long = "fail-if", value_name = "CONDITION")]
    gates: Vec<Gate>,
    /// Do not compare the first target with itself
    #[arg(long)]
    no_control: bool,
    #[command(flatten)]
    outputs: Outputs,
    /// Permit a host that is not this machine, by the name it has in the urls
    #[arg(long, value_name = "HOST")]
    i_may_load: Option<String>,
    /// Threads that send and receive; half the cores, where not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

/// Compares, prints the tables, and says with the exit code what the gates said.
pub(super) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let threads = args.threads;
    let outputs = args.outputs.open().map_err(Usage)?;
    let plan = plan(args).map_err(Usage)?;
    let runtime = run::runtime(threads)?;
    let bar = run::progress_bar("{wide_bar} {elapsed} {pos}/{len} blocks");
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    let found = runtime.block_on(compare::compare(&plan, stop, |done, all| {
        bar.set_length(u64::try_from(all).unwrap_or(u64::MAX));
        bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }));
    bar.finish_and_clear();
    let found = found.map_err(run::told)?;
    write!(io::stdout(), "{found}").context("cannot print the comparison")?;
    outputs.write(
        &found,
        || csv::comparison(&found),
        || html::comparison(&found),
    )?;
    if let Some(failure) = &found.failure {
        anyhow::bail!("the comparison is not whole: {failure}");
    }
    Ok(match found.verdict() {
        None | Some(Verdict::Passed) => ExitCode::SUCCESS,
        Some(Verdict::Breached) => ExitCode::from(BREACHED),
        Some(Verdict::Undecidable) => ExitCode::from(UNDECIDABLE),
    })
}

fn plan(args: Args) -> anyhow::Result<Plan> {
    let rounds = usize::from(args.rounds);
    ensure!(
        rounds >= ROUNDS_MIN,
        "`--rounds` is under {ROUNDS_MIN}: too few for an interval"
    );
    let per_second = match args.closed_loop {
        Some(_) => CLOSED_LOOP_MAX,
        None => args.rate,
    };
    let requests = per_second * args.block.as_secs_f64();
    ensure!(
        requests >= 10.0,
        "a block of {:?} at {}/s has {requests:.0} requests, under 10: make `--block` longer",
        args.block,
        args.rate
    );
    let lanes = args.targets.len() + usize::from(!args.no_control);
    let all =
        requests * f64::from(args.rounds) * f64::from(u32::try_from(lanes * args.cases.len())?);
    ensure!(
        all <= REQUESTS_MAX,
        "{all:.0} requests are over {REQUESTS_MAX:.0}"
    );
    let load = match args.closed_loop {
        Some(workers) => Load::Closed {
            workers: usize::from(workers),
        },
        None => Load::Open {
            arrivals: args.arrivals.into(),
            rate: args.rate,
            ramp_to: None,
            seed: args.seed,
            connections: usize::from(args.connections),
        },
    };
    let headers: HeaderMap = args.headers.into_iter().collect();
    let cases = args.cases.iter().map(|case| case.read(&headers, args.seed));
    let cases: Vec<compare::Case> = cases.collect::<anyhow::Result<_>>()?;
    let mut targets = args.targets.into_iter();
    let baseline = targets.next().context("a target is needed")?;
    Ok(Plan {
        baseline,
        others: targets.collect(),
        cases,
        http: args.http.into(),
        trust: args.ca.as_deref().map(Trust::from_pem_file).transpose()?,
        permitted_host: args.i_may_load,
        load,
        block: args.block,
        settle: args.settle.unwrap_or_default(),
        rounds,
        seed: args.seed,
        timeout: args.timeout,
        with_control: !args.no_control,
        processes: args.processes,
        gates: args.gates,
    })
}
