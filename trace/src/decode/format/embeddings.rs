//! Embeddings: texts in, vectors out. The vectors are carried as they came; how many there are,
//! and how long, is told beside them.

use crate::Exchange;
use crate::decode::body::Document;
use crate::decode::defect::Notes;
use crate::decode::json::{Kind, Raw};

use super::Reading;
use super::frame::{Frame, OUTPUT};
use super::llm::{self, Api, Fields};

const API: Api = Api {
    operation: "embeddings",
    span_type: "EMBEDDING",
    message_format: None,
    owns: |_| true,
    merge: |_, _| None,
    drawn: None,
};

/// Reads both bodies.
pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let mut reading = llm::read(&API, exchange, request, response, notes);
    let vectors = vectors(response);
    if let Some(first) = vectors.and_then(|vectors| vectors.elements().next()) {
        let count = vectors.map(|vectors| vectors.elements().count());
        let len = length(first);
        let frame = Frame {
            format: "embeddings",
            shape: vec![count, len],
            ..Frame::default()
        };
        frame.put(&OUTPUT, &mut reading.shared);
        let len = len.and_then(|len| i64::try_from(len).ok());
        reading
            .upstream
            .put_some("gen_ai.embeddings.dimension.count", len);
    }
    reading
}

/// The list of vectors, wherever an API keeps it.
fn vectors(response: &Document) -> Option<Raw<'_>> {
    if !llm::is_json(response) {
        return None;
    }
    let fields = Fields::of_object(Raw(response.bytes.trim_ascii()));
    let list = |name| {
        let value: Raw<'_> = fields.get(name)?;
        match value.kind() {
            Kind::Array => Some(value),
            // Cohere gives a list for each type that was asked for.
            Kind::Object => value.entries().map(|(_, value)| value).next(),
            _ => None,
        }
    };
    ["data", "embeddings", "predictions"]
        .into_iter()
        .find_map(list)
}

/// How many numbers a vector has; in base64, four bytes each.
fn length(vector: Raw<'_>) -> Option<usize> {
    let vector = match vector.kind() {
        Kind::Object => vector.get("embedding").or_else(|| vector.get("values"))?,
        _ => vector,
    };
    match vector.kind() {
        Kind::Array => Some(vector.elements().count()),
        Kind::String => {
            let packed = vector.quoted()?;
            let padding = packed
                .iter()
                .rev()
                .take_while(|byte| **byte == b'=')
                .count();
            Some((packed.len() / 4 * 3).saturating_sub(padding) / 4)
        }
        _ => None,
    }
}
