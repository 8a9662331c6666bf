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
mod assemble;
mod batch;
mod budget;
mod encoder;
mod exporter;
mod handle;
mod health;
mod judge;
mod metrics;
mod otlp;
mod pipeline;
mod preview;
mod record;
mod retry;
mod sink;
mod status;
#[cfg(test)]
mod tests;
mod worker;

pub use accounting::DropReason;
pub use handle::Handle;
pub use pipeline::{Drained, OpenError, Pipeline, open};
pub use sink::{ClientError, FoundPage, FoundTrace, ReadError, Reader, StoredSpan, StoredTrace};
pub use status::{
    DestinationState, DestinationStatus, Pending, QueueStatus, RouteSink, RouteStatus, Status,
};
