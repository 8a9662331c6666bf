//! The whole configuration, resolved: what every other crate is handed.

use crate::{Admin, Export, Limits, Listener, Log, Route, Telemetry, Upstream};

/// A configuration without open questions: every name in it exists, every default is filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; at least one, no two on one address.
    pub listeners: Vec<Listener>,
    /// What bounds the process as a whole.
    pub limits: Limits,
    /// Model endpoints by unique name, in the file's order; at least one.
    pub upstreams: Vec<Upstream>,
    /// Unique names, in the file's order, which is the order of matching; at least one.
    pub routes: Vec<Route>,
    /// What happens to a kept exchange after the response has left.
    pub export: Export,
    /// The read-only address for probes and metrics.
    pub telemetry: Telemetry,
    /// The operator's address: page, status, reload.
    pub admin: Admin,
    /// offpath's own log.
    pub log: Log,
    /// What is legal but probably not meant, as sentences for the log and `validate`.
    pub warnings: Vec<String>,
}

impl Config {
    /// The upstream of that name. Every [`Route::upstream`] of this configuration has one.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams
            .iter()
            .find(|upstream| &*upstream.name == name)
    }
}
