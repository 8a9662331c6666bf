//! The background, opened as the gateway opens it, with a sink of the bench's choice.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use offpath_config::{Config, Env};
use offpath_export::{Handle, Pipeline, open};
use offpath_trace::Exchange;
use prometheus::Registry;

use crate::clock::cpu_time;

/// Names of the encoder's thread and of the exporter's, as the kernel cuts them.
pub const ENCODER: &str = "offpath-encode";
/// See [`ENCODER`].
pub const EXPORTER: &str = "offpath-export";

/// An open background with one route and one MLflow sink.
pub struct Background {
    handle: Handle,
    pipeline: Pipeline,
}

/// What one route's traces came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Confirmed by the sink.
    pub exported: u64,
    /// Lost, for whatever reason.
    pub dropped: u64,
}

impl Background {
    /// Everything as a configuration without an `export` section has it, but for the sink and
    /// for `batch` (a YAML flow mapping).
    ///
    /// # Errors
    /// As [`open`].
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
        // A thread takes its name when it first runs.
        let deadline = Instant::now() + Duration::from_secs(10);
        for name in [ENCODER, EXPORTER] {
            while cpu_time(name).is_err() && Instant::now() < deadline {
                sleep(Duration::from_millis(1));
            }
        }
        Ok(Self { handle, pipeline })
    }

    /// The request path's door.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Offers them, waits until the sink has all, and says how long the encoder ran meanwhile.
    ///
    /// # Errors
    /// When that takes a minute, or a trace is lost.
    pub fn encode(&self, exchanges: Vec<Exchange>) -> anyhow::Result<Duration> {
        let before = cpu_time(ENCODER)?;
        exchanges.into_iter().for_each(|one| self.handle.offer(one));
        self.rest()?;
        ensure!(self.account().dropped == 0, "traces were dropped");
        Ok(cpu_time(ENCODER)?.saturating_sub(before))
    }

    /// Waits until nothing is pending.
    ///
    /// # Errors
    /// When that takes a minute.
    pub fn rest(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.handle.status().queue.traces > 0 {
            ensure!(Instant::now() < deadline, "traces are pending for a minute");
            sleep(Duration::from_millis(1));
        }
        // The threads park right after the last trace is settled.
        sleep(Duration::from_millis(2));
        Ok(())
    }

    /// What became of the traces so far.
    pub fn account(&self) -> Account {
        let status = self.handle.status();
        let sinks = || status.routes.iter().flat_map(|route| &route.sinks);
        Account {
            exported: sinks().map(|sink| sink.exported).sum(),
            dropped: sinks().flat_map(|sink| sink.dropped.values()).sum(),
        }
    }

    /// Stops it.
    pub fn close(self) {
        self.pipeline.drain(Duration::from_secs(5));
    }
}
