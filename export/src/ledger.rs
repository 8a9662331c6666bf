//! The books of one route and one of its sinks, and the claims that move through them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use prometheus::{IntCounter, IntGauge};

use crate::DropReason;
use crate::metrics::Metrics;
use crate::spool::Settled;
use crate::status::{Pending, RouteSink, SinceStart};

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    sink: Arc<str>,
    exported: IntCounter,
    dropped: IntCounter,
    dropped_because: Vec<(DropReason, IntCounter)>,
    queue: IntGauge,
    spool: IntGauge,
    in_flight: IntGauge,
    before: OnceLock<Before>,
}

/// What the books began with: the spool's own.
#[derive(Debug)]
struct Before {
    kept: u64,
    /// By why; what is missing from `kept` was written after the books were last saved.
    because: BTreeMap<String, u64>,
    exported: u64,
    dropped: u64,
    /// On disk at the start.
    recovered: u64,
}

/// How many one process kept for a route, and why. The reasons may lag behind the sum.
#[derive(Debug, Default)]
pub(crate) struct KeptBy {
    pub(crate) all: u64,
    pub(crate) because: BTreeMap<&'static str, u64>,
}

/// One kept trace on its way to one sink. Let go of unsettled, it is on disk still, or else
/// counts as `shutdown`.
#[derive(Debug)]
pub(crate) struct Claim {
    ledger: Arc<Ledger>,
    place: Place,
    on_disk: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queue,
    Spool,
    InFlight,
    Settled,
}

impl Ledger {
    pub(crate) fn new(route: &str, sink: &Arc<str>, metrics: &Metrics) -> Self {
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
            spool: pending("spool"),
            in_flight: pending("in_flight"),
            before: OnceLock::new(),
        }
    }

    pub(crate) fn sink(&self) -> &Arc<str> {
        &self.sink
    }

    pub(crate) fn queued(&self) {
        self.queue.inc();
    }

    pub(crate) fn count_drop(&self, reason: DropReason) {
        self.count_drops(reason, 1);
    }

    fn count_drops(&self, reason: DropReason, count: u64) {
        self.dropped.inc_by(count);
        let counter = self
            .dropped_because
            .iter()
            .find(|(known, _)| *known == reason);
        counter
            .into_iter()
            .for_each(|(_, counter)| counter.inc_by(count));
    }

    /// So many traces on disk are there no more.
    pub(crate) fn damaged(&self, count: u64) {
        self.spool.sub(i64::try_from(count).unwrap_or(i64::MAX));
        self.count_drops(DropReason::SpoolDamaged, count);
    }

    /// Goes on where the process before left off: its books, and what was found on disk.
    ///
    /// What it had kept, but neither settled nor left on disk, died with it in memory; what it
    /// had on disk and is not there now was damaged. A trace that it wrote after it last saved
    /// its books was kept as well.
    pub(crate) fn resume(&self, books: &Settled, found: u64) {
        self.exported.inc_by(books.exported);
        for (name, count) in &books.dropped {
            let known = DropReason::ALL.iter().find(|known| known.as_str() == name);
            self.count_drops(known.copied().unwrap_or(DropReason::Crash), *count);
        }
        let settled = books.exported + books.dropped();
        let kept = books.kept.max(settled + found);
        let lost = kept - settled - found;
        let damaged = books.spooled.saturating_sub(found).min(lost);
        self.count_drops(DropReason::SpoolDamaged, damaged);
        self.count_drops(DropReason::Crash, lost - damaged);
        self.spool.set(i64::try_from(found).unwrap_or(i64::MAX));
        self.before.get_or_init(|| Before {
            kept,
            because: books.because.clone(),
            exported: books.exported,
            dropped: books.dropped() + lost,
            recovered: found,
        });
    }

    pub(crate) fn kept_before(&self) -> u64 {
        self.before().kept
    }

    /// So many of those that were kept before, for this reason.
    pub(crate) fn kept_before_because(&self, reason: &str) -> u64 {
        self.before().because.get(reason).copied().unwrap_or(0)
    }

    fn before(&self) -> &Before {
        static NOTHING: Before = Before {
            kept: 0,
            because: BTreeMap::new(),
            exported: 0,
            dropped: 0,
            recovered: 0,
        };
        self.before.get().unwrap_or(&NOTHING)
    }

    /// Exported and dropped so far.
    pub(crate) fn settled(&self) -> (u64, u64) {
        (self.exported.get(), self.dropped.get())
    }

    /// On disk.
    pub(crate) fn spooled(&self) -> u64 {
        count(&self.spool)
    }

    /// The books as the spool keeps them; `kept` by this process, and why.
    pub(crate) fn books(&self, kept: impl FnOnce() -> KeptBy) -> Settled {
        // In this order: what is settled in between was kept in any case.
        let (exported, dropped) = (self.exported.get(), self.dropped());
        let spooled = self.spooled();
        let kept = kept();
        let before = self.before();
        let mut because = before.because.clone();
        for (reason, count) in kept.because {
            *because.entry(reason.to_owned()).or_default() += count;
        }
        let dropped = dropped.into_iter();
        Settled {
            kept: before.kept + kept.all,
            because,
            exported,
            dropped: dropped
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            spooled,
        }
    }

    fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.dropped_because
            .iter()
            .map(|(reason, counter)| (reason.as_str(), counter.get()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// `kept` by this process.
    pub(crate) fn status(&self, kept: u64) -> RouteSink {
        let before = self.before();
        let since_start = SinceStart {
            kept,
            recovered: before.recovered,
            exported: self.exported.get() - before.exported,
            dropped: self.dropped.get() - before.dropped,
        };
        RouteSink {
            sink: Arc::clone(&self.sink),
            kept: before.kept + kept,
            exported: self.exported.get(),
            dropped: self.dropped(),
            pending: Pending {
                queue: count(&self.queue),
                spool: self.spooled(),
                in_flight: count(&self.in_flight),
            },
            since_start,
        }
    }
}

impl Claim {
    pub(crate) fn queued(ledger: &Arc<Ledger>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            place: Place::Queue,
            on_disk: false,
        }
    }

    /// The claim of a trace that was read from disk, where it stays until it is settled.
    pub(crate) fn on_disk(ledger: &Arc<Ledger>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            place: Place::Spool,
            on_disk: true,
        }
    }

    /// The trace is in a request's hands.
    pub(crate) fn depart(&mut self) {
        self.go(Place::InFlight);
    }

    /// The trace is on disk; who reads it from there has a claim of their own.
    pub(crate) fn spooled(mut self) {
        self.go(Place::Spool);
        self.place = Place::Settled;
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
                Place::Spool => self.ledger.spool.add(step),
                Place::InFlight => self.ledger.in_flight.add(step),
                Place::Settled => {}
            }
        }
        self.place = to;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        match self.place {
            Place::Settled => {}
            _ if self.on_disk => self.go(Place::Spool),
            _ => {
                self.ledger.count_drop(DropReason::Shutdown);
                self.go(Place::Settled);
            }
        }
    }
}

fn count(gauge: &IntGauge) -> u64 {
    u64::try_from(gauge.get()).unwrap_or(0)
}
