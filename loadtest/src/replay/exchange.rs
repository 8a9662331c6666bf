//! Recorded exchanges: the request, its time, and as much of the response as was recorded.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Map, Value, json};

use crate::bodies::WORDS;

/// Words per block of a generated prompt. Mooncake's blocks have 512 tokens.
const BLOCK_WORDS: usize = 512;

/// One recorded exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Time since the first exchange of its source.
    pub at: Duration,
    /// Id of the conversation it belongs to.
    pub session: Option<String>,
    /// The request method.
    pub method: Method,
    /// The request's path; `None` if the source does not contain it.
    pub path: Option<PathAndQuery>,
    /// The request body.
    pub body: RequestBody,
    /// The response as recorded.
    pub response: RecordedResponse,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum RequestBody {
    /// The recorded body.
    Recorded {
        /// The content type.
        content_type: &'static str,
        /// The bytes of the body.
        body: Bytes,
    },
    /// A chat that is generated to the recorded lengths, one word per token.
    Generated(Lengths),
}

/// The recorded lengths of a chat whose text was not recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lengths {
    /// Number of words in the prompt.
    pub input: usize,
    /// Maximum number of tokens in the response.
    pub output: Option<u64>,
    /// Ids of the prompt's blocks. Equal ids get equal words.
    pub blocks: Vec<u64>,
    /// A number that makes the prompt unique if it has no blocks.
    pub number: usize,
}

/// A response as far as the source recorded it. Every member may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordedResponse {
    /// The status.
    pub status: Option<u16>,
    /// Length of the body in bytes.
    pub bytes: Option<u64>,
    /// The body if it was JSON; for a stream the completion assembled from its events.
    pub json: Option<Value>,
    /// Number of prompt tokens as reported by the response.
    pub input_tokens: Option<u64>,
    /// Number of completion tokens as reported by the response.
    pub output_tokens: Option<u64>,
}

/// The members of generated chats that a recording does not contain.
#[derive(Clone, Debug)]
pub struct ChatDefaults {
    /// The model name.
    pub model: String,
    /// Whether responses are streamed.
    pub stream: bool,
}

impl ChatDefaults {
    /// Generates the body of a chat with the recorded lengths.
    #[must_use]
    pub fn generate(&self, lengths: &Lengths) -> Bytes {
        let messages = json!([{"role": "user", "content": prompt(lengths)}]);
        self.body(messages, lengths.output, Map::new())
    }

    /// The body of a chat with these messages; `more` contains further members.
    pub(super) fn body(
        &self,
        messages: Value,
        output: Option<u64>,
        more: Map<String, Value>,
    ) -> Bytes {
        let mut body = Map::new();
        body.insert("model".to_owned(), self.model.clone().into());
        body.insert("messages".to_owned(), messages);
        body.insert("stream".to_owned(), self.stream.into());
        if let Some(output) = output {
            body.insert("max_tokens".to_owned(), output.into());
        }
        if self.stream {
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        body.extend(more);
        Bytes::from(Value::Object(body).to_string())
    }
}

fn prompt(lengths: &Lengths) -> String {
    let mut out = String::with_capacity(lengths.input * 7);
    for index in 0..lengths.input {
        if index > 0 {
            out.push(' ');
        }
        let within = index % BLOCK_WORDS;
        match (within, lengths.blocks.get(index / BLOCK_WORDS)) {
            (0, Some(block)) => out.push_str(&format!("block-{block}")),
            (0, None) if index == 0 => out.push_str(&format!("request-{}", lengths.number)),
            _ => {
                let word = WORDS.get(within % WORDS.len());
                out.push_str(word.expect("a remainder is within the list"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_its_number_of_words_and_equal_blocks_have_equal_text() {
        let with_blocks = |blocks: &[u64]| {
            prompt(&Lengths {
                input: 1100,
                blocks: blocks.to_vec(),
                ..Lengths::default()
            })
        };
        let (a, b) = (with_blocks(&[7, 8, 9]), with_blocks(&[7, 5, 9]));
        assert_eq!(a.split(' ').count(), 1100);
        let shared = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        assert_eq!(a[..shared].split(' ').count(), 513);
        assert!(a.contains(" block-9 "));
        let plain = |number| {
            prompt(&Lengths {
                input: 3,
                number,
                ..Lengths::default()
            })
        };
        assert_eq!(plain(1).split(' ').count(), 3);
        assert_ne!(plain(1), plain(2));
        assert_eq!(prompt(&Lengths::default()), "");
    }
}
