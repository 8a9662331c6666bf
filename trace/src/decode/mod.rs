//! An exchange to a trace. Cannot fail: what is not understood is kept as it is, and said so.

use crate::{Exchange, Trace};

/// Something about an exchange that is not as its format wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Defect {
    /// A body calls itself JSON and is not.
    MalformedJson,
}

impl Defect {
    /// As in `offpath.defects` and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
        }
    }
}

/// Reads one exchange.
pub fn decode(exchange: &Exchange) -> (Trace, Vec<Defect>) {
    let _ = exchange;
    todo!()
}
