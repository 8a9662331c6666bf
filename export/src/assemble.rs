//! From a configuration to the parts of a pipeline: destinations, lanes, workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use offpath_config::{CaptureLevel, Config, ExperimentRef, Export, Route, SinkKind, Spool};
use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use crate::OpenError;
use crate::accounting::Account;
use crate::batch::{Batcher, Limits};
use crate::encoder::{Lane, Tokens};
use crate::handle::Destination;
use crate::health::Health;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::outlet::{Backlog, Outlet, Overflow};
use crate::record::Parcel;
use crate::retry::Backoff;
use crate::shelf::Shelf;
use crate::sink::{self, Sink};
use crate::spool::{Name, Root, SpoolError};
use crate::worker::{DiskSide, Hand, Worker};

/// The share of the queue that destinations with a disk may fill together, as its inverse: what
/// is left takes the exchanges that are not encoded yet.
const BACKLOG_SHARE: usize = 4;

/// The part of a destination's share of the disk that is left to refused traces, as its inverse: they
/// may take a sixteenth of what the log may.
const QUOTA_ASIDE: u64 = 17;

/// A sink's name, and the experiment where the sink knows some.
type Key = (Arc<str>, Option<ExperimentRef>);

/// Where batches go: a sink, and the experiment in it. They are made as routes name them.
pub(crate) struct Destinations<'a> {
    export: &'a Export,
    metrics: &'a Metrics,
    draining: watch::Receiver<Option<Instant>>,
    known: BTreeMap<Key, Outlet>,
    /// The spool, and each destination's share of it.
    pub(crate) spool: Option<Disk>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) destinations: Vec<Destination>,
}

/// The spool, while its destinations are opened.
pub(crate) struct Disk {
    pub(crate) root: Root,
    config: Spool,
    quota: u64,
    backlog: (usize, usize),
    /// The accounts of the routes that go to each destination.
    accounts: BTreeMap<Key, Vec<Arc<Account>>>,
}

impl<'a> Destinations<'a> {
    pub(crate) fn new(
        config: &'a Config,
        metrics: &'a Metrics,
        draining: watch::Receiver<Option<Instant>>,
        accounts: &[Arc<Account>],
    ) -> Result<Self, OpenError> {
        let spool = match &config.export.spool {
            Some(spool) => Disk::open(spool, config, accounts)?,
            None => None,
        };
        Ok(Self {
            export: &config.export,
            metrics,
            draining,
            known: BTreeMap::new(),
            spool,
            workers: Vec::new(),
            destinations: Vec::new(),
        })
    }

    /// The lane of a route: the outlets to its destinations, in the order of its sinks.
    pub(crate) fn lane(&mut self, route: &Route) -> Result<Lane, OpenError> {
        let mut outlet = |sink| self.outlet(sink, &route.trace.experiment);
        let outlets = route.sinks.iter().map(&mut outlet);
        let outlets = outlets.collect::<Result<_, _>>()?;
        Ok(Lane {
            outlets,
            tokens: Tokens::new(&route.name, self.metrics),
            judge: Judge::new(&route.sampling.keep_content, Instant::now()),
            keeps_contents: route.capture.level == CaptureLevel::Full,
        })
    }

    fn outlet(&mut self, name: &Arc<str>, experiment: &ExperimentRef) -> Result<Outlet, OpenError> {
        let configured = self.export.sinks.iter().find(|sink| sink.name == *name);
        let kind = &configured
            .ok_or_else(|| OpenError::NoSuchSink(name.to_string()))?
            .kind;
        let experiment = matches!(kind, SinkKind::Mlflow(_)).then(|| experiment.clone());
        let key = (Arc::clone(name), experiment);
        if let Some(outlet) = self.known.get(&key) {
            return Ok(outlet.clone());
        }
        let shelf = self.spool.as_ref().and_then(|disk| {
            let name = Name::new(name, key.1.as_ref());
            disk.shelf(&name, disk.accounts.get(&key)?, self.metrics)
        });
        // The budget's tickets bound all inboxes together; no inbox can be full before them.
        let (sender, inbox) = mpsc::channel(self.export.queue.max_traces.max(1));
        let worker = self.worker(name, kind, key.1.as_ref(), (inbox, shelf.clone()))?;
        let health = Arc::clone(&worker.health);
        let disk = shelf.clone().zip(self.spool.as_ref());
        let outlet = Outlet {
            inbox: sender,
            is_mlflow: matches!(kind, SinkKind::Mlflow(_)),
            disk: disk.map(|(shelf, disk)| Overflow {
                shelf,
                health: Arc::clone(&health),
                backlog: Backlog::new(disk.backlog.0, disk.backlog.1),
            }),
        };
        self.destinations.push(Destination { health, shelf });
        self.workers.push(worker);
        self.known.insert(key, outlet.clone());
        Ok(outlet)
    }

