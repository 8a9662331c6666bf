//! One destination's place in the spool: the log on disk, and the books that go with it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use offpath_config::SpoolWhen;
use prometheus::IntCounterVec;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::accounting::Account;
use crate::aside::Aside;
use crate::degrade::Tightness;
use crate::envelope;
use crate::ledger::{Claim, Ledger};
use crate::metrics::Metrics;
use crate::record::{Origin, Parcel, Record};
use crate::spool::{AppendError, Batch, Log, Meta, Name, Position, Recovered, Settled, State};
use crate::status::SpoolStatus;

/// Refused traces may take this part of what the log may, as its inverse.
const ASIDE_SHARE: u64 = 16;

/// See the module. Shared by encoders, which put, and the destination's worker, which takes.
#[derive(Debug)]
pub(crate) struct Shelf {
    log: Log,
    always: bool,
    sink: Arc<str>,
    /// By route; the last is for routes that are gone.
    accounts: Vec<Arc<Account>>,
    saved: Mutex<State>,
    failing: Mutex<Option<Arc<str>>>,
    damaged: IntCounterVec,
    arrived: Notify,
    tight: Tightness,
    aside: Aside,
}

/// What was taken from disk to be sent.
pub(crate) struct Taken {
    pub(crate) parcels: Vec<Parcel>,
    /// To be acknowledged when they are settled.
    pub(crate) next: Position,
}

impl Shelf {
    /// Opens a destination's books where the process before left them. `accounts` are those
    /// of the routes that go there.
    pub(crate) fn open(
        (log, recovered, state): (Log, Recovered, State),
        when: SpoolWhen,
        name: &Name,
        mut accounts: Vec<Arc<Account>>,
        metrics: &Metrics,
    ) -> Self {
        let sink = &name.sink;
        let known = |route: &Arc<str>| accounts.iter().any(|account| account.route() == route);
        let mut books = state.accounts.clone();
        let mut found = recovered.records;
        let (mut other, mut other_found) = (Settled::default(), 0);
        books.retain(|route, settled| {
            known(route) || {
                other.add(settled);
                false
            }
        });
        found.retain(|route, count| {
            known(route) || {
                other_found += *count;
                false
            }
        });
        for account in &accounts {
            let settled = books.get(account.route()).cloned().unwrap_or_default();
            let count = found.get(account.route()).copied().unwrap_or(0);
            if let Some(ledger) = account.ledger(sink) {
                ledger.resume(&settled, count);
            }
        }
        let gone = Account::other(sink, name.experiment.as_deref(), metrics);
        if let Some(ledger) = gone.ledger(sink) {
            ledger.resume(&other, other_found);
            gone.resume();
        }
        accounts.push(Arc::new(gone));
        report(sink, &log, recovered.gaps, recovered.skipped);
        let aside = Aside::new(
            Arc::clone(log.disk()),
            log.folder(),
            log.bytes().1 / ASIDE_SHARE,
        );
        Self {
            log,
            always: when == SpoolWhen::Always,
            sink: Arc::clone(sink),
            accounts,
            saved: Mutex::new(state),
            failing: Mutex::new(None),
            damaged: metrics.spool_damaged.clone(),
            arrived: Notify::new(),
            tight: Tightness::default(),
            aside,
        }
    }

    /// Whether every trace goes to disk before it is sent.
    pub(crate) fn takes_all(&self) -> bool {
        self.always
    }

    /// The account of traces whose route is gone, where there were any.
    pub(crate) fn other(&self) -> Option<&Arc<Account>> {
        let other = self.accounts.last();
        other.filter(|account| {
            account
                .ledger(&self.sink)
                .is_some_and(|l| l.kept_before() > 0)
        })
    }

    /// Writes a record. `false`: it is not on disk, and why is logged and shown.
    pub(crate) fn put(&self, record: &Record) -> bool {
        let meta = Meta {
            trace_id: record.trace_id,
            offered_ms: record.offered_ms,
            route: Arc::clone(&record.route),
        };
        let put = self
            .log
            .append(&meta, &envelope::seal(record.info.as_ref(), &record.bytes));
        self.note(put.as_ref().err());
        if put.is_ok() {
            self.arrived.notify_one();
        }
        put.is_ok()
    }

    /// Keeps a trace that the sink refused, for a person to look at.
    pub(crate) fn set_aside(&self, record: &Record, words: &str) {
        if let Err(error) = self.aside.put(record, words) {
            warn!(sink = &*self.sink, %error, "A refused trace could not be set aside.");
        }
    }

    /// Whether its share of the disk is nearly full.
    pub(crate) fn is_tight(&self) -> bool {
        let (bytes, quota) = self.log.bytes();
        self.tight.is_tight(bytes, quota)
    }

