//! `telemetry`, `admin` and `log`: offpath's own addresses and its own log.

use std::net::SocketAddr;

/// `/healthz`, `/readyz` and `/metrics`: read only, safe to bind to the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Where it is bound; the port is never 0.
    pub address: SocketAddr,
}

/// Page, status and reload, for the operator alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it is bound; the port is never 0.
    pub address: SocketAddr,
}

/// offpath's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe events that are written.
    pub level: LogLevel,
    /// How they are written.
    pub format: LogFormat,
}

/// Severity, from few events to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Data was lost, or a human is needed.
    Error,
    /// Something is wrong that offpath can go on with.
    Warn,
    /// Changes of state.
    Info,
    /// Lines per request.
    Debug,
    /// Everything.
    Trace,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
