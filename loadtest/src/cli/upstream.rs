//! `loadtest upstream`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use offpath_loadtest::upstream::Server;
use tokio::signal::unix::{SignalKind, signal};

/// Serve a model endpoint to test against: chat with streaming, DataFrame scoring, echo, faults by
/// header (x-tokens, x-gap-us, x-delay-us, x-spin-us, x-status, x-stall-ms, x-cut-after). HTTP/1.1 and h2c.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let server = Server::start(args.listen).await;
        let server = server.with_context(|| format!("cannot listen on `{}`", args.listen))?;
        writeln!(std::io::stdout(), "listening on {}", server.url(""))?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminated.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}
