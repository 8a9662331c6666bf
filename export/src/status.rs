//! What `/status` says of the export: the accounts, and how each sink does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

/// The export at one moment. Serialized, it is the `export` part of `/status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What waits.
    pub queue: QueueStatus,
    /// The accounts, in the configuration's order.
    pub routes: Vec<RouteStatus>,
    /// Every destination (sink and experiment) and how it does.
    pub destinations: Vec<DestinationStatus>,
}

/// What waits between offer and delivery, against its limits.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct QueueStatus {
    /// Traces.
    pub traces: usize,
    /// Bytes they hold.
    pub bytes: usize,
    /// `queue.max_traces`.
    pub max_traces: usize,
    /// `queue.max_bytes`.
    pub max_bytes: usize,
}

/// The account of one route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteStatus {
    /// Its name.
    pub route: Arc<str>,
    /// Exchanges kept.
    pub kept: u64,
    /// Each of its sinks.
    pub sinks: Vec<RouteSink>,
}

/// What became of one route's traces at one sink: kept = exported + dropped + pending.
#[derive(Clone, Debug, Serialize)]
pub struct RouteSink {
    /// The sink's name.
    pub sink: Arc<str>,
    /// Exchanges kept for it.
    pub kept: u64,
    /// Confirmed by the sink.
    pub exported: u64,
    /// Lost, by [`DropReason`](crate::DropReason); reasons that never occurred are left out.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Under way.
    pub pending: Pending,
    /// The share of this process: with a spool, the figures above go back further.
    pub since_start: SinceStart,
}

/// What one process did of it: kept + recovered = exported + dropped + pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SinceStart {
    /// Exchanges kept.
    pub kept: u64,
    /// Found on disk at the start.
    pub recovered: u64,
    /// Confirmed by the sink.
    pub exported: u64,
    /// Lost, for whatever reason.
    pub dropped: u64,
}

/// Traces under way, by where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Not encoded yet, or waiting for their batch.
    pub queue: u64,
    /// On disk.
    pub spool: u64,
    /// In a batch that is being sent, or waits for its next attempt.
    pub in_flight: u64,
}

/// How one destination does.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationStatus {
    /// The sink's name.
    pub sink: Arc<str>,
    /// Where its batches are posted to.
    pub target: Arc<str>,
    /// As the configuration has it; `None` where the sink knows no experiments.
    pub experiment: Option<Arc<str>>,
    /// The experiment's id, once it is known.
    pub experiment_id: Option<Arc<str>>,
    /// What its last answer means.
    pub state: DestinationState,
    /// Attempts that failed since the last success.
    pub failures: u64,
    /// The last failure in words, bounded; kept after a recovery.
    pub last_error: Option<Arc<str>>,
    /// What it has on disk; `None` without a spool.
    pub spool: Option<SpoolStatus>,
}

/// What one destination has on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpoolStatus {
    /// Its folder.
    pub folder: Arc<str>,
    /// Bytes of its segments, delivered records in them included.
    pub bytes: u64,
    /// Its share of `spool.max_bytes`.
    pub max_bytes: u64,
    /// Why the disk does not take traces at the moment; then they wait in memory.
    pub failing: Option<Arc<str>>,
}

/// How a destination does, by its last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationState {
    /// Nothing was sent yet.
    Unused,
    /// It answers, and takes what it should.
    Up,
    /// It does not answer, is busy, or has trouble of its own: offpath tries again.
    Down,
    /// It wants other credentials, another address or another experiment: offpath tries again,
    /// but a human is needed.
    Denied,
}
