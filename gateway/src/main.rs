//! The `offpath` binary.

use std::process::ExitCode;

use clap::Parser;

/// A kept exchange is allocated on a request's thread and freed on an encoder's: of that,
/// glibc's allocator makes twice the work (`benches/scripts/instructions.py`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    offpath::main(offpath::Cli::parse())
}
