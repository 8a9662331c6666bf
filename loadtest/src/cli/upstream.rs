//! `loadtest upstream`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use offpath_loadtest::units;
use offpath_loadtest::upstream::{Behaviour, Distribution, Identity, Server, ceiling};
use tokio::signal::unix::{SignalKind, signal};

use super::{Usage, values};

/// Serve a model endpoint to test against: chat with streaming, DataFrame scoring, echo. HTTP/1.1
/// and h2c, or both over TLS.
///
/// What a request asks for by header (x-tokens, x-gap-us, x-delay-us, x-spin-us, x-status,
/// x-stall-ms, x-cut-after; or as a query key without the x-) it gets; the rest is drawn as the
/// options say. DURATION is `0`, `20ms`, `uniform:10ms..30ms`, `exp:20ms`, `lognormal:20ms,0.5` or
/// `quantiles:50=20ms,90=40ms,99=200ms`; RATE is `1%` or `0.01`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// From a request's last byte to the answer's head
    #[arg(long, value_name = "DURATION", default_value = "0")]
    latency: Distribution,
    /// Between two events of a stream
    #[arg(long, value_name = "DURATION", default_value = "2ms")]
    gap: Distribution,
    /// Tokens of a chat's answer
    #[arg(long, value_name = "N", default_value_t = 32)]
    tokens: usize,
    /// The part of answers that are errors
    #[arg(long, value_name = "RATE", value_parser = values::part, default_value = "0")]
    error_rate: f64,
    /// Their status
    #[arg(long, value_name = "STATUS", default_value = "500")]
    error_status: StatusCode,
    /// The part of answers that fall silent after their first piece
    #[arg(long, value_name = "RATE", value_parser = values::part, default_value = "0")]
    stall_rate: f64,
    /// For how long
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "5s")]
    stall: Duration,
    /// The part of answers that are cut in their body
    #[arg(long, value_name = "RATE", value_parser = values::part, default_value = "0")]
    cut_rate: f64,
    /// Within how many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1000)]
    cut_within: u64,
    /// Seed of everything drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Certificates (PEM) for TLS, the endpoint's own first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Measure for so long what it can take, and state it, before it listens
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    ceiling: Option<Duration>,
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let identity = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => Some(Identity::from_pem_files(certificates, key)),
        _ => None,
    };
    let identity = identity.transpose().map_err(|error| Usage(error.into()))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut stdout = std::io::stdout();
        if let Some(duration) = args.ceiling {
            write!(stdout, "{}", ceiling(duration).await?)?;
        }
        let server = Server::start_with(args.listen, behaviour(args), identity).await;
        let server = server.with_context(|| format!("cannot listen on `{}`", args.listen))?;
        writeln!(stdout, "listening on {}", server.url(""))?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminated.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn behaviour(args: &Args) -> Behaviour {
    Behaviour {
        latency: args.latency.clone(),
        gap: args.gap.clone(),
        tokens: args.tokens,
        errors: (args.error_rate, args.error_status),
        stalls: (args.stall_rate, args.stall),
        cuts: (args.cut_rate, args.cut_within),
        seed: args.seed,
    }
}
