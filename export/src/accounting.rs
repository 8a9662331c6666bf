//! What became of every kept trace, per route and sink.
//!
//! Promise: whenever nothing is in motion, kept = exported + dropped + pending. It holds by
//! construction: a trace that is past the queue has one [`Claim`] per sink, and a claim ends
//! exactly once, at the latest when it is let go of. The counters are the metrics themselves,
//! so `/metrics` and `/status` cannot disagree. With a spool they go on where the process
//! before left them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use offpath_config::Route;
use offpath_trace::KeptBecause;
use prometheus::{IntCounter, IntCounterVec};

use crate::degrade::Counters;
use crate::ledger::{Claim, KeptBy, Ledger};
use crate::metrics::Metrics;
use crate::status::RouteStatus;

/// Why a kept trace never reached a sink, as in `offpath_traces_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// `queue.max_traces` traces were waiting already.
    QueueFull,
    /// `queue.max_bytes` would have been passed, by the exchange or by its encoded form.
    QueueBytes,
    /// Decoding or encoding panicked: a bug of offpath's, which cost this trace alone.
    EncodePanic,
    /// Even without its contents the trace is larger than `batch.max_trace`.
    TooLarge,
    /// The sink refused this very trace, alone in its request.
    Rejected,
    /// The sink did not take it within `retry.give_up_after`.
    GaveUp,
    /// offpath stopped before the sink had confirmed it.
    Shutdown,
    /// What the spool held of it was damaged.
    SpoolDamaged,
    /// An earlier process with this spool died while it had the trace in memory alone.
    Crash,
}

impl DropReason {
    /// Every reason there is.
    pub const ALL: [Self; 9] = [
        Self::QueueFull,
        Self::QueueBytes,
        Self::EncodePanic,
        Self::TooLarge,
        Self::Rejected,
        Self::GaveUp,
        Self::Shutdown,
        Self::SpoolDamaged,
        Self::Crash,
    ];

    /// As in the metrics and in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueBytes => "queue_bytes",
            Self::EncodePanic => "encode_panic",
            Self::TooLarge => "too_large",
            Self::Rejected => "rejected",
            Self::GaveUp => "gave_up",
            Self::Shutdown => "shutdown",
            Self::SpoolDamaged => "spool_damaged",
            Self::Crash => "crash",
        }
    }
}

/// Why traces were kept that an earlier process wrote after it last saved its books.
const UNKNOWN: &str = "unknown";

/// The route of traces whose own route is gone from the configuration.
const OTHER: &str = "other";

/// The books of one route.
#[derive(Debug)]
pub(crate) struct Account {
    route: Arc<str>,
    kept: Kept,
    not_kept: IntCounter,
    undecided_dropped: IntCounter,
    /// What the counters of kept traces began with.
    kept_before: OnceLock<KeptBy>,
    ledgers: Vec<Arc<Ledger>>,
    pub(crate) degraded: Counters,
}

/// Exchanges kept, by the reason.
#[derive(Debug)]
struct Kept {
    /// By this process.
    all: IntCounter,
    family: IntCounterVec,
    route: Arc<str>,
    /// In the order of [`KeptBecause::ALL`]; each resolved when first seen, as few are in use.
    by_reason: [OnceLock<IntCounter>; KeptBecause::ALL.len()],
}

impl Account {
    pub(crate) fn new(route: &Route, metrics: &Metrics) -> Self {
        Self::of(&route.name, &route.sinks, metrics)
    }

    /// The books of routes that the configuration does not have any more, at one destination.
    pub(crate) fn other(sink: &Arc<str>, experiment: Option<&str>, metrics: &Metrics) -> Self {
        let route = match experiment {
            None => OTHER.into(),
            Some(experiment) => format!("{OTHER} ({experiment})").into(),
        };
        Self::of(&route, std::slice::from_ref(sink), metrics)
    }

    fn of(route: &Arc<str>, sinks: &[Arc<str>], metrics: &Metrics) -> Self {
        let decision = |decision| {
            let labels = [&**route, decision];
            metrics.exchanges.with_label_values(&labels)
        };
        let ledger = |sink: &Arc<str>| Arc::new(Ledger::new(route, sink, metrics));
        Self {
            route: Arc::clone(route),
            kept: Kept::new(route, metrics),
            not_kept: decision("not_kept"),
            undecided_dropped: decision("undecided_dropped"),
            kept_before: OnceLock::new(),
            ledgers: sinks.iter().map(ledger).collect(),
            degraded: Counters::new(route, metrics),
        }
    }

    pub(crate) fn route(&self) -> &Arc<str> {
        &self.route
    }

    /// The books with one sink.
    pub(crate) fn ledger(&self, sink: &str) -> Option<&Arc<Ledger>> {
        self.ledgers.iter().find(|ledger| &**ledger.sink() == sink)
    }

