//! The background as a whole: opened from a configuration, drained at shutdown.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use offpath_config::Config;
use prometheus::Registry;
use tokio::sync::watch;
use tracing::error;

use crate::accounting::Account;
use crate::assemble::Destinations;
use crate::budget::Budget;
use crate::encoder::{Decode, Encoder};
use crate::handle::Queue;
use crate::metrics::Metrics;
use crate::{ClientError, Handle, exporter};

/// Why the background could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A metric of this crate is registered already.
    #[error("cannot register the export's metrics")]
    Metrics(#[from] prometheus::Error),
    /// A route names a sink that is not there. A checked configuration has none such.
    #[error("there is no sink `{0}`")]
    NoSuchSink(String),
    /// A sink cannot be spoken to, whatever its server does.
    #[error("sink `{sink}`")]
    Sink {
        /// Its name.
        sink: String,
        /// The cause.
        source: ClientError,
    },
    /// The system gave no thread.
    #[error("cannot start a background thread")]
    Thread(#[from] io::Error),
}

/// What a [`Pipeline::drain`] did, in traces per sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Confirmed by a sink while draining.
    pub delivered: u64,
    /// Dropped while draining, for whatever reason.
    pub dropped: u64,
}

/// The owner of the background threads. Dropped without [`drain`](Self::drain), it stops at
/// once, and what is pending counts as dropped.
pub struct Pipeline {
    queue: Arc<Queue>,
    encoders: Vec<JoinHandle<()>>,
    exporter: Option<JoinHandle<()>>,
    /// Until when to drain, once that is decided.
    stop: watch::Sender<Option<Instant>>,
}

/// Opens the background for a configuration: registers its metrics, reads the CA files of its
/// sinks and starts its threads. No sink is spoken to before there is a trace for it.
///
/// # Errors
/// See [`OpenError`].
pub fn open(config: &Config, registry: &Registry) -> Result<(Handle, Pipeline), OpenError> {
    open_with(config, registry, offpath_trace::decode)
}

pub(crate) fn open_with(
    config: &Config,
    registry: &Registry,
    decode: Decode,
) -> Result<(Handle, Pipeline), OpenError> {
    let export = &config.export;
    let budget = Budget::new(export.queue.max_traces, export.queue.max_bytes);
    let metrics = Metrics::register(registry, &budget)?;
    let (stop, stopping) = watch::channel(None);
    let mut destinations = Destinations::new(config, &metrics, stopping.clone());
    let lanes = config.routes.iter().map(|route| destinations.lane(route));
    let lanes = lanes.collect::<Result<Arc<[_]>, _>>()?;
    let Destinations {
        workers, health, ..
    } = destinations;
    let accounts = config
        .routes
        .iter()
        .map(|route| Account::new(route, &metrics))
        .collect();
    let queue = Queue::new(budget, accounts, health);
    let encoder = Encoder {
        queue: Arc::clone(&queue),
        lanes,
        decode,
        trace_bytes_max: export.batch.max_trace,
        nice: export.encoders.nice,
        seconds: metrics.encode_seconds,
        defects: metrics.defects,
        redactions: metrics.redactions,
    };
    let exporter = Some(exporter::spawn(workers, export.encoders.nice, stopping)?);
    let encoders = Vec::new();
    // From here on a failure stops what was started, by the pipeline's drop.
    let mut pipeline = Pipeline {
        queue: Arc::clone(&queue),
        encoders,
        exporter,
        stop,
    };
    for index in 0..export.encoders.threads.max(1) {
        let thread = Builder::new().name(format!("offpath-encode-{index}"));
        let encoder = encoder.clone();
        pipeline.encoders.push(thread.spawn(move || encoder.run())?);
    }
    queue.attach(
        pipeline
            .encoders
            .iter()
            .map(|thread| thread.thread().clone())
            .collect(),
    );
    Ok((Handle::new(queue), pipeline))
}

impl Pipeline {
    /// Takes no more offers, delivers what is pending without waiting for company, and returns
    /// by about the deadline, also where a sink is dead or hangs. What is not confirmed by then
    /// counts as dropped, although a sink may have stored it.
    pub fn drain(mut self, deadline: Duration) -> Drained {
        let before = self.settled();
        self.stop(Instant::now() + deadline);
        let after = self.settled();
        Drained {
            delivered: after.0 - before.0,
            dropped: after.1 - before.1,
        }
    }

    fn stop(&mut self, at: Instant) {
        self.queue.close(at);
        self.stop.send_replace(Some(at));
        // The encoders first: with the last of them the inboxes close, and workers finish.
        let threads = self.encoders.drain(..).chain(self.exporter.take());
        for thread in threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                error!(name, "A background thread panicked.");
            }
        }
        self.queue.sweep();
    }

    /// Exported and dropped so far, over all routes and sinks.
    fn settled(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), account: &Account| {
            let (exported, dropped) = account.settled();
            (sum.0 + exported, sum.1 + dropped)
        };
        self.queue.accounts.iter().fold((0, 0), add)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.exporter.is_some() {
            self.stop(Instant::now());
        }
    }
}
