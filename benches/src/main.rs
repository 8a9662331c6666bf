//! The measured side of the scripts in this folder: prints one JSON object on stdout.
#![expect(clippy::print_stdout, reason = "the scripts read its stdout")]

mod costs;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Calls a piece of the request path so often, for Callgrind to count
    Path(costs::path::Options),
    /// CPU time of the background's threads per kept exchange, into a stub sink
    Background(costs::background::Options),
    /// Traces per second into a real MLflow: a bare client against the exporter
    MlflowRate(costs::mlflow_rate::Options),
    /// A sink that answers 200 at once; prints its address and runs until it is killed
    StubSink,
}

/// The product's own, so that counts are those of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let found = match Cli::parse().command {
        Command::Path(options) => costs::path::run(&options)?,
        Command::Background(options) => costs::background::run(&options)?,
        Command::MlflowRate(options) => costs::mlflow_rate::run(&options)?,
        Command::StubSink => {
            let sink = offpath_benches::stub_sink::StubSink::start()?;
            println!("{}", sink.uri());
            loop {
                std::thread::park();
            }
        }
    };
    println!("{found}");
    Ok(())
}
