//! MLflow scoring: frames and tensors in, predictions out.

use crate::Exchange;
use crate::decode::body::Document;

use super::Reading;

/// Keys of which a scoring request has one.
pub(super) const KEYS: [&str; 4] = [
    "dataframe_split",
    "dataframe_records",
    "instances",
    "inputs",
];

pub(super) fn read(exchange: &Exchange, request: &Document, response: &Document) -> Reading {
    Reading::plain(exchange, request, response)
}
