//! The `offpath` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    offpath::main(offpath::Cli::parse())
}
