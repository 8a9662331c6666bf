//! The background: queue, encoders, batches, sinks.
//!
//! [`open`] gives a [`Handle`], through which the request path offers exchanges, and a
//! [`Pipeline`], which owns the threads that decode, encode and deliver them.
//!
//! ```text
//! offer ─► ring ─► encoder threads ─► one worker per destination ─► sink
//!         └──────────────── one budget for all of it ───────────────┘
//! ```
//!
//! Promises: an offer never waits; what waits, wherever it does, is within `queue.max_traces`
//! and `queue.max_bytes`; every trace that is dropped is counted with its reason, so that
//! kept = exported + dropped + pending; a trace is sent again with the same bytes, so that a
//! sink that stored it already stores it once.
//!
//! What it does not know: pingora, sampling, or the formats of payloads.

mod accounting;
mod aside;
mod assemble;
mod batch;
mod budget;
mod degrade;
mod encoder;
mod envelope;
mod exporter;
mod forms;
mod handle;
mod health;
mod judge;
mod ledger;
mod metrics;
mod otlp;
mod otlp_read;
mod otlp_write;
mod outlet;
mod pipeline;
mod preview;
mod record;
mod rescue;
mod retry;
mod shelf;
mod sink;
mod spool;
mod status;
#[cfg(test)]
mod tests;
mod worker;

pub use accounting::DropReason;
pub use handle::Handle;
pub use otlp_read::otlp_json;
pub use pipeline::{Drained, Hurry, OpenError, Pipeline, open};
pub use rescue::rescue;
pub use sink::{ClientError, FoundPage, FoundTrace, ReadError, Reader, StoredSpan, StoredTrace};
pub use spool::{ShelfView, SpoolError, SpoolView, SpooledTrace};
pub use status::{
    DestinationState, DestinationStatus, Pending, QueueStatus, RouteSink, RouteStatus, SinceStart,
    SpoolStatus, Status,
};
