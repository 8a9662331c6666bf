//! The request path: routing, sampling, trace context, the tee and the figures.
//!
//! Values in, values out. Nothing here waits, reads a clock, parses a body or returns an error:
//! observing a request cannot fail it. A [`Capture`] is one request's state from its head to
//! its end, when it gives up an `Exchange` or, where nothing is kept, nothing.

mod budget;
mod capture;
mod glob;
mod keep;
mod pace;
mod prefix;
mod propagate;
mod route;
mod sample;
mod tee;
mod timing;

pub use budget::{CaptureBudget, Lease};
pub use capture::{Capture, Finished, Keeping, Recording};
pub use keep::{End, Judged, KeepRules};
pub use prefix::strip_prefix;
pub use propagate::{Propagation, propagate};
pub use route::{Router, Target};
pub use sample::{Basis, Head, Incoming, Sampler};
pub use tee::{Memory, Tap};
pub use timing::{Figures, Marks};
