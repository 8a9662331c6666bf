//! A black-box load tester for HTTP services, and a model endpoint to aim it at.
//!
//! It speaks HTTP and nothing else, and depends on no other crate of this workspace: it measures
//! what any client would see. It knows nothing of how its target works. Two names of offpath's
//! public interface are the exception: [`report`] reads the response header
//! `x-offpath-overhead-us`, and [`replay`] reads offpath's span attributes back from MLflow.
//!
//! - [`run`] sends load at scheduled instants; [`schedule`] computes them, [`report`] holds the
//!   measurements.
//! - [`compare`] loads several targets on one schedule and reports how much latency each adds to
//!   the first.
//! - [`replay`] sends recorded exchanges at their recorded instants.
//! - [`client`] makes one request at a time and timestamps every chunk of the response.
//! - [`upstream`] serves a model endpoint with configurable timing, sizes and faults.
//! - [`html`] renders any of these results as a page, [`csv`] as rows.
//! - [`bodies`] generates request bodies.

pub mod alarm;
pub mod bodies;
pub mod client;
pub mod compare;
pub mod csv;
pub mod histogram;
pub mod html;
pub mod replay;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sse;
pub mod units;
pub mod upstream;
