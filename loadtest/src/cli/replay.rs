//! `loadtest replay`.

use std::env;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::{HeaderMap, HeaderName, HeaderValue};
use offpath_loadtest::client::{Target, Trust};
use offpath_loadtest::replay::source::{self, Experiment, Read, Tracking};
use offpath_loadtest::replay::{self, Chat, Checks, Filter, Plan, Replayed, Selection};
use offpath_loadtest::{csv, html, units};
use tokio::runtime::Runtime;

use super::outputs::Outputs;
use super::{Usage, run, values};

/// Answers differ, and that was to fail the command.
const DIFFERENT: u8 = 2;

/// Send recorded exchanges at their recorded instants, and compare the answers.
///
/// Exit code 1 when the target is down, nothing was answered, or the instants could not be kept; 2
/// with `--fail-if-different` when an answer differs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where requests go: with the path `/` each to its recorded path, else all to this url
    url: Target,
    #[command(flatten)]
    source: Source,
    /// The experiment: a name, or `id:NUMBER`
    #[arg(long, value_name = "NAME", requires = "mlflow", default_value = "Default", value_parser = experiment)]
    experiment: Experiment,
    /// Only traces that this finds, as `mlflow.search_traces` takes it
    #[arg(long, value_name = "FILTER", requires = "mlflow")]
    mlflow_filter: Option<String>,
    /// Only exchanges of which this holds, may be repeated: `session=`, `path=`, `method=`,
    /// `status=`, or `/pointer=` into the request's JSON
    #[arg(long = "filter", value_name = "FIELD=TEXT")]
    filters: Vec<Filter>,
    /// Only exchanges of this time since the first: `10s..70s`, `10s..`, `..1m`
    #[arg(long, value_name = "FROM..TO", value_parser = values::window)]
    window: Option<(Duration, Duration)>,
    /// No more than the earliest so many
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    limit: usize,
    /// Recorded time over time now: `2x` is twice as fast
    #[arg(long, value_name = "TIMES", value_parser = values::times, default_value = "1x")]
    speed: f64,
    /// How often all of it is sent, one time after another
    #[arg(long = "loop", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), default_value_t = 1)]
    loops: u32,
    /// The model named in chats that are not recorded whole
    #[arg(long, value_name = "NAME", default_value = "loadtest")]
    model: String,
    /// Ask for streams in chats that are not recorded whole
    #[arg(long)]
    stream: bool,
    /// What of the answers is compared, where it was recorded
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["status", "json", "tokens"])]
    check: Vec<Checked>,
    /// Numbers are equal that differ by no more than this part of the larger
    #[arg(long, value_name = "PART", default_value_t = 1e-6)]
    tolerance: f64,
    /// A member of answers that is not compared, may be repeated: a JSON pointer, `*` for any
    #[arg(long, value_name = "POINTER", default_values = ["/id", "/created", "/system_fingerprint"])]
    ignore: Vec<String>,
    /// Exit with 2 where an answer differs
    #[arg(long)]
    fail_if_different: bool,
    /// Tell the conversation in this request header
    #[arg(long, value_name = "NAME")]
    session_header: Option<HeaderName>,
    /// Request header, may be repeated
    #[arg(short = 'H', value_name = "NAME: VALUE", value_parser = values::header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Most requests in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 512)]
    connections: u16,
    /// HTTP version: 1 or 2 (h2c without TLS)
    #[arg(long, value_enum, default_value = "1")]
    http: run::Version,
    /// Certificate authorities (PEM) for https, the target's and MLflow's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// From a request's intended start to its last byte; later ones are errors
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "5m")]
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

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Recorded file: Azure's arrival traces (.csv), else JSON lines as of Mooncake and AIPerf
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// MLflow's tracking URI: its traces are read back. Credentials: `MLFLOW_TRACKING_TOKEN`, or
    /// `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`
    #[arg(long, value_name = "URI")]
    mlflow: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Checked {
    Status,
    Bytes,
    Json,
    Tokens,
    None,
}