    /// Lets the counters of kept traces go on where the sink that was kept most for left them.
    pub(crate) fn resume(&self) {
        let most = self
            .ledgers
            .iter()
            .max_by_key(|ledger| ledger.kept_before());
        let Some(most) = most else { return };
        let mut before = KeptBy {
            all: most.kept_before(),
            ..KeptBy::default()
        };
        let mut unknown = before.all;
        for because in KeptBecause::ALL {
            let count = most.kept_before_because(because.as_str()).min(unknown);
            if count > 0 {
                self.kept.add(because, count);
                before.because.insert(because.as_str(), count);
                unknown -= count;
            }
        }
        self.kept.add_unknown(unknown);
        self.kept_before.get_or_init(|| before);
    }

    /// Kept by this process.
    pub(crate) fn kept_since_start(&self) -> u64 {
        self.kept.all.get()
    }

    /// The same, and why.
    pub(crate) fn kept_by_reason(&self) -> KeptBy {
        let mut because = self.kept.by_reason();
        for (reason, before) in self.kept_before.get().into_iter().flat_map(|b| &b.because) {
            if let Some(count) = because.get_mut(reason) {
                *count -= before;
            }
        }
        because.retain(|_, count| *count > 0);
        // Read last, as it is counted first: the reasons are never more than all.
        KeptBy {
            all: self.kept_since_start(),
            because,
        }
    }

    pub(crate) fn kept(&self, because: KeptBecause) {
        self.kept.count(because);
    }

    /// The exchange is not kept.
    pub(crate) fn not_kept(&self) {
        self.not_kept.inc();
    }

    /// An exchange was lost before its content could decide: it was never kept, so no sink's
    /// books know it.
    pub(crate) fn undecided_dropped(&self) {
        self.undecided_dropped.inc();
    }

    /// The trace waits in the queue, for all its sinks.
    pub(crate) fn queued(&self) {
        self.ledgers.iter().for_each(|ledger| ledger.queued());
    }

    /// The kept trace did not get into the queue.
    pub(crate) fn refused(&self, reason: DropReason) {
        self.ledgers
            .iter()
            .for_each(|ledger| ledger.count_drop(reason));
    }

    /// Takes over a queued trace: one claim per sink, in the route's order of sinks.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.ledgers.iter().map(Claim::queued)
    }

    /// Traces exported and dropped so far, over all sinks.
    pub(crate) fn settled(&self) -> (u64, u64) {
        let add = |(exported, dropped), ledger: &Arc<Ledger>| {
            let settled = ledger.settled();
            (exported + settled.0, dropped + settled.1)
        };
        self.ledgers.iter().fold((0, 0), add)
    }

    /// Traces on disk, over all sinks.
    pub(crate) fn spooled(&self) -> u64 {
        self.ledgers.iter().map(|ledger| ledger.spooled()).sum()
    }

    pub(crate) fn status(&self) -> RouteStatus {
        let kept = self.kept_since_start();
        RouteStatus {
            route: Arc::clone(&self.route),
            kept: kept + self.kept_before.get().map_or(0, |before| before.all),
            sinks: self
                .ledgers
                .iter()
                .map(|ledger| ledger.status(kept))
                .collect(),
        }
    }
}

impl Kept {
    fn new(route: &Arc<str>, metrics: &Metrics) -> Self {
        let kept = Self {
            all: metrics.exchanges.with_label_values(&[&**route, "kept"]),
            family: metrics.kept.clone(),
            route: Arc::clone(route),
            by_reason: Default::default(),
        };
        // The one that every route has is shown from the start.
        kept.counter(KeptBecause::Ratio);
        kept
    }

    fn count(&self, because: KeptBecause) {
        self.all.inc();
        self.add(because, 1);
    }

    fn add(&self, because: KeptBecause, count: u64) {
        let counter = self.counter(because);
        counter
            .into_iter()
            .for_each(|counter| counter.inc_by(count));
    }

    fn add_unknown(&self, count: u64) {
        if count > 0 {
            let labels = [&*self.route, UNKNOWN];
            self.family.with_label_values(&labels).inc_by(count);
        }
    }

    /// As the counters show it.
    fn by_reason(&self) -> BTreeMap<&'static str, u64> {
        let slots = KeptBecause::ALL.iter().zip(&self.by_reason);
        let seen = slots.filter_map(|(because, slot)| Some((because.as_str(), slot.get()?.get())));
        seen.collect()
    }

    fn counter(&self, because: KeptBecause) -> Option<&IntCounter> {
        let place = KeptBecause::ALL.iter().position(|known| *known == because);
        let slot = self.by_reason.get(place?)?;
        let labels = [&*self.route, because.as_str()];
        Some(slot.get_or_init(|| self.family.with_label_values(&labels)))
    }
}
