//! The command `loadtest replay`.

use std::env;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::HeaderName;
use offpath_loadtest::client::{Target, Trust};
use offpath_loadtest::replay::source::{self, Experiment, Imported, Tracking};
use offpath_loadtest::replay::{self, ChatDefaults, Checks, Filter, Plan, Selection};
use offpath_loadtest::{csv, html};
use tokio::runtime::Runtime;

use super::connect::{ConnectArgs, TIMEOUT, run_error};
use super::outputs::Outputs;
use super::{Usage, progress, values};

/// Exit code: responses differ, and `--fail-if-different` is given.
const DIFFERENT: u8 = 2;

/// Send recorded exchanges at their recorded instants and compare the responses.
///
/// The exit code is 1 if the target is down, nothing was answered, or requests could not be sent on
/// time, and 2 if a response differs and `--fail-if-different` is given.
#[derive(Debug, clap::Args)]
#[command(mut_arg(TIMEOUT, |timeout| timeout.default_value("5m")))]
pub(super) struct Args {
    /// URL to send requests to; with the path `/` each goes to its recorded path
    url: Target,
    #[command(flatten)]
    source: SourceArgs,
    /// MLflow experiment: a name, or `id:NUMBER`
    #[arg(long, value_name = "NAME", requires = "mlflow", default_value = "Default", value_parser = experiment)]
    experiment: Experiment,
    /// Only traces that match this filter, in the syntax of `mlflow.search_traces`
    #[arg(long, value_name = "FILTER", requires = "mlflow")]
    mlflow_filter: Option<String>,
    /// Only exchanges that match: `session=`, `path=`, `method=`, `status=`, or `/pointer=` into the
    /// request's JSON; can be repeated
    #[arg(long = "filter", value_name = "FIELD=TEXT")]
    filters: Vec<Filter>,
    /// Only exchanges within this range of time since the first one: `10s..70s`, `10s..`, `..1m`
    #[arg(long, value_name = "FROM..TO", value_parser = values::window)]
    window: Option<Range<Duration>>,
    /// Send at most the earliest N exchanges
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    limit: usize,
    /// Replay speed: `2x` is twice as fast as recorded
    #[arg(long, value_name = "TIMES", value_parser = values::times, default_value = "1x")]
    speed: f64,
    /// Number of passes over the recording
    #[arg(long = "loop", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), default_value_t = 1)]
    loops: u32,
    /// Model name in generated chats, for recordings that contain only lengths or messages
    #[arg(long, value_name = "NAME", default_value = "loadtest")]
    model: String,
    /// Request streamed responses in generated chats
    #[arg(long)]
    stream: bool,
    /// Properties of responses to compare, as far as they were recorded
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["status", "json", "tokens"])]
    check: Vec<CheckArg>,
    /// Relative difference up to which two numbers count as equal
    #[arg(long, value_name = "FRACTION", default_value_t = 1e-6)]
    tolerance: f64,
    /// JSON pointer to a response member that is not compared, `*` for any name or index; can be
    /// repeated
    #[arg(long, value_name = "POINTER", default_values = ["/id", "/created", "/system_fingerprint"])]
    ignore: Vec<String>,
    /// Exit with code 2 if a response differs
    #[arg(long)]
    fail_if_different: bool,
    /// Send the session id in this request header
    #[arg(long, value_name = "NAME")]
    session_header: Option<HeaderName>,
    /// Maximum requests in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 512)]
    connections: u16,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    outputs: Outputs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// File with recorded exchanges: Azure's arrival traces (.csv), else JSON lines in the format of
    /// Mooncake and AIPerf
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// MLflow tracking URI to read traces from. Credentials come from `MLFLOW_TRACKING_TOKEN`, or
    /// from `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`
    #[arg(long, value_name = "URI")]
    mlflow: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CheckArg {
    Status,
    Bytes,
    Json,
    Tokens,
    None,
}

