//! A stranger on the wire: load from outside, and a model endpoint to aim it at.
//!
//! It speaks HTTP and nothing else, and depends on no other crate of this workspace: what it
//! measures is what any client would see. What it does not know: how the thing it measures works.
//!
//! - [`run`]: load at scheduled instants; [`schedule`] says when, [`report`] what was seen.
//! - [`compare`]: several targets on one schedule, and what one adds over the other.
//! - [`replay`]: recorded exchanges at their recorded instants.
//! - [`client`]: one exchange at a time, every chunk with its arrival.
//! - [`upstream`]: a model endpoint whose timing, size and faults the caller chooses.
//! - [`html`]: any of these as a page; [`csv`]: as rows.
//! - [`bodies`]: generated request bodies.

pub mod alarm;
pub mod bodies;
pub mod client;
pub mod compare;
pub mod csv;
pub mod html;
pub mod micros;
pub mod replay;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sse;
pub mod units;
pub mod upstream;
