//! Shared parts of the benches: traffic, the request path, the export pipeline, and thread clocks.
//!
//! The benches call the other crates exactly as the gateway does, so that their figures are those of
//! the product.

pub mod background;
pub mod clock;
pub mod decision;
pub mod request_path;
pub mod stub_sink;
pub mod traffic;