/// Replays the recording, prints the load's summary and how the responses compare.
pub(super) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let outputs = args.outputs.open().map_err(Usage)?;
    let fail_if_different = args.fail_if_different;
    let runtime = args.connect.runtime()?;
    let trust = args.connect.trust().map_err(Usage)?;
    let imported = import(&args, trust.clone(), &runtime)?;
    let skipped = imported.skipped.clone();
    let plan = plan(args, imported, trust).map_err(Usage)?;
    let loops = u64::from(plan.selection.loops);
    let requests = u64::try_from(plan.exchanges.len())?.saturating_mul(loops);
    let bar = progress::bar("{wide_bar} {elapsed} {pos}/{len} requests", requests);
    let replay = replay::replay(&plan, progress::interrupted(), |_, finished| {
        bar.set_position(finished);
    });
    let mut replayed = runtime.block_on(replay).map_err(run_error)?;
    bar.finish_and_clear();
    replayed.skipped = skipped;
    write!(io::stdout(), "{replayed}").context("cannot print the result")?;
    let load = &replayed.load;
    outputs.write(&replayed, || csv::runs([load]), || html::summary(load))?;
    if load.statuses.is_empty() {
        let reason = load.first_error.as_deref().unwrap_or("nothing was sent");
        bail!("no request to `{}` was answered: {reason}", load.target);
    }
    ensure!(
        !load.missed_its_rate(),
        "requests could not be sent at their recorded instants: {:.1}/s were sent of {:.1}/s due",
        load.rate.achieved,
        load.rate.offered.unwrap_or(f64::NAN)
    );
    if fail_if_different && replayed.answers.differing > 0 {
        return Ok(ExitCode::from(DIFFERENT));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the recorded exchanges from the file or from MLflow.
fn import(args: &Args, trust: Option<Trust>, runtime: &Runtime) -> anyhow::Result<Imported> {
    if let Some(path) = &args.source.trace {
        let exchanges =
            source::read_file(path, &chat(args)).map_err(|error| Usage(error.into()))?;
        return Ok(Imported {
            exchanges,
            ..Imported::default()
        });
    }
    let uri = args.source.mlflow.clone();
    let tracking = Tracking {
        uri: uri.expect("the parser requires --trace or --mlflow"),
        authorization: authorization(),
        trust,
    };
    let bar = progress::bar("{spinner} {pos} traces read from MLflow", 0);
    let filter = args.mlflow_filter.as_deref();
    let import = tracking.import(&args.experiment, filter, args.limit, |_| bar.inc(1));
    let imported = runtime.block_on(import)?;
    bar.finish_and_clear();
    Ok(imported)
}

fn chat(args: &Args) -> ChatDefaults {
    ChatDefaults {
        model: args.model.clone(),
        stream: args.stream,
    }
}

/// The credentials that MLflow's own client would use: a token, else a name and a password.
fn authorization() -> Option<String> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(token) = set("MLFLOW_TRACKING_TOKEN") {
        return Some(format!("Bearer {token}"));
    }
    let username = set("MLFLOW_TRACKING_USERNAME")?;
    let password = set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
    Some(values::basic(&username, &password))
}

fn plan(args: Args, imported: Imported, trust: Option<Trust>) -> anyhow::Result<Plan> {
    let chat = chat(&args);
    let is_checked = |kind| args.check.contains(&kind);
    let checks = Checks {
        status: is_checked(CheckArg::Status),
        bytes: is_checked(CheckArg::Bytes),
        json: is_checked(CheckArg::Json),
        tokens: is_checked(CheckArg::Tokens),
        tolerance: args.tolerance,
        ignored: args.ignore,
    };
    let selection = Selection {
        window: args.window,
        filters: args.filters,
        limit: args.limit,
        speed: args.speed,
        loops: args.loops,
    };
    let found = imported.exchanges.len();
    let skipped: u64 = imported.skipped.values().sum();
    let exchanges = selection.apply(imported.exchanges);
    ensure!(
        !exchanges.is_empty(),
        "nothing to replay: none of {found} exchanges is selected ({skipped} more could not be used)"
    );
    Ok(Plan {
        target: args.url,
        exchanges: exchanges.into(),
        selection,
        chat,
        headers: args.connect.headers(),
        session_header: args.session_header,
        checks,
        http: args.connect.http(),
        trust,
        connections: usize::from(args.connections),
        timeout: args.connect.timeout,
        permitted_host: args.connect.i_may_load,
    })
}

fn experiment(text: &str) -> Result<Experiment, String> {
    Ok(match text.strip_prefix("id:") {
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) && !id.is_empty() => {
            Experiment::Id(id.to_owned())
        }
        Some(_) => return Err("must be `id:NUMBER`".to_owned()),
        None => Experiment::Name(text.to_owned()),
    })
}
