//! Generated request bodies: the same arguments give the same bytes.

mod dataframe;
mod template;

pub use self::dataframe::{Column, DataFrame};
pub use self::template::BodyTemplate;

use bytes::Bytes;
use serde_json::{Value, json};

/// Everyday words of different lengths. Generated prompts and answers cycle through them.
pub(crate) const WORDS: [&str; 24] = [
    "the", "customer", "asked", "for", "a", "refund", "because", "parcel", "arrived", "late",
    "and", "support", "will", "answer", "within", "one", "working", "day", "with", "an", "apology",
    "plus", "shipping", "label",
];

/// Generates an OpenAI chat completions request whose user message has `words` words.
///
/// A streamed request also asks for usage (`stream_options.include_usage`).
#[must_use]
pub fn chat(words: usize, stream: bool, model: &str) -> Bytes {
    chat_with_prompt(&text(words), stream, model)
}

/// Generates the request of [`chat`] with the given prompt.
#[must_use]
pub fn chat_with_prompt(prompt: &str, stream: bool, model: &str) -> Bytes {
    let mut body = json!({
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": prompt},
        ],
        "stream": stream,
    });
    if stream && let Some(fields) = body.as_object_mut() {
        fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    Bytes::from(body.to_string())
}

/// Generates an MLflow `dataframe_split` request of `rows` x `cols` floating-point numbers in
/// -1000..1000 with four decimals.
#[must_use]
pub fn dataframe_split(rows: usize, cols: usize, seed: u64) -> Bytes {
    DataFrame::floats(rows, cols).body(seed)
}

/// A line of an input file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// The line's number, counted from 1.
    pub line: usize,
    /// The reason why the line cannot be used.
    pub reason: String,
}

/// Reads prompts, one per line: a JSON object with `prompt`, `text_input` or `turns` (whose first
/// element is used), a JSON string, or plain text. Empty lines are skipped.
///
/// # Errors
/// When the text contains no prompt, or an object has none of these members.
pub fn prompts(text: &str) -> Result<Vec<String>, LineError> {
    let mut prompts = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() {
            continue;
        }
        let prompt = match serde_json::from_str::<Value>(content) {
            Ok(Value::String(prompt)) => Some(prompt),
            Ok(Value::Object(object)) => {
                let object = Value::Object(object);
                ["/prompt", "/text_input", "/turns/0"]
                    .into_iter()
                    .find_map(|pointer| Some(object.pointer(pointer)?.as_str()?.to_owned()))
            }
            _ => Some(content.to_owned()),
        };
        prompts.push(prompt.ok_or_else(|| LineError {
            line,
            reason: "the object has no `prompt`, `text_input` or `turns`".to_owned(),
        })?);
    }
    if prompts.is_empty() {
        return Err(LineError {
            line: 1,
            reason: "the file contains no prompt".to_owned(),
        });
    }
    Ok(prompts)
}

/// Generates `words` words with one space between them.
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
    use super::*;

    #[test]
    fn prompts_are_read_from_text_strings_and_objects() {
        let text = "plain words\n\n\"a \\n b\"\n{\"turns\": [\"first\", \"second\"]}\n{\"prompt\": \"p\"}\n5";
        let expect = ["plain words", "a \n b", "first", "p", "5"];
        assert_eq!(prompts(text).unwrap(), expect);
        assert_eq!(prompts("a\n{\"x\": 1}").unwrap_err().line, 2);
        let empty = prompts("\n").unwrap_err();
        assert_eq!(empty.reason, "the file contains no prompt");
    }

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