    /// Ends when something was put.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// What waits to be taken: records, bytes, and since when.
    pub(crate) fn waiting(&self) -> (u64, u64, Option<Instant>) {
        let waiting = self.log.waiting();
        (waiting.records, waiting.bytes, waiting.since)
    }

    /// Takes what comes next, up to these bounds. What was damaged is counted.
    pub(crate) fn take(&self, records_max: usize, bytes_max: usize) -> io::Result<Taken> {
        let batch = self.log.read(records_max, bytes_max)?;
        Ok(self.claim(batch))
    }

    /// Goes on behind a part that cannot be read.
    pub(crate) fn skip_unreadable(&self) -> Taken {
        let batch = self.log.give_up_segment();
        self.claim(batch)
    }

    fn claim(&self, batch: Batch) -> Taken {
        self.damaged
            .with_label_values(&[&*self.sink])
            .inc_by(batch.damaged);
        for (route, count) in &batch.lost {
            if let Some(ledger) = self.ledger(route) {
                ledger.damaged(*count);
            }
        }
        let lost: u64 = batch.lost.values().sum();
        if lost > 0 {
            error!(
                sink = &*self.sink,
                traces = lost,
                "Traces on disk were damaged."
            );
        }
        let parcel = |stored: crate::spool::Stored| {
            let ledger = self.ledger(&stored.meta.route)?;
            Some(Parcel {
                record: Arc::new(Record::from_disk(stored.meta, stored.body)),
                claim: Claim::on_disk(ledger),
                origin: Origin::Disk(stored.at),
            })
        };
        Taken {
            parcels: batch.records.into_iter().filter_map(parcel).collect(),
            next: batch.next,
        }
    }

    fn ledger(&self, route: &str) -> Option<&Arc<Ledger>> {
        let known = self
            .accounts
            .iter()
            .find(|account| &**account.route() == route);
        known.or(self.accounts.last())?.ledger(&self.sink)
    }

    /// All that was taken is settled.
    pub(crate) fn settled(&self, next: Position) {
        self.log.acknowledge(next);
        self.save();
    }

    /// One record is settled, but not all before it.
    pub(crate) fn settled_alone(&self, at: Position) {
        self.log.mark_done(at);
    }

    /// Writes position and books, where they changed. A disk that does not take them keeps those
    /// before: then the next process sends again what this one delivered.
    pub(crate) fn save(&self) {
        let delivered = self.log.state();
        let books = |account: &Arc<Account>| {
            let ledger = account.ledger(&self.sink)?;
            let books = ledger.books(|| account.kept_by_reason());
            Some((Arc::clone(account.route()), books))
        };
        let mut accounts: BTreeMap<Arc<str>, Settled> = BTreeMap::new();
        for (route, settled) in self.accounts.iter().filter_map(books) {
            accounts.entry(route).or_default().add(&settled);
        }
        accounts.retain(|_, settled| settled.kept > 0);
        let state = State {
            accounts,
            ..delivered
        };
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved == state {
            return;
        }
        match state.save(&**self.log.disk(), self.log.folder()) {
            Ok(()) => *saved = state,
            Err(error) => self.note(Some(&AppendError::Io(error))),
        }
    }

    /// Has the device write what the operating system holds.
    pub(crate) fn sync(&self) {
        if let Err(error) = self.log.sync() {
            self.note(Some(&AppendError::Io(error)));
        }
    }

    /// The last save.
    pub(crate) fn close(&self) {
        self.log.close();
        self.sync();
        self.save();
    }

    pub(crate) fn status(&self) -> SpoolStatus {
        let (bytes, max_bytes) = self.log.bytes();
        SpoolStatus {
            folder: self.log.folder().display().to_string().into(),
            bytes,
            max_bytes,
            failing: self
                .failing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// Logs when the disk begins to refuse traces, and when it takes them again.
    fn note(&self, error: Option<&AppendError>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None if failing.is_some() => {
                info!(sink = &*self.sink, "The spool takes traces again.");
                *failing = None;
            }
            Some(error) if failing.is_none() => {
                warn!(
                    sink = &*self.sink,
                    %error,
                    "The spool takes no traces; they wait in memory as far as it goes."
                );
                *failing = Some(error.to_string().into());
            }
            _ => {}
        }
    }
}

fn report(sink: &str, log: &Log, gaps: u64, skipped: u64) {
    let waiting = log.waiting();
    if waiting.records > 0 {
        let (records, bytes) = (waiting.records, waiting.bytes);
        info!(
            sink,
            records, bytes, "The spool holds traces of an earlier run."
        );
    }
    if gaps > 0 {
        warn!(
            sink,
            gaps, "The spool has places that hold no whole trace; they are skipped."
        );
    }
    if skipped > 0 {
        let folder = log.folder().display();
        warn!(sink, skipped, %folder, "Segments of the spool cannot be read; they are left there.");
    }
}
