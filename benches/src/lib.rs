//! What the benches share: traffic, the request path around it, the background behind it, and
//! clocks that count a thread's own time.
//!
//! Each bench calls the rooms as the gateway does, so a figure here is a figure of the product.

pub mod background;
pub mod clock;
pub mod decision;
pub mod request_path;
pub mod stub_sink;
pub mod traffic;
