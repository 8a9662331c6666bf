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
use crate::metrics::{Metrics, register_spool_bytes};
use crate::shelf::Shelf;
use crate::spool::Root;
use crate::{ClientError, Handle, SpoolError, exporter};

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
    /// The spool is in use.
    #[error(transparent)]
    Spool(#[from] SpoolError),
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
    /// On disk for the next start, whenever they came there.
    pub spooled: u64,
}

/// The owner of the background threads. Dropped without [`drain`](Self::drain), it stops at
/// once, and what is pending counts as dropped.
pub struct Pipeline {
    queue: Arc<Queue>,
    encoders: Vec<JoinHandle<()>>,
    exporter: Option<JoinHandle<()>>,
    shelves: Vec<Arc<Shelf>>,
    /// Locked as long as it is here.
    _spool: Option<Root>,
    /// Until when to drain, once that is decided.
    stop: watch::Sender<Option<Instant>>,
}

/// Ends a drain early, from another thread.
#[derive(Clone)]
pub struct Hurry {
    queue: Arc<Queue>,
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
    let accounts = config.routes.iter();
    let accounts = accounts.map(|route| Arc::new(Account::new(route, &metrics)));
    let mut accounts: Vec<_> = accounts.collect();
    let mut destinations = Destinations::new(config, &metrics, stopping.clone(), &accounts)?;
    let lanes = config.routes.iter().map(|route| destinations.lane(route));
    let lanes = lanes.collect::<Result<Arc<[_]>, _>>()?;
    accounts.iter().for_each(|account| account.resume());
    let Destinations {
        workers,
        destinations,
        spool,
        ..
    } = destinations;
    let shelves = destinations.iter().filter_map(|found| found.shelf.clone());
    let shelves: Vec<_> = shelves.collect();
    accounts.extend(shelves.iter().filter_map(|shelf| shelf.other().cloned()));
    register_spool_bytes(registry, shelves.clone())?;
    let queue = Queue::new(budget, accounts, destinations);
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
    let nice = export.encoders.nice;
    let exporter = Some(exporter::spawn(workers, shelves.clone(), nice, stopping)?);
    let encoders = Vec::new();
    // From here on a failure stops what was started, by the pipeline's drop.
    let mut pipeline = Pipeline {
        queue: Arc::clone(&queue),
        encoders,
        exporter,
        shelves,
        _spool: spool.map(|disk| disk.root),
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
    /// goes to the spool; without one it counts as dropped, although a sink may have stored it.
    /// With a spool, a sink that fails is not waited for.
    pub fn drain(mut self, deadline: Duration) -> Drained {
        let before = self.settled();
        self.stop(Instant::now() + deadline);
        let after = self.settled();
        let spooled = self.queue.accounts.iter().map(|account| account.spooled());
        Drained {
            delivered: after.0 - before.0,
            dropped: after.1 - before.1,
            spooled: spooled.sum(),
        }
    }

    /// What ends a drain that is under way.
    pub fn hurry(&self) -> Hurry {
        Hurry {
            queue: Arc::clone(&self.queue),
            stop: self.stop.clone(),
        }
    }

    fn stop(&mut self, at: Instant) {
        self.hurry().stop_at(at);
        // The encoders first: with the last of them the inboxes close, and workers finish.
        let threads = self.encoders.drain(..).chain(self.exporter.take());
        for thread in threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                error!(name, "A background thread panicked.");
            }
        }
        self.queue.sweep();
        // All figures are final now.
        self.shelves.iter().for_each(|shelf| shelf.close());
    }

    /// Exported and dropped so far, over all routes and sinks.
    fn settled(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), account: &Arc<Account>| {
            let (exported, dropped) = account.settled();
            (sum.0 + exported, sum.1 + dropped)
        };
        self.queue.accounts.iter().fold((0, 0), add)
    }
}

impl Hurry {
    /// Sends nothing more from now on: what is left goes to the spool, or is dropped and counted.
    pub fn now(&self) {
        self.stop_at(Instant::now());
    }

    fn stop_at(&self, at: Instant) {
        self.queue.close(at);
        self.stop.send_modify(|before| {
            *before = Some(before.map_or(at, |before| before.min(at)));
        });
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.exporter.is_some() {
            self.stop(Instant::now());
        }
    }
}
