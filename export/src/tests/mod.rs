//! The whole crate against sinks on real sockets that answer by a script.

mod delivery;
mod forms;
mod limits;
mod mlflow;
mod shutdown;
mod spool;
pub(crate) mod stub;
pub(crate) mod support;
mod tls;
