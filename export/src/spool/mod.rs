//! Kept traces on disk, so that neither a sink that is away nor the end of the process costs any.
//!
//! # Constraints
//! One process per folder. Each destination (sink and experiment) has a folder of its own in it,
//! and an equal share of the quota, so that the outage of one takes no room from another. What
//! was written outlives the process; what the device had not yet when the power went is lost
//! (at most about a second of it: see [`Log::sync`]). Damage costs the records it hits, is counted, and
//! never keeps offpath from starting. Nothing is read into memory but one batch per destination.
//!
//! # Design
//! A destination's records lie in segments, appended by encoders and read by its worker. What
//! is delivered is acknowledged by moving a position in a file that holds the destination's
//! accounts as well, and whole segments are removed behind it. A process never appends to the
//! segment of another, so a torn end stays where it is and is skipped.

mod disk;
mod format;
mod index;
mod log;
mod root;
mod segment;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod walk;

pub(crate) use self::disk::Disk;
pub(crate) use self::format::Meta;
pub(crate) use self::log::{AppendError, Batch, Log, Recovered, Stored};
pub use self::root::SpoolError;
pub(crate) use self::root::{Name, Root};
pub(crate) use self::segment::Position;
pub(crate) use self::state::{Settled, State};
pub use self::view::{ShelfView, SpoolView, SpooledTrace};
