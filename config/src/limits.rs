//! `limits`: what bounds the process as a whole.

use std::time::Duration;

/// Bounds of the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections open at one time; at least 1.
    pub connections: usize,
    /// Bytes of a request head at most (past it: 431); at most 1 MiB, where pingora's own limit is.
    pub head_bytes: usize,
    /// How long a shutdown waits for requests in flight, and again for the export.
    pub drain: Duration,
    /// Bytes held for capture by all exchanges together; past it bodies are marked truncated.
    pub capture_bytes: usize,
}
