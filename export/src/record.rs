//! An encoded trace on its way to its sinks.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use offpath_trace::TraceId;

use crate::budget::Ticket;
use crate::envelope;
use crate::ledger::Claim;
use crate::outlet::Share;
use crate::spool::{Meta, Position};

/// One encoded trace, shared by all the sinks that it goes to.
#[derive(Debug)]
pub(crate) struct Record {
    /// For the log.
    pub(crate) trace_id: TraceId,
    /// For the accounts of the next process.
    pub(crate) route: Arc<str>,
    /// See [`otlp`](crate::otlp).
    pub(crate) bytes: Bytes,
    /// What an MLflow sink is told besides, in a call of its own; see [`info`](crate::sink::info).
    pub(crate) info: Option<Bytes>,
    /// When it was offered: its age decides when to give up.
    pub(crate) offered: Instant,
    /// The same by the wall clock, in milliseconds since 1970.
    pub(crate) offered_ms: u64,
    /// When it was encoded: its linger begins here.
    pub(crate) encoded: Instant,
    /// Its share of the queue's budget, until the last sink is done with it; `None` for what was
    /// read from disk, a batch at a time.
    pub(crate) _ticket: Option<Arc<Ticket>>,
}

/// A record for one sink, and the claim that says what becomes of it.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) record: Arc<Record>,
    pub(crate) claim: Claim,
    pub(crate) origin: Origin,
}

/// Where a parcel's record is, besides in a request.
#[derive(Debug)]
pub(crate) enum Origin {
    /// In memory alone; with a spool it has a share of what its destination may hold there.
    Memory(#[expect(dead_code, reason = "held for its drop")] Option<Share>),
    /// On disk.
    Disk(Position),
}

impl Record {
    pub(crate) fn from_disk(meta: Meta, body: Vec<u8>) -> Self {
        let now = Instant::now();
        let (info, bytes) = envelope::open(body);
        Self {
            trace_id: meta.trace_id,
            route: meta.route,
            bytes,
            info,
            offered: now,
            offered_ms: meta.offered_ms,
            encoded: now,
            _ticket: None,
        }
    }
}
