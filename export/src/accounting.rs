//! What became of every kept trace, per route and sink.
//!
//! Promise: whenever nothing is in motion, kept = exported + dropped + pending. It holds by
//! construction: a trace that is past the queue has one [`Claim`] per sink, and a claim ends
//! exactly once, at the latest when it is let go of. The counters are the metrics themselves,
//! so `/metrics` and `/status` cannot disagree.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use offpath_config::Route;
use offpath_trace::KeptBecause;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use crate::metrics::Metrics;
use crate::status::{Pending, RouteSink, RouteStatus};

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
}

impl DropReason {
    /// Every reason there is.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::QueueBytes,
        Self::EncodePanic,
        Self::TooLarge,
        Self::Rejected,
        Self::GaveUp,
        Self::Shutdown,
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
        }
    }
}

/// The books of one route.
#[derive(Debug)]
pub(crate) struct Account {
    route: Arc<str>,
    kept: Kept,
    not_kept: IntCounter,
    undecided_dropped: IntCounter,
    ledgers: Vec<Arc<Ledger>>,
}

/// Exchanges kept, by the reason.
#[derive(Debug)]
struct Kept {
    all: IntCounter,
    family: IntCounterVec,
    route: Arc<str>,
    /// In the order of [`KeptBecause::ALL`]; each resolved when first seen, as few are in use.
    by_reason: [OnceLock<IntCounter>; KeptBecause::ALL.len()],
}

/// The books of one route and one of its sinks.
#[derive(Debug)]
pub(crate) struct Ledger {
    sink: Arc<str>,
    exported: IntCounter,
    dropped: IntCounter,
    dropped_because: Vec<(DropReason, IntCounter)>,
    queue: IntGauge,
    in_flight: IntGauge,
}

/// One kept trace on its way to one sink. Dropped unsettled, it counts as `shutdown`.
#[derive(Debug)]
pub(crate) struct Claim {
    ledger: Arc<Ledger>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queue,
    InFlight,
    Settled,
}

impl Account {
    pub(crate) fn new(route: &Route, metrics: &Metrics) -> Self {
        let decision = |decision| {
            let labels = [&*route.name, decision];
            metrics.exchanges.with_label_values(&labels)
        };
        let ledger = |sink: &Arc<str>| Arc::new(Ledger::new(&route.name, sink, metrics));
        Self {
            route: Arc::clone(&route.name),
            kept: Kept::new(&route.name, metrics),
            not_kept: decision("not_kept"),
            undecided_dropped: decision("undecided_dropped"),
            ledgers: route.sinks.iter().map(ledger).collect(),
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
        self.ledgers.iter().for_each(|ledger| ledger.queue.inc());
    }

    /// The kept trace did not get into the queue.
    pub(crate) fn refused(&self, reason: DropReason) {
        self.ledgers
            .iter()
            .for_each(|ledger| ledger.count_drop(reason));
    }

    /// Takes over a queued trace: one claim per sink, in the route's order of sinks.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Claim> {
        let claim = |ledger: &Arc<Ledger>| {
            let ledger = Arc::clone(ledger);
            Claim {
                ledger,
                place: Place::Queue,
            }
        };
        self.ledgers.iter().map(claim)
    }

    /// Traces exported and dropped so far, over all sinks.
    pub(crate) fn settled(&self) -> (u64, u64) {
        let add = |(exported, dropped), ledger: &Arc<Ledger>| {
            (
                exported + ledger.exported.get(),
                dropped + ledger.dropped.get(),
            )
        };
        self.ledgers.iter().fold((0, 0), add)
    }

    pub(crate) fn status(&self) -> RouteStatus {
        let kept = self.kept.total();
        RouteStatus {
            route: Arc::clone(&self.route),
            kept,
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
        self.counter(because).into_iter().for_each(IntCounter::inc);
    }

    fn counter(&self, because: KeptBecause) -> Option<&IntCounter> {
        let place = KeptBecause::ALL.iter().position(|known| *known == because);
        let slot = self.by_reason.get(place?)?;
        let labels = [&*self.route, because.as_str()];
        Some(slot.get_or_init(|| self.family.with_label_values(&labels)))
    }

    fn total(&self) -> u64 {
        self.all.get()
    }
}

impl Ledger {
    fn new(route: &str, sink: &Arc<str>, metrics: &Metrics) -> Self {
        let outcome = |outcome| metrics.traces.with_label_values(&[route, sink, outcome]);
        let because = |reason: DropReason| {
            let labels = [route, sink, reason.as_str()];
            (reason, metrics.dropped.with_label_values(&labels))
        };
        let pending = |place| metrics.pending.with_label_values(&[route, sink, place]);
        Self {
            sink: Arc::clone(sink),
            exported: outcome("exported"),
            dropped: outcome("dropped"),
            dropped_because: DropReason::ALL.map(because).into(),
            queue: pending("queue"),
            in_flight: pending("in_flight"),
        }
    }

    fn count_drop(&self, reason: DropReason) {
        self.dropped.inc();
        let counter = self
            .dropped_because
            .iter()
            .find(|(known, _)| *known == reason);
        counter.into_iter().for_each(|(_, counter)| counter.inc());
    }

    fn status(&self, kept: u64) -> RouteSink {
        let dropped: BTreeMap<_, _> = self
            .dropped_because
            .iter()
            .map(|(reason, counter)| (reason.as_str(), counter.get()))
            .filter(|(_, count)| *count > 0)
            .collect();
        let waiting = |gauge: &IntGauge| u64::try_from(gauge.get()).unwrap_or(0);
        let pending = Pending {
            queue: waiting(&self.queue),
            in_flight: waiting(&self.in_flight),
        };
        let sink = Arc::clone(&self.sink);
        RouteSink {
            sink,
            kept,
            exported: self.exported.get(),
            dropped,
            pending,
        }
    }
}

impl Claim {
    /// The trace leaves the queue and is in a request's hands.
    pub(crate) fn depart(&mut self) {
        self.go(Place::InFlight);
    }

    pub(crate) fn exported(mut self) {
        self.ledger.exported.inc();
        self.go(Place::Settled);
    }

    pub(crate) fn dropped(mut self, reason: DropReason) {
        self.ledger.count_drop(reason);
        self.go(Place::Settled);
    }

    fn go(&mut self, to: Place) {
        for (place, step) in [(self.place, -1), (to, 1)] {
            match place {
                Place::Queue => self.ledger.queue.add(step),
                Place::InFlight => self.ledger.in_flight.add(step),
                Place::Settled => {}
            }
        }
        self.place = to;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.place != Place::Settled {
            self.ledger.count_drop(DropReason::Shutdown);
            self.go(Place::Settled);
        }
    }
}
