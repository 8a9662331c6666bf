//! What a route wants of its traces, compiled once and shared by its exchanges.

use std::sync::Arc;

use crate::Source;

use crate::Redaction;

/// What a route wants of its traces.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The route's place in the configuration: an index into per-route tables.
    pub index: usize,
    /// The route's name, as in `offpath.route` and the metrics.
    pub route: Arc<str>,
    /// Name of the trace and of its root span.
    pub name: Arc<str>,
    /// How much of an exchange is stored.
    pub level: Level,
    /// `join`: spans hang under the caller's; user tags are span attributes as well.
    pub join: bool,
    /// Where the user's name comes from; the first that is there.
    pub user: Vec<Source>,
    /// Where the session's name comes from; the first that is there.
    pub session: Vec<Source>,
    /// Searchable tags, by key.
    pub tags: Vec<(Arc<str>, Source)>,
    /// Immutable metadata, by key.
    pub metadata: Vec<(Arc<str>, Source)>,
    /// Where the client's own id of the request comes from; the first that is there.
    pub client_request_id: Vec<Source>,
    /// What is masked before anything is stored.
    pub redaction: Redaction,
    /// Whether frames and tensors are told by least, greatest, mean and missing values.
    pub statistics: bool,
    /// At most this much of one body is unpacked, in bytes.
    pub decoded_max: usize,
}

/// How much of an exchange is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Bodies and all.
    Full,
    /// Sizes, shapes, usage and times, but no content.
    Metadata,
}
