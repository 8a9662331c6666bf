//! From a configuration to the parts of a pipeline: destinations, lanes, workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use offpath_config::{Config, ExperimentRef, Export, Route, SinkKind};
use tokio::sync::{mpsc, watch};

use crate::OpenError;
use crate::batch::{Batcher, Limits};
use crate::encoder::{Lane, Tokens};
use crate::health::Health;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::record::Parcel;
use crate::retry::Backoff;
use crate::sink::{self, Sink};
use crate::worker::Worker;

/// Where batches go: a sink, and the experiment in it. They are made as routes name them.
pub(crate) struct Destinations<'a> {
    export: &'a Export,
    metrics: &'a Metrics,
    draining: watch::Receiver<Option<Instant>>,
    known: BTreeMap<(Arc<str>, Option<ExperimentRef>), mpsc::Sender<Parcel>>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) health: Vec<Arc<Health>>,
}

impl<'a> Destinations<'a> {
    pub(crate) fn new(
        config: &'a Config,
        metrics: &'a Metrics,
        draining: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let (known, workers, health) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self {
            export: &config.export,
            metrics,
            draining,
            known,
            workers,
            health,
        }
    }

    /// The lane of a route: the inboxes of its destinations, in the order of its sinks.
    pub(crate) fn lane(&mut self, route: &Route) -> Result<Lane, OpenError> {
        let mut inbox = |sink| self.inbox(sink, &route.trace.experiment);
        let inboxes = route
            .sinks
            .iter()
            .map(&mut inbox)
            .collect::<Result<_, _>>()?;
        Ok(Lane {
            inboxes,
            tokens: Tokens::new(&route.name, self.metrics),
            judge: Judge::new(&route.sampling.keep_content, Instant::now()),
        })
    }

    fn inbox(
        &mut self,
        name: &Arc<str>,
        experiment: &ExperimentRef,
    ) -> Result<mpsc::Sender<Parcel>, OpenError> {
        let configured = self.export.sinks.iter().find(|sink| sink.name == *name);
        let kind = &configured
            .ok_or_else(|| OpenError::NoSuchSink(name.to_string()))?
            .kind;
        let experiment = matches!(kind, SinkKind::Mlflow(_)).then(|| experiment.clone());
        let key = (Arc::clone(name), experiment);
        if let Some(inbox) = self.known.get(&key) {
            return Ok(inbox.clone());
        }
        // The budget's tickets bound all inboxes together; no inbox can be full before them.
        let (sender, inbox) = mpsc::channel(self.export.queue.max_traces.max(1));
        let worker = self.worker(name, kind, key.1.as_ref(), inbox)?;
        self.health.push(Arc::clone(&worker.health));
        self.workers.push(worker);
        self.known.insert(key, sender.clone());
        Ok(sender)
    }

    fn worker(
        &self,
        name: &Arc<str>,
        kind: &SinkKind,
        experiment: Option<&ExperimentRef>,
        inbox: mpsc::Receiver<Parcel>,
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
        Ok(Worker {
            inbox,
            batcher: Batcher::new(limits),
            sink,
            health,
            backoff: Backoff {
                initial: retry.initial,
                max: retry.max,
            },
            give_up_after: retry.give_up_after,
            draining: self.draining.clone(),
            seconds: self.metrics.export_seconds.with_label_values(&[&**name]),
        })
    }
}
