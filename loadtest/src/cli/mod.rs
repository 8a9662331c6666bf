//! The command line: arguments to a plan, a plan to an exit code.
//!
//! Exit codes: 0; 1 when the target was down, every request failed, the rate was not
//! reached, or the system refused; 2 when a
//! condition that was to fail the command holds, 3 when it cannot be decided; 64 when what was asked
//! cannot be (`EX_USAGE` of sysexits).

mod body;
mod case;
mod compare;
mod outputs;
mod replay;
mod run;
mod upstream;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const USAGE: u8 = 64;

/// Load from outside, and a model endpoint to aim it at.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compare(Box<compare::Args>),
    Replay(Box<replay::Args>),
    Run(Box<run::Args>),
    Upstream(Box<upstream::Args>),
}

/// What was asked cannot be: exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Usage(anyhow::Error);

pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // A closed terminal is no reason for another exit code.
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    let done = match cli.command {
        Command::Compare(args) => compare::main(*args),
        Command::Replay(args) => replay::main(*args),
        Command::Run(args) => run::main(*args),
        Command::Upstream(args) => upstream::main(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("loadtest: {error:#}");
        ExitCode::from(if error.is::<Usage>() { USAGE } else { 1 })
    })
}
