//! The harness of the end-to-end tests: real processes, real sockets, scripted neighbours.
//!
//! [`Gateway`] is the real binary. [`Upstream`] and [`http2::Upstream`] stand behind it, [`Wire`]
//! and [`http2::Client`] before it, [`Collector`] or [`mlflow::Tracking`] beside it. What is scripted
//! says so to the byte; nothing here waits for a time to pass, only for a condition, and each
//! such wait ends the test after [`PATIENCE`]. A harness fails by panicking, as a test does.
//!
//! What it does not know: offpath's code. The one thing that it borrows is the demo's way to set
//! up MLflow.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a harness fails by panicking, as a test does"
)]

mod binary;
pub mod clients;
mod collector;
mod ending;
mod gateway;
pub mod http2;
mod metrics;
pub mod mlflow;
mod otlp;
mod ports;
mod relay;
mod tls;
mod upstream;
mod wait;
mod wire;
#[cfg(target_os = "linux")]
mod world;

pub use binary::offpath;
pub use collector::{Collector, Reaction, Span, Trace};
pub use ending::Ending;
pub use gateway::{Gateway, Setup, Stopped};
pub use metrics::Metrics;
pub use ports::free_address;
pub use relay::relay;
pub use tls::Authority;
pub use upstream::{Request, Upstream};
pub use wait::{PATIENCE, eventually, within};
pub use wire::{Head, Wire, ask, chunked, pattern};
#[cfg(target_os = "linux")]
pub use world::World;
