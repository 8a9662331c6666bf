//! `telemetry`, `admin` and `log`: offpath's own addresses and its own log.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{address::Addresses, field::Field, units};

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

pub(crate) fn telemetry(field: &Field<'_>, addresses: &mut Addresses) -> Telemetry {
    Telemetry {
        address: address(field, 9902, addresses),
    }
}

pub(crate) fn admin(field: &Field<'_>, addresses: &mut Addresses) -> Admin {
    Admin {
        address: address(field, 9901, addresses),
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
        level: map.field("level").choice(LogLevel::Info, &levels),
        format: map.field("format").choice(LogFormat::Text, &formats),
    }
}

fn address(field: &Field<'_>, port: u16, addresses: &mut Addresses) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let field = field.map().field("address");
    let address = field.or(default, units::address);
    addresses.claim(&field, address);
    address
}