/// Replays, prints what it was like and how the answers compare.
pub(super) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let outputs = args.outputs.open().map_err(Usage)?;
    let fail_if_different = args.fail_if_different;
    let runtime = run::runtime(args.threads)?;
    let trust = args.ca.as_deref().map(Trust::from_pem_file).transpose();
    let trust = trust.map_err(|error| Usage(error.into()))?;
    let read = read(&args, trust.clone(), &runtime)?;
    let skipped = read.skipped.clone();
    let plan = plan(args, read, trust).map_err(Usage)?;
    let bar = run::progress_bar("{wide_bar} {elapsed} {pos}/{len} requests");
    let loops = usize::try_from(plan.selection.loops).unwrap_or(usize::MAX);
    let all = plan.exchanges.len().saturating_mul(loops);
    bar.set_length(u64::try_from(all).unwrap_or(u64::MAX));
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    let replayed = runtime.block_on(replay::replay(&plan, stop, |_, finished| {
        bar.set_position(finished);
    }));
    bar.finish_and_clear();
    let mut replayed: Replayed = replayed.map_err(run::told)?;
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
        "the recorded instants were not kept: {:.1}/s were sent of {:.1}/s",
        load.rate.achieved,
        load.rate.offered.unwrap_or_default()
    );
    if fail_if_different && replayed.answers.differing > 0 {
        return Ok(ExitCode::from(DIFFERENT));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Args, trust: Option<Trust>, runtime: &Runtime) -> anyhow::Result<Read> {
    let chat = chat(args);
    if let Some(path) = &args.source.trace {
        let exchanges = source::read_file(path, &chat);
        let exchanges = exchanges.map_err(|error| Usage(error.into()))?;
        return Ok(Read {
            exchanges,
            ..Read::default()
        });
    }
    let uri = args.source.mlflow.clone().context("a source is needed")?;
    let tracking = Tracking {
        uri,
        authorization: authorization(),
        trust,
    };
    let bar = run::progress_bar("{spinner} {pos} traces read from MLflow");
    let filter = args.mlflow_filter.as_deref();
    let progress = |count| bar.set_position(u64::try_from(count).unwrap_or(u64::MAX));
    let read = tracking.read(&args.experiment, filter, args.limit, progress);
    let read = runtime.block_on(read);
    bar.finish_and_clear();
    Ok(read?)
}

fn chat(args: &Args) -> Chat {
    Chat {
        model: args.model.clone(),
        stream: args.stream,
    }
}

/// As MLflow's own client does: a token, else a name and a password.
fn authorization() -> Option<String> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(token) = set("MLFLOW_TRACKING_TOKEN") {
        return Some(format!("Bearer {token}"));
    }
    let username = set("MLFLOW_TRACKING_USERNAME")?;
    let password = set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
    Some(values::basic(&username, &password))
}

fn plan(args: Args, read: Read, trust: Option<Trust>) -> anyhow::Result<Plan> {
    let chat = chat(&args);
    let is_checked = |kind| args.check.contains(&kind);
    let checks = Checks {
        status: is_checked(Checked::Status),
        bytes: is_checked(Checked::Bytes),
        json: is_checked(Checked::Json),
        tokens: is_checked(Checked::Tokens),
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
    let found = read.exchanges.len();
    let skipped: u64 = read.skipped.values().sum();
    let exchanges = selection.of(read.exchanges);
    ensure!(
        !exchanges.is_empty(),
        "nothing to replay: of {found} exchanges none is selected ({skipped} more could not be used)"
    );
    let headers: HeaderMap = args.headers.into_iter().collect();
    Ok(Plan {
        target: args.url,
        exchanges: exchanges.into(),
        selection,
        chat,
        headers,
        session_header: args.session_header,
        checks,
        http: args.http.into(),
        trust,
        connections: usize::from(args.connections),
        timeout: args.timeout,
        permitted_host: args.i_may_load,
    })
}

fn experiment(text: &str) -> Result<Experiment, String> {
    Ok(match text.strip_prefix("id:") {
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) && !id.is_empty() => {
            Experiment::Id(id.to_owned())
        }
        Some(_) => return Err("not `id:NUMBER`".to_owned()),
        None => Experiment::Name(text.to_owned()),
    })
}
