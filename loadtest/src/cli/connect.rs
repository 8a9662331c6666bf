//! The options that every load-generating command shares: how to reach the target.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue};
use offpath_loadtest::client::{Http, Trust};
use offpath_loadtest::run;
use offpath_loadtest::units;
use tokio::runtime::Runtime;

use super::{Usage, values};

/// The id of `--timeout`, for commands with another default.
pub(super) const TIMEOUT: &str = "timeout";

/// How requests are sent, and to which hosts.
#[derive(Debug, clap::Args)]
pub(super) struct ConnectArgs {
    /// Request header; can be repeated
    #[arg(short = 'H', value_name = "NAME: VALUE", value_parser = values::header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// HTTP version: 1, or 2 (h2c without TLS)
    #[arg(long, value_enum, default_value = "1")]
    http: HttpVersion,
    /// PEM file of certificate authorities for https
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Time allowed from a request's intended start to the last byte of its response; slower
    /// requests count as errors
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "30s")]
    pub(super) timeout: Duration,
    /// Allow load on this host, as named in the URL, although it is not this machine
    #[arg(long, value_name = "HOST")]
    pub(super) i_may_load: Option<String>,
    /// Threads that send and receive [default: half the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HttpVersion {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

impl ConnectArgs {
    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.iter().cloned().collect()
    }

    pub(super) fn http(&self) -> Http {
        match self.http {
            HttpVersion::One => Http::One,
            HttpVersion::Two => Http::Two,
        }
    }

    /// Reads the file of certificate authorities, if one was given.
    pub(super) fn trust(&self) -> anyhow::Result<Option<Trust>> {
        Ok(self.ca.as_deref().map(Trust::from_pem_file).transpose()?)
    }

    /// Starts the runtime. Unless `--threads` is given it uses half the cores: the target mostly
    /// runs on the same machine and needs the other half.
    pub(super) fn runtime(&self) -> anyhow::Result<Runtime> {
        let half = || thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.threads.map_or_else(half, usize::from))
            .enable_all()
            .build()
            .context("cannot start the runtime")
    }
}

/// Sorts an error of a run into usage errors (exit code 64) and failures (exit code 1).
pub(super) fn run_error(error: run::Error) -> anyhow::Error {
    match error {
        run::Error::Thread(_) | run::Error::Down(_) => error.into(),
        run::Error::Refused(_) | run::Error::Request(_) => Usage(error.into()).into(),
    }
}
