//! `offpath health`: figures of the traces of the last while, weighted, against thresholds.
//!
//! A trace that stands for many exchanges, since only a share is kept, counts as that many
//! (`offpath.weight`), so what comes out is true of all traffic and not of what rules keep of it.
//! Where the weight is unknown, as under a rate cap, a trace counts once, and the report says how
//! many such there are.

mod fetch;
mod figures;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use offpath_config::{Config, Env, MlflowSink, SinkKind};

use self::report::{Report, Thresholds};

pub(crate) use self::report::Verdict;

/// Stands for a configuration where none is named: the sink is then the environment's.
const NO_CONFIG: &str = "\
listeners: [{address: 127.0.0.1:1}]
upstreams: {none: {endpoints: [\"http://127.0.0.1:1\"]}}
routes: [{name: none, upstream: none}]
";

/// What is looked at, and what it must keep to.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The configuration, for its MLflow sink and experiments; without one, MLflow's environment
    /// variables say which.
    #[arg(long, env = "OFFPATH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The sink to read from; the first MLflow sink by default.
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// An experiment, by name or id, as often as needed; all those of the sink's routes by
    /// default. One that is named here has to exist; one of a route that does not exist yet has
    /// no traffic, which the report says, and the others are judged.
    #[arg(long = "experiment", value_name = "NAME")]
    experiments: Vec<String>,
    /// How far to look back.
    #[arg(long, default_value = "1h", value_parser = duration, value_name = "TIME")]
    window: Duration,
    /// More of MLflow's filter, as `tag.environment = 'production'`.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Judge each of these apart: route, user, session, or tag:KEY.
    #[arg(long, value_name = "KEY")]
    by: Option<fetch::Key>,
    #[command(flatten)]
    thresholds: Thresholds,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    offpath_config::parse_duration(text)
}

/// Reads and judges.
pub(crate) fn examine(options: &Options) -> anyhow::Result<Report> {
    let config = config(options)?;
    let sink = sink(&config, options.sink.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let search = fetch::Search {
        config: &config,
        sink,
        experiments: &options.experiments,
        window: options.window,
        filter: options.filter.as_deref(),
        by: options.by.as_ref(),
    };
    let found = runtime.block_on(search.run())?;
    Ok(Report::of(found, options.window, &options.thresholds))
}

fn config(options: &Options) -> anyhow::Result<Config> {
    let env = Env::from_process();
    let config = match &options.config {
        Some(file) => Config::load(file, &env),
        None => Config::parse(NO_CONFIG, "the environment", &env),
    };
    config.map_err(|errors| anyhow::anyhow!("{errors}"))
}

/// The sink's name and settings.
fn sink<'a>(config: &'a Config, name: Option<&str>) -> anyhow::Result<(&'a str, &'a MlflowSink)> {
    let mut sinks = config
        .export
        .sinks
        .iter()
        .filter_map(|sink| match &sink.kind {
            SinkKind::Mlflow(mlflow) => Some((&*sink.name, mlflow)),
            SinkKind::Otlp(_) => None,
        });
    match name {
        Some(name) => sinks
            .find(|(found, _)| *found == name)
            .with_context(|| format!("there is no MLflow sink `{name}`")),
        None => sinks.next().context("there is no MLflow sink to read from"),
    }
}
