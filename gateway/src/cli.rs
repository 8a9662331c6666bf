//! The command line. The only place that speaks on stdout.
#![expect(clippy::print_stdout, reason = "a command line answers on stdout")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use offpath_config::{Config, Env};
use tracing::{info, warn};

use crate::serve::Serving;
use crate::{demo, explain, health, log, serve, spool};

/// Exit code for a command or configuration that is wrong (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// A reverse proxy that traces model serving to MLflow, off the critical path.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM or SIGINT.
    Run(ConfigFile),
    /// Check a configuration and print what it costs.
    Validate(Validate),
    /// Say what would become of a request: its route, whether it is kept and why, whose it is.
    Explain(Explain),
    /// See it work: a model endpoint, offpath before it, traffic, and a real MLflow.
    Demo(demo::Options),
    /// Judge the traces of the last while, as an MLflow server has them, for cron.
    ///
    /// Exits with 0 where all is healthy, 1 where a threshold is breached, and 2 where nothing can
    /// be told: MLflow does not answer, or it has too few traces of all routes together. A route
    /// that has no traffic yet is reported as such, and the others are judged without it.
    Health(health::Options),
    /// Look at the traces on disk, or get them out.
    #[command(subcommand)]
    Spool(spool::Command),
    /// Print the JSON Schema of the configuration.
    Schema,
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(long, env = "OFFPATH_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    asked: explain::Options,
}

#[derive(Debug, Args)]
struct Validate {
    #[command(flatten)]
    file: ConfigFile,
    /// Traffic to state the sinks' load for, in requests per second.
    #[arg(long, default_value_t = 100.0)]
    rps: f64,
    /// Bytes of request and response bodies per exchange.
    #[arg(long, default_value_t = 20_000)]
    body_bytes: u64,
}

/// Runs a command to its exit code.
pub fn main(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run(file) => with_config(&file, run),
        Command::Validate(validate) => {
            with_config(&validate.file, |config| describe(config, &validate))
        }
        Command::Explain(Explain { file, asked }) => {
            with_config(&file, |config| explain(config, &asked))
        }
        Command::Demo(options) => or_fail(demo::run(options)),
        Command::Health(options) => health(&options),
        Command::Spool(command) => or_fail(spool::run(command)),
        Command::Schema => {
            println!("{}", offpath_config::schema());
            ExitCode::SUCCESS
        }
    }
}

fn with_config(file: &ConfigFile, command: impl FnOnce(&Config) -> ExitCode) -> ExitCode {
    match Config::load(&file.config, &Env::from_process()) {
        Ok(config) => command(&config),
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(config: &Config) -> ExitCode {
    log::start(&config.log);
    for warning in &config.warnings {
        warn!("{warning}");
    }
    match serve::serve(config, Serving::default()) {
        Ok(drained) => {
            info!(?drained, "offpath has stopped.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("offpath: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn explain(config: &Config, asked: &explain::Options) -> ExitCode {
    match explain::explain(config, asked) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("offpath: {error:#}");
            ExitCode::from(USAGE)
        }
    }
}

fn health(options: &health::Options) -> ExitCode {
    let report = health::examine(options);
    match report {
        Ok(report) => {
            println!("{}", report.show(options.json));
            ExitCode::from(report.verdict().exit_code())
        }
        Err(error) => {
            eprintln!("offpath: cannot tell: {error:#}");
            ExitCode::from(health::Verdict::Unknown.exit_code())
        }
    }
}

fn or_fail(ran: anyhow::Result<ExitCode>) -> ExitCode {
    ran.unwrap_or_else(|error| {
        eprintln!("offpath: {error:#}");
        ExitCode::FAILURE
    })
}

/// What `validate` says of a configuration that is right.
fn describe(config: &Config, traffic: &Validate) -> ExitCode {
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    let bound = config.memory_bound();
    println!(
        "memory: at most {} of buffers",
        mebibytes(bound.total_bytes())
    );
    for part in &bound.parts {
        println!(
            "  {:>12}  {}: {}",
            mebibytes(part.bytes),
            part.name,
            part.because
        );
    }
    if let Some(spool) = &config.export.spool {
        println!(
            "disk: at most {} in `{}`, in equal shares for {} destinations",
            mebibytes(spool.max_bytes as u64),
            spool.path.display(),
            config.destinations(),
        );
    }
    let (rps, body_bytes) = (traffic.rps, traffic.body_bytes);
    println!(
        "sinks at {rps} requests/s of {body_bytes} bytes, all on the route that loads them most:"
    );
    for load in config.sink_load(rps, body_bytes) {
        println!(
            "  {}: {:.1} traces/s, {}/s, {}/day",
            load.sink,
            load.traces_per_second,
            mebibytes(load.bytes_per_second as u64),
            mebibytes(load.bytes_per_day as u64),
        );
    }
    println!("the configuration is valid");
    ExitCode::SUCCESS
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
