//! offpath: a reverse proxy that traces model serving to MLflow, off the critical path.
//!
//! This crate is the house's front: pingora, and the assembly of the other rooms. `proxy` is the
//! only list of a request's phases; `serve` is the process's life from sockets to drain.

mod alerts;
mod answer;
mod cli;
mod ctx;
pub mod demo;
mod end;
mod explain;
mod forward;
mod health;
mod inflight;
mod latency;
mod listener;
mod log;
mod metrics;
mod ops;
mod proxy;
mod route;
mod serve;
mod signals;
mod socket;
mod spool;
mod upstream;
mod workers;

pub use cli::{Cli, main};
