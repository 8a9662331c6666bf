//! `telemetry`, `admin` and `log`: offpath's own addresses and its own log.

use std::net::SocketAddr;

use crate::{address::Addresses, field::Field, kind};

/// `/healthz`, `/readyz` and `/metrics`: read only, safe to expose to the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// The address to bind; the port is never 0.
    pub address: SocketAddr,
}

/// `/status`, for the operator alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address to bind; the port is never 0.
    pub address: SocketAddr,
}

/// offpath's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe events that are written.
    pub level: LogLevel,
    /// The format of a line.
    pub format: LogFormat,
}

/// Severity, from few events to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Data was lost, or a human is needed.
    Error,
    /// Something is wrong, but offpath can go on.
    Warn,
    /// Changes of state.
    Info,
    /// Lines per request.
    Debug,
    /// Everything.
    Trace,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

pub(crate) fn telemetry(field: &Field<'_>, addresses: &mut Addresses) -> Telemetry {
    let about = "Address and port that `/healthz`, `/readyz` and `/metrics` are served on.";
    Telemetry {
        address: address(field, about, "127.0.0.1:9902", addresses),
    }
}

pub(crate) fn admin(field: &Field<'_>, addresses: &mut Addresses) -> Admin {
    let about = "Address and port that `/status` is served on.";
    Admin {
        address: address(field, about, "127.0.0.1:9901", addresses),
    }
}

pub(crate) fn log(field: &Field<'_>) -> Log {
    let map = field.map();
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Log {
        level: map
            .key("level", "The least severe events that are written.")
            .or("info", kind::words(&levels)),
        format: map
            .key("format", "Format of a line.")
            .or("text", kind::words(&formats)),
    }
}

fn address(
    field: &Field<'_>,
    about: &'static str,
    default: &'static str,
    addresses: &mut Addresses,
) -> SocketAddr {
    let key = field.map().key("address", about);
    let field = key.field();
    let address = key.or(default, kind::address());
    addresses.claim(&field, address);
    address
}
