//! `limits`: what bounds the process as a whole.

use std::time::Duration;

use crate::{field::Field, units};

/// Where pingora closes the connection by itself.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// Bounds of the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections open at one time; at least 1.
    pub connections: usize,
    /// Bytes of a request head at most (past it: 431); at most 1 MiB, where pingora's own limit is.
    pub head_bytes: usize,
    /// How long a shutdown waits for requests in flight; the export has what they leave of it, and
    /// 5 s at least.
    pub drain: Duration,
    /// Bytes held for capture by all exchanges together; past it bodies are marked truncated.
    pub capture_bytes: usize,
}

pub(crate) fn read(field: &Field<'_>) -> Limits {
    let map = field.map();
    Limits {
        connections: map.field("connections").or(10_000, units::count),
        head_bytes: map.field("head_bytes").or(64 << 10, head_bytes),
        drain: map
            .field("drain")
            .or(Duration::from_secs(30), units::duration),
        capture_bytes: map.field("capture_bytes").or(256 << 20, units::bytes),
    }
}

fn head_bytes(text: &str) -> Result<usize, String> {
    let bytes = units::some_bytes(text)?;
    if bytes > HEAD_BYTES_MAX {
        return Err("must be at most 1MiB".to_owned());
    }
    Ok(bytes)
}
