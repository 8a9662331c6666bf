//! Generated request bodies: the same arguments give the same bytes.

use std::fmt::Write as _;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

/// Everyday words of different lengths; generated prompts and answers go round in them.
pub(crate) const WORDS: [&str; 24] = [
    "the", "customer", "asked", "for", "a", "refund", "because", "parcel", "arrived", "late",
    "and", "support", "will", "answer", "within", "one", "working", "day", "with", "an", "apology",
    "plus", "shipping", "label",
];

/// An OpenAI chat completions request whose user message has `words` words.
///
/// A streamed one asks for usage too (`stream_options.include_usage`).
#[must_use]
pub fn chat(words: usize, stream: bool, model: &str) -> Bytes {
    let mut body = json!({
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": text(words)},
        ],
        "stream": stream,
    });
    if stream && let Some(fields) = body.as_object_mut() {
        fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    Bytes::from(body.to_string())
}

/// An MLflow `dataframe_split` request of `rows` x `cols` floating point numbers in -1000..1000,
/// four decimals each.
#[must_use]
pub fn dataframe_split(rows: usize, cols: usize, seed: u64) -> Bytes {
    const HINT: &str = "writing to a string cannot fail";
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut out = String::with_capacity(64 + cols * 8 + rows * (cols * 10 + 3));
    out.push_str(r#"{"dataframe_split":{"columns":["#);
    for col in 0..cols {
        let comma = if col == 0 { "" } else { "," };
        write!(out, r#"{comma}"c{col}""#).expect(HINT);
    }
    out.push_str(r#"],"data":["#);
    for row in 0..rows {
        out.push_str(if row == 0 { "[" } else { ",[" });
        for col in 0..cols {
            let comma = if col == 0 { "" } else { "," };
            let value: f64 = rng.random_range(-1000.0..1000.0);
            write!(out, "{comma}{value:.4}").expect(HINT);
        }
        out.push(']');
    }
    out.push_str("]}}");
    Bytes::from(out)
}

/// `words` words, one space between them.
pub(crate) fn text(words: usize) -> String {
    let mut out = String::with_capacity(words * 7);
    for word in WORDS.iter().cycle().take(words) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn chat_has_the_asked_number_of_words_and_asks_for_usage_when_streamed() {
        let body: Value = serde_json::from_slice(&chat(50, true, "m")).unwrap();
        let prompt = body["messages"][1]["content"].as_str().unwrap();
        assert_eq!(prompt.split(' ').count(), 50);
        assert_eq!(body["stream_options"]["include_usage"], true);
        let plain: Value = serde_json::from_slice(&chat(0, false, "m")).unwrap();
        assert_eq!(plain["messages"][1]["content"], "");
        assert!(plain.get("stream_options").is_none());
    }

    #[test]
    fn dataframe_has_the_asked_shape_and_depends_on_the_seed_alone() {
        let bytes = dataframe_split(3, 4, 7);
        let frame: Value = serde_json::from_slice(&bytes).unwrap();
        let split = &frame["dataframe_split"];
        assert_eq!(split["columns"].as_array().unwrap().len(), 4);
        let rows = split["data"].as_array().unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.as_array().unwrap().len() == 4));
        assert_eq!(bytes, dataframe_split(3, 4, 7));
        assert_ne!(bytes, dataframe_split(3, 4, 8));
    }
}