    fn worker(
        &self,
        name: &Arc<str>,
        kind: &SinkKind,
        experiment: Option<&ExperimentRef>,
        (inbox, shelf): (mpsc::Receiver<Parcel>, Option<Arc<Shelf>>),
    ) -> Result<Worker, OpenError> {
        let shown = experiment.map(|experiment| match experiment {
            ExperimentRef::Default => "Default".into(),
            ExperimentRef::Id(given) | ExperimentRef::Name(given) => Arc::clone(given),
        });
        let health = Health::new(Arc::clone(name), sink::target(kind), shown);
        let sink =
            Sink::new(kind, experiment, Arc::clone(&health)).map_err(|source| OpenError::Sink {
                sink: name.to_string(),
                source,
            })?;
        let (batch, retry) = (&self.export.batch, &self.export.retry);
        let limits = Limits {
            max_traces: batch.max_traces,
            max_bytes: batch.max_bytes,
            linger: batch.linger,
        };
        let backoff = Backoff {
            initial: retry.initial,
            max: retry.max,
        };
        Ok(Worker {
            inbox,
            batcher: Batcher::new(limits),
            limits,
            sink,
            health,
            backoff,
            give_up_after: retry.give_up_after,
            draining: self.draining.clone(),
            seconds: self.metrics.export_seconds.with_label_values(&[&**name]),
            disk: shelf.map(|shelf| DiskSide::new(shelf, backoff)),
            hand: Hand::default(),
        })
    }
}

impl Disk {
    /// `None`, and said aloud: the disk cannot be used, which must not keep the proxy from
    /// serving. That another process has it is the operator's mistake, and an error.
    fn open(
        spool: &Spool,
        config: &Config,
        accounts: &[Arc<Account>],
    ) -> Result<Option<Self>, OpenError> {
        let root = match Root::lock(&spool.path) {
            Ok(root) => root,
            Err(error @ SpoolError::InUse(_)) => return Err(error.into()),
            Err(failure) => {
                error!(error = %failure, cause = %Cause(&failure), "The spool is not used; traces wait in memory alone.");
                return Ok(None);
            }
        };
        let mut by_destination: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (route, account) in config.routes.iter().zip(accounts) {
            for sink in config.export.sinks.iter() {
                if route.sinks.contains(&sink.name) {
                    let knows = matches!(sink.kind, SinkKind::Mlflow(_));
                    let experiment = knows.then(|| route.trace.experiment.clone());
                    let key = (Arc::clone(&sink.name), experiment);
                    by_destination
                        .entry(key)
                        .or_default()
                        .push(Arc::clone(account));
                }
            }
        }
        let names: Vec<_> = by_destination
            .keys()
            .map(|(sink, experiment)| Name::new(sink, experiment.as_ref()))
            .collect();
        let foreign = root.foreign_bytes(&names);
        if foreign > 0 {
            warn!(
                bytes = foreign,
                "The spool holds traces for sinks or experiments that no route names; `offpath spool drain` delivers them."
            );
        }
        let count = names.len().max(1);
        let queue = &config.export.queue;
        Ok(Some(Self {
            root,
            config: spool.clone(),
            quota: (spool.max_bytes as u64).saturating_sub(foreign) / count as u64,
            backlog: (
                (queue.max_traces / BACKLOG_SHARE / count).max(1),
                (queue.max_bytes / BACKLOG_SHARE / count).max(1),
            ),
            accounts: by_destination,
        }))
    }

    /// `None`, and said aloud: this destination's folder cannot be used.
    fn shelf(
        &self,
        name: &Name,
        accounts: &[Arc<Account>],
        metrics: &Metrics,
    ) -> Option<Arc<Shelf>> {
        match self.root.log(name, self.quota - self.quota / QUOTA_ASIDE) {
            Ok(opened) => {
                let accounts = accounts.to_vec();
                let when = self.config.when;
                Some(Arc::new(Shelf::open(opened, when, name, accounts, metrics)))
            }
            Err(error) => {
                error!(sink = &*name.sink, %error, "The spool is not used; traces wait in memory alone.");
                None
            }
        }
    }
}

/// The cause of an error in words.
struct Cause<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Cause<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.source() {
            Some(cause) => std::fmt::Display::fmt(cause, out),
            None => out.write_str("none"),
        }
    }
}
