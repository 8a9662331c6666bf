//! The export pipeline, opened as the gateway opens it, with a sink chosen by the bench.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use offpath_config::{Config, Env};
use offpath_export::{Handle, Pipeline, open};
use offpath_trace::Exchange;
use prometheus::Registry;

use crate::clock::cpu_time;

/// Name of the encoder's thread. The kernel truncates thread names to 15 bytes.
pub const ENCODER: &str = "offpath-encode";
/// Name of the exporter's thread.
pub const EXPORTER: &str = "offpath-export";

/// An open export pipeline with one route and one MLflow sink.
pub struct Background {
    handle: Handle,
    pipeline: Pipeline,
}

/// Counts of the traces offered so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Number of traces confirmed by the sink.
    pub exported: u64,
    /// Number of traces dropped for any reason.
    pub dropped: u64,
}

impl Background {
    /// Opens the pipeline with the default configuration, except for the sink and for `batch`, a
    /// YAML flow mapping.
    ///
    /// # Errors
    /// When `batch` is invalid, or the pipeline cannot be opened.
    pub fn open(tracking_uri: &str, batch: &str) -> anyhow::Result<Self> {
        let yaml = format!(
            "listeners: [{{address: \"127.0.0.1:8080\"}}]
upstreams: {{model: {{endpoints: [\"http://127.0.0.1:9000\"]}}}}
routes: [{{name: bench, match: {{path_prefix: /}}, upstream: model}}]
export:
  sinks: {{mlflow: {{type: mlflow, tracking_uri: \"{tracking_uri}\"}}}}
  queue: {{max_bytes: 256MiB}}
  batch: {batch}
"
        );
        let config = Config::parse(&yaml, "benches.yaml", &Env::default());
        let config = config.map_err(|errors| anyhow::anyhow!("{errors}"))?;
        let (handle, pipeline) = open(&config, &Registry::new()).context("cannot open")?;
        // A thread sets its name when it first runs.
        let deadline = Instant::now() + Duration::from_secs(10);
        for name in [ENCODER, EXPORTER] {
            while cpu_time(name).is_err() && Instant::now() < deadline {
                sleep(Duration::from_millis(1));
            }
        }
        Ok(Self { handle, pipeline })
    }

    /// The handle that the request path offers exchanges to.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Offers the exchanges, waits until the sink has confirmed all traces, and returns the CPU time
    /// of the encoder meanwhile.
    ///
    /// # Errors
    /// When that takes more than a minute, or a trace is dropped.
    pub fn encode(&self, exchanges: Vec<Exchange>) -> anyhow::Result<Duration> {
        let before = cpu_time(ENCODER)?;
        for exchange in exchanges {
            self.handle.offer(exchange);
        }
        self.rest()?;
        ensure!(self.account().dropped == 0, "traces were dropped");
        Ok(cpu_time(ENCODER)?.saturating_sub(before))
    }

    /// Waits until no trace is pending.
    ///
    /// # Errors
    /// When that takes more than a minute.
    pub fn rest(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.handle.status().queue.traces > 0 {
            ensure!(
                Instant::now() < deadline,
                "traces are still pending after a minute"
            );
            sleep(Duration::from_millis(1));
        }
        // The threads park right after the last trace is settled.
        sleep(Duration::from_millis(2));
        Ok(())
    }

    /// Counts the traces exported and dropped so far.
    pub fn account(&self) -> Account {
        let status = self.handle.status();
        let sinks = || status.routes.iter().flat_map(|route| &route.sinks);
        Account {
            exported: sinks().map(|sink| sink.exported).sum(),
            dropped: sinks().flat_map(|sink| sink.dropped.values()).sum(),
        }
    }

    /// Stops the pipeline.
    pub fn close(self) {
        self.pipeline.drain(Duration::from_secs(5));
    }
}
