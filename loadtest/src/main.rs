//! `loadtest`: load from outside, and a model endpoint to aim it at.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
