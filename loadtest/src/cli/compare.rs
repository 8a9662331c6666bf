//! The command `loadtest compare`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use offpath_loadtest::compare::{self, Gate, NamedTarget, Plan, Process, ROUNDS_MIN, Verdict};
use offpath_loadtest::schedule::Load;
use offpath_loadtest::{csv, html, units};

use super::case::CaseArg;
use super::connect::{ConnectArgs, run_error};
use super::outputs::Outputs;
use super::{Usage, progress, run, values};

/// The samples of more requests would take too much memory beside the targets.
const REQUESTS_MAX: f64 = 20e6;
/// Upper estimate of the rate that a closed loop reaches on one machine, in requests per second.
const CLOSED_LOOP_RATE_MAX: f64 = 50_000.0;
/// Exit code: a `--fail-if` condition is met.
const BREACHED: u8 = 2;
/// Exit code: a `--fail-if` condition cannot be decided from the measurements.
const UNDECIDABLE: u8 = 3;

/// Load several targets in turns on one schedule and report the latency each adds to the first.
///
/// The exit code is 1 if a target is or goes down, 2 if a `--fail-if` condition is met, and 3 if such
/// a condition cannot be decided because the confidence interval is wider than its threshold.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Targets as NAME=URL; the first is the baseline
    #[arg(required = true, num_args = 2.., value_name = "NAME=URL", value_parser = values::named)]
    targets: Vec<NamedTarget>,
    /// Kind of request, or NAME=CASE to name it: `get`, `chat:WORDS`, `stream:WORDS`,
    /// `dataframe:ROWSxCOLS` or `file:PATH`; can be repeated
    #[arg(long = "case", value_name = "CASE", default_value = "get")]
    cases: Vec<CaseArg>,
    /// Requests per second
    #[arg(long, value_name = "N", value_parser = values::rate, default_value = "500")]
    rate: f64,
    /// Distribution of the gaps between requests
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: run::ArrivalsArg,
    /// How long one target is loaded before the next
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "250ms")]
    block: Duration,
    /// Pause after each block, for work that the target does after responding; its CPU time counts
    /// towards the block
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    settle: Option<Duration>,
    /// How often every target is loaded, not counting the warm-up
    #[arg(long, value_name = "N", default_value_t = 40)]
    rounds: u16,
    /// Maximum requests in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 128)]
    connections: u16,
    /// Run a closed loop instead: each of N workers sends its next request when its last one is over
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with_all = ["rate", "arrivals", "connections"]
    )]
    closed_loop: Option<u16>,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Local process whose CPU time, page faults and memory to report; can be repeated
    #[arg(long = "pid", value_name = "NAME=PID")]
    processes: Vec<Process>,
    /// Fail if the condition is met: `added_p99 > 500us`, `added_ttft_p50 > 1ms`; can be repeated
    #[arg(long = "fail-if", value_name = "CONDITION")]
    gates: Vec<Gate>,
    /// Do not compare the baseline with itself
    #[arg(long)]
    no_control: bool,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    outputs: Outputs,
}

/// Compares the targets, prints the tables, and turns the gates' verdict into the exit code.
pub(super) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let outputs = args.outputs.open().map_err(Usage)?;
    let runtime = args.connect.runtime()?;
    let plan = plan(args).map_err(Usage)?;
    let bar = progress::bar("{wide_bar} {elapsed} {pos}/{len} blocks", 0);
    let compare = compare::compare(&plan, progress::interrupted(), |progress| {
        bar.set_length(progress.blocks);
        bar.set_position(progress.finished);
    });
    let comparison = runtime.block_on(compare).map_err(run_error)?;
    bar.finish_and_clear();
    write!(io::stdout(), "{comparison}").context("cannot print the comparison")?;
    outputs.write(
        &comparison,
        || csv::comparison(&comparison),
        || html::comparison(&comparison),
    )?;
    if let Some(failure) = &comparison.failure {
        anyhow::bail!("the comparison is incomplete: {failure}");
    }
    Ok(match comparison.verdict() {
        None | Some(Verdict::Passed) => ExitCode::SUCCESS,
        Some(Verdict::Breached) => ExitCode::from(BREACHED),
        Some(Verdict::Undecidable) => ExitCode::from(UNDECIDABLE),
    })
}

fn plan(args: Args) -> anyhow::Result<Plan> {
    let rounds = usize::from(args.rounds);
    ensure!(
        rounds >= ROUNDS_MIN,
        "`--rounds` must be at least {ROUNDS_MIN}: fewer are too few for an interval"
    );
    let per_second = match args.closed_loop {
        Some(_) => CLOSED_LOOP_RATE_MAX,
        None => args.rate,
    };
    let requests = per_second * args.block.as_secs_f64();
    ensure!(
        requests >= 10.0,
        "a block of {:?} at {}/s has {requests:.0} requests, fewer than 10: make `--block` longer",
        args.block,
        args.rate
    );
    let lanes = args.targets.len() + usize::from(!args.no_control);
    let total =
        requests * f64::from(args.rounds) * f64::from(u32::try_from(lanes * args.cases.len())?);
    ensure!(
        total <= REQUESTS_MAX,
        "{total:.0} requests are more than {REQUESTS_MAX:.0}: shorten `--block` or lower `--rounds`"
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
    let headers = args.connect.headers();
    let cases = args
        .cases
        .iter()
        .map(|case| case.read(&headers, args.seed))
        .collect::<anyhow::Result<_>>()?;
    let mut targets = args.targets.into_iter();
    let baseline = targets.next().expect("the parser requires two targets");
    Ok(Plan {
        baseline,
        others: targets.collect(),
        cases,
        http: args.connect.http(),
        trust: args.connect.trust()?,
        permitted_host: args.connect.i_may_load,
        load,
        block: args.block,
        settle: args.settle.unwrap_or(Duration::ZERO),
        rounds,
        seed: args.seed,
        timeout: args.connect.timeout,
        with_control: !args.no_control,
        processes: args.processes,
        gates: args.gates,
    })
}
