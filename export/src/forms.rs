//! The forms in which one exchange is encoded: with contents or without, as it is or as MLflow
//! can read it back. A form is encoded once, however many sinks want it.

use std::sync::Arc;

use bytes::Bytes;
use offpath_trace::TraceId;

use crate::degrade::Degraded;
use crate::record::Record;

/// A trace that is encoded.
pub(crate) struct Encoded {
    pub(crate) trace_id: TraceId,
    pub(crate) info: Option<Bytes>,
    pub(crate) bytes: Bytes,
}

/// How a sink gets an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Why without contents, where it is.
    pub(crate) degraded: Option<Degraded>,
    /// Whether each value is carried so that MLflow can read it back.
    pub(crate) fitted: bool,
}

/// The records of one exchange.
pub(crate) struct Records(pub(crate) Vec<(Form, Arc<Record>)>);

impl Records {
    /// A trace that MLflow can read as it is has no record of its own for it.
    pub(crate) fn get(&self, form: Form) -> Option<&Arc<Record>> {
        let as_it_is = Form {
            fitted: false,
            ..form
        };
        let of = |form| self.0.iter().find(|(known, _)| *known == form);
        of(form).or_else(|| of(as_it_is)).map(|(_, record)| record)
    }
}

/// An exchange's encodings.
pub(crate) type Variants = Vec<(Form, Encoded)>;

pub(crate) fn bytes_of(encoded: &[(Form, Encoded)]) -> usize {
    let bytes = |(_, encoded): &(_, Encoded)| {
        let info = encoded.info.as_ref().map_or(0, Bytes::len);
        encoded.bytes.len() + info + size_of::<Record>()
    };
    encoded.iter().map(bytes).sum()
}
