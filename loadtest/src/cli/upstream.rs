//! The command `loadtest upstream`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use offpath_loadtest::units;
use offpath_loadtest::upstream::{
    Behaviour, CutFault, Distribution, ErrorFault, Identity, Server, StallFault, ceiling,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{Usage, values};

/// Serve a model endpoint for tests: chat with streaming, DataFrame scoring, echo.
///
/// The endpoint speaks HTTP/1.1 and h2c, or both versions over TLS.
///
/// A request can set its own timing and faults with headers (x-tokens, x-gap-us, x-delay-us,
/// x-spin-us, x-status, x-stall-ms, x-cut-after) or with query keys (the same without x-); these
/// options apply to the rest. DURATION is `0`, `20ms`, `uniform:10ms..30ms`, `exp:20ms`,
/// `lognormal:20ms,0.5` or `quantiles:50=20ms,90=40ms,99=200ms`; RATE is `1%` or `0.01`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Delay between a request's last byte and the response head
    #[arg(long, value_name = "DURATION", default_value = "0")]
    latency: Distribution,
    /// Gap between two events of a stream
    #[arg(long, value_name = "DURATION", default_value = "2ms")]
    gap: Distribution,
    /// Tokens in a chat response
    #[arg(long, value_name = "N", default_value_t = 32)]
    tokens: usize,
    /// Fraction of responses that are errors
    #[arg(long, value_name = "RATE", value_parser = values::fraction, default_value = "0")]
    error_rate: f64,
    /// Status of those errors
    #[arg(long, value_name = "STATUS", default_value = "500")]
    error_status: StatusCode,
    /// Fraction of responses that stall after their first chunk
    #[arg(long, value_name = "RATE", value_parser = values::fraction, default_value = "0")]
    stall_rate: f64,
    /// How long a stall lasts
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "5s")]
    stall: Duration,
    /// Fraction of responses whose connection is closed within the body
    #[arg(long, value_name = "RATE", value_parser = values::fraction, default_value = "0")]
    cut_rate: f64,
    /// Maximum body bytes before the connection is closed
    #[arg(long, value_name = "BYTES", default_value_t = 1000)]
    cut_within: u64,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// PEM file with the certificate chain for TLS, the server's own certificate first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Before listening, measure for this long how many requests per second the endpoint handles
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    ceiling: Option<Duration>,
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let identity = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => {
            Some(Identity::from_pem_files(certificates, key).map_err(|error| Usage(error.into()))?)
        }
        _ => None,
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut stdout = std::io::stdout();
        if let Some(duration) = args.ceiling {
            write!(stdout, "{}", ceiling(duration).await?)?;
        }
        let server = Server::start_with(args.listen, behaviour(args), identity)
            .await
            .with_context(|| format!("cannot listen on `{}`", args.listen))?;
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
        errors: ErrorFault {
            rate: args.error_rate,
            status: args.error_status,
        },
        stalls: StallFault {
            rate: args.stall_rate,
            duration: args.stall,
        },
        cuts: CutFault {
            rate: args.cut_rate,
            bytes_max: args.cut_within,
        },
        seed: args.seed,
    }
}
