//! The measured program of the scripts in `benches/scripts`. It prints one JSON object on stdout.
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
    /// Call one part of the request path repeatedly, for Callgrind to count
    Path(costs::path::Options),
    /// Measure the CPU time of the background threads per kept exchange, into a stub sink
    Background(costs::background::Options),
    /// Measure the traces per second into a real MLflow, of a bare client and of the exporter
    MlflowRate(costs::mlflow_rate::Options),
    /// Run a sink that responds with 200 at once; prints its address and runs until it is killed
    StubSink,
}

/// The allocator of the product, so that the counts apply to the product.
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
