//! The command line: arguments become a plan, and the result of the plan an exit code.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | success |
//! | 1 | the target was down, every request failed, the rate was not reached, or a system call failed |
//! | 2 | a `--fail-if` condition is met, or `--fail-if-different` found a difference |
//! | 3 | a `--fail-if` condition cannot be decided |
//! | 64 | the arguments or the input files are invalid (`EX_USAGE` of sysexits.h) |

mod body;
mod case;
mod compare;
mod connect;
mod outputs;
mod progress;
mod replay;
mod run;
mod upstream;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const USAGE: u8 = 64;

/// A black-box load tester, and a model endpoint to aim it at
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

/// The arguments, or a file they name, are invalid: exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Usage(anyhow::Error);

pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // A failed write must not change the exit code.
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
