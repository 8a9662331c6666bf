//! offpath's YAML and environment, as checked values.
//!
//! [`Config::load`] reads one file and returns either a [`Config`] in which everything is
//! resolved and parsed (defaults applied, environment consulted, names looked up, certificates
//! and rules read), or [`ConfigErrors`]: every fault at once, each with its line and key path.
//!
//! The precedence is: the YAML, then MLflow's environment variables, then the default.
//! Relative paths in the YAML start at the folder of the file.
//!
//! A key is described where it is read ([`key`]), and nowhere else: [`schema`] and [`reference`] are
//! generated from there.
//!
//! This is the only crate that reads the configuration's files and the environment on behalf of a
//! running proxy. Commands read what their arguments name (`explain --body`), the demo reads the
//! environment for its set-up, and the exporter owns the spool's folder.
//!
//! The crate does not depend on pingora, opens no socket, and does not check whether an address can
//! be bound.

mod address;
mod alerts;
mod bounds;
mod check;
mod config;
mod endpoint;
mod env;
mod error;
mod export;
mod field;
mod interpolate;
mod key;
mod kind;
mod latency;
mod limits;
mod listener;
mod load;
mod map;
mod pem;
mod reader;
mod reference;
mod route;
mod route_match;
mod route_redact;
mod route_trace;
mod sampling;
mod schema;
mod secret;
mod service;
mod similar;
mod sink;
mod source;
mod spool;
mod units;
mod upstream;
mod yaml;

#[cfg(test)]
mod tests;

pub use alerts::Alerts;
pub use bounds::{MemoryBound, MemoryPart, SinkLoad};
pub use config::Config;
pub use endpoint::{Endpoint, Scheme};
pub use env::Env;
pub use error::{ConfigError, ConfigErrors};
pub use export::{Batch, Encoders, Export, Queue, Retry};
pub use latency::LatencyBudget;
pub use limits::Limits;
pub use listener::{Listener, ListenerTls};
pub use pem::{Certificates, Identity};
pub use reference::reference;
pub use route::{Capture, CaptureLevel, ResponseHeaders, Route};
pub use route_match::{HeaderMatch, PathMatch, RouteMatch};
pub use route_trace::{ExperimentRef, RouteTrace, Tag, TraceContextMode};
pub use sampling::{Daily, Keep, KeepContent, ParentPolicy, SampleBy, Sampling};
pub use schema::schema;
pub use secret::Secret;
pub use service::{Admin, Log, LogFormat, LogLevel, Telemetry};
pub use sink::{Compression, MlflowAuth, MlflowSink, OtlpSink, Sink, SinkHeader, SinkKind};
pub use spool::{Spool, SpoolWhen};
pub use units::duration as parse_duration;
pub use upstream::{HostHeader, PathRewrite, Timeouts, Upstream, UpstreamHttp, UpstreamTls};
