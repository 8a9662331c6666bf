//! The whole configuration, resolved, as every other crate receives it.

use crate::{Admin, Export, Limits, Listener, Log, Route, Telemetry, Upstream};

/// A complete configuration: every name in it exists, and every default is filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses that clients connect to; at least one, no two the same.
    pub listeners: Vec<Listener>,
    /// Bounds of the whole process.
    pub limits: Limits,
    /// Model services with unique names, in the file's order; at least one.
    pub upstreams: Vec<Upstream>,
    /// Routes with unique names, in the file's order, which is the order of matching; at least one.
    pub routes: Vec<Route>,
    /// How kept exchanges are exported after the response has been sent.
    pub export: Export,
    /// The read-only address for probes and metrics.
    pub telemetry: Telemetry,
    /// The operator's address.
    pub admin: Admin,
    /// offpath's own log.
    pub log: Log,
    /// Settings that are valid but probably not intended, as sentences for the log and `validate`.
    pub warnings: Vec<String>,
}

impl Config {
    /// The upstream of that name. Every [`Route::upstream`] of this configuration exists.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams
            .iter()
            .find(|upstream| &*upstream.name == name)
    }
}
