//! `export`: what happens to a kept exchange after the response has left.

use std::time::Duration;

use crate::Sink;

/// The background: queue, encoders, batches, retries and sinks.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where traces go; unique names, at least one. Without `export.sinks`, one named `mlflow`
    /// from MLflow's environment variables.
    pub sinks: Vec<Sink>,
    /// The hand-off between request path and background.
    pub queue: Queue,
    /// What goes into one request to a sink.
    pub batch: Batch,
    /// What happens when a sink refuses or is away.
    pub retry: Retry,
    /// The threads that decode and encode.
    pub encoders: Encoders,
}

/// Bounds of the hand-off queue. When either is reached the newest exchange is dropped and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Exchanges waiting at most; at least 1.
    pub max_traces: usize,
    /// Bytes pinned by waiting exchanges at most.
    pub max_bytes: usize,
}

/// Bounds of a batch. They hold per destination (sink and experiment), which has one request in
/// flight at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Traces in one request at most; at least 1.
    pub max_traces: usize,
    /// Encoded bytes in one request at most; a larger trace goes alone.
    pub max_bytes: usize,
    /// How long a trace may wait for company.
    pub linger: Duration,
    /// Encoded bytes of one trace at most; past it the trace keeps its previews and says so.
    pub max_trace: usize,
}

/// Backoff towards a sink that refuses or is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first pause; doubled, with jitter, up to `max`.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
    /// Age at which a batch is dropped and counted.
    pub give_up_after: Duration,
}

/// The threads that turn bytes into traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoders {
    /// How many; at least 1.
    pub threads: usize,
    /// Their niceness, 0..=19: what they yield to the request path on shared cores.
    pub nice: i32,
}
