//! `limits`: bounds of the whole process.

use std::time::Duration;

use crate::{field::Field, kind};

/// pingora closes a connection by itself when a head is longer.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// Bounds of the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of open client connections; at least 1.
    pub connections: usize,
    /// Maximum size of a request head in bytes, at most 1 MiB, which is pingora's own limit. A longer
    /// head is answered with 431.
    pub head_bytes: usize,
    /// How long a shutdown waits for requests in flight. The exporter has the rest of it, and at
    /// least 5 s.
    pub drain: Duration,
    /// Maximum number of bytes of bodies held for capture by all exchanges together. Bodies beyond
    /// it are marked truncated.
    pub capture_bytes: usize,
}

pub(crate) fn read(field: &Field<'_>) -> Limits {
    let map = field.map();
    let head_bytes =
        kind::positive_size().ensure(|bytes| *bytes <= HEAD_BYTES_MAX, "must be at most 1MiB");
    Limits {
        connections: map
            .key("connections", "Maximum number of open client connections; one more is closed and counted.")
            .or("10000", kind::count()),
        head_bytes: map
            .key("head_bytes", "Maximum size of a request head, at most 1MiB; a larger head is answered with 431.")
            .or("64KiB", head_bytes),
        drain: map
            .key("drain", "How long a shutdown waits for requests in flight.")
            .or("30s", kind::duration()),
        capture_bytes: map
            .key("capture_bytes", "Maximum size of all bodies that are held for capture together; bodies beyond it are marked truncated.")
            .or("256MiB", kind::size()),
    }
}
