//! The `loadtest` binary: a load generator, and a model endpoint to aim it at.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
