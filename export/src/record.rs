//! An encoded trace on its way to its sinks.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use offpath_trace::TraceId;

use crate::accounting::Claim;
use crate::budget::Ticket;

/// One encoded trace, shared by all the sinks that it goes to.
#[derive(Debug)]
pub(crate) struct Record {
    /// For the log.
    pub(crate) trace_id: TraceId,
    /// See [`otlp`](crate::otlp).
    pub(crate) bytes: Bytes,
    /// What an MLflow sink is told besides, in a call of its own; see [`info`](crate::sink::info).
    pub(crate) info: Option<Bytes>,
    /// When it was offered: its age decides when to give up.
    pub(crate) offered: Instant,
    /// When it was encoded: its linger begins here.
    pub(crate) encoded: Instant,
    /// Its share of the queue's budget, until the last sink is done with it.
    pub(crate) _ticket: Ticket,
}

/// A record for one sink, and the claim that says what becomes of it.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) record: Arc<Record>,
    pub(crate) claim: Claim,
}
