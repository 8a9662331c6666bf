//! Where an encoder leaves a record for one destination: in memory, or on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::mpsc;

use crate::health::Health;
use crate::ledger::Claim;
use crate::record::{Origin, Parcel, Record};
use crate::shelf::Shelf;

/// One destination, as the encoders see it.
#[derive(Clone)]
pub(crate) struct Outlet {
    pub(crate) inbox: mpsc::Sender<Parcel>,
    pub(crate) disk: Option<Overflow>,
    /// Whether an MLflow server reads what is left here.
    pub(crate) is_mlflow: bool,
}

/// A destination's disk, and when it is used.
#[derive(Clone)]
pub(crate) struct Overflow {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) health: Arc<Health>,
    pub(crate) backlog: Arc<Backlog>,
}

/// What waits in memory for one destination. Past a limit the rest goes to disk, so that one
/// destination's lag leaves room in the queue for the others.
#[derive(Debug)]
pub(crate) struct Backlog {
    traces: AtomicUsize,
    bytes: AtomicUsize,
    traces_max: usize,
    bytes_max: usize,
}

/// One record's share of a backlog, given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Outlet {
    /// Whether the destination's disk is nearly full.
    pub(crate) fn is_tight(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.shelf.is_tight())
    }

    /// Leaves a record for the destination. At the end of a drain (`ending`) nobody sends any
    /// more, so it goes to disk.
    pub(crate) fn leave(&self, record: &Arc<Record>, claim: Claim, ending: bool) {
        let bytes = record.bytes.len();
        let origin = match &self.disk {
            None => Origin::Memory(None),
            Some(disk) => {
                if (ending || disk.is_wanted()) && disk.shelf.put(record) {
                    return claim.spooled();
                }
                Origin::Memory(Some(disk.backlog.take(bytes)))
            }
        };
        let parcel = Parcel {
            record: Arc::clone(record),
            claim,
            origin,
        };
        // An inbox holds as many as there are tickets, and closes only when its worker is gone.
        // Without a disk the claim, let go of, then counts as `shutdown`.
        if let (Err(refused), Some(disk)) = (self.inbox.try_send(parcel), &self.disk)
            && disk.shelf.put(record)
        {
            refused.into_inner().claim.spooled();
        }
    }
}

impl Overflow {
    /// Whether the next record goes to disk rather than to memory.
    fn is_wanted(&self) -> bool {
        self.shelf.takes_all() || self.backlog.is_full() || self.health.is_down()
    }
}

impl Backlog {
    pub(crate) fn new(traces_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            traces: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            traces_max,
            bytes_max,
        })
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Share {
        self.traces.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        let backlog = Arc::clone(self);
        Share { backlog, bytes }
    }

    fn is_full(&self) -> bool {
        self.traces.load(Relaxed) >= self.traces_max || self.bytes.load(Relaxed) >= self.bytes_max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.backlog.traces.fetch_sub(1, Relaxed);
        self.backlog.bytes.fetch_sub(self.bytes, Relaxed);
    }
}
