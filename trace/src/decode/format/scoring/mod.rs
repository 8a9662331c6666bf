//! MLflow scoring: frames and tensors in, predictions out.
//!
//! Bodies are carried as they came; shape, columns and types are told beside them, so that a
//! trace of 50,000 rows can be judged without reading one.

mod csv;
mod tabular;
mod types;

use crate::Exchange;
use crate::decode::body::{Document, Media};
use crate::decode::content;
use crate::decode::defect::Notes;
use crate::decode::json::Kind;
use crate::decode::url;

use super::frame::{Frame, INPUT, OUTPUT};
use super::{Reading, judge, llm};

/// Keys of which a scoring request has one.
pub(super) const KEYS: [&str; 4] = [
    "dataframe_split",
    "dataframe_records",
    "instances",
    "inputs",
];

/// Columns beyond this many are counted, not named.
const COLUMNS_MAX: usize = 256;

/// Names of columns, taken together, in bytes.
const COLUMN_BYTES_MAX: usize = 16 * 1024;

/// Types are judged by this many rows: enough to see past a missing value or two.
const ROWS_LOOKED_AT: usize = 16;

/// Reads both bodies.
pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let statistics = exchange.plan.statistics;
    let input = match request.media {
        Media::Csv => csv::frame(request, statistics),
        _ => KEYS
            .iter()
            .find_map(|key| tabular::frame(request, key, statistics)),
    };
    let output = tabular::frame(response, "predictions", statistics);
    let mut reading = Reading::of_request(exchange, request, input.as_ref(), notes);
    reading.outputs = content::of(response, &exchange.plan, output.as_ref(), notes);
    reading.root_type = "CHAIN";
    reading.upstream_type = "TASK";
    let model = url::model(exchange.request.uri.path());
    reading.upstream_name = model.as_ref().map(|model| format!("predict {model}"));
    reading.shared.put_some("offpath.model.name", model);
    reading.failure = llm::refusal(exchange, response);
    let outline = response.outline();
    if outline.is_some_and(|outline| outline.kind == Kind::Array) {
        // Predictions, a row each.
        reading.close = judge::without_last_word(exchange, response);
    } else {
        judge::judge(exchange, request, response, &mut reading, |_| {});
    }
    for (frame, names) in [(&input, &INPUT), (&output, &OUTPUT)] {
        if let Some(frame) = frame {
            frame.put(names, &mut reading.shared);
        }
    }
    reading
}
