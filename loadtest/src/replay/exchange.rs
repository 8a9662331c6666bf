//! One recorded exchange: when, what was asked, and what was answered as far as that was recorded.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Map, Value, json};

use crate::bodies::WORDS;

/// Words that stand for one block of a prompt that others may share: Mooncake's 512 tokens.
const BLOCK_WORDS: usize = 512;

/// One recorded exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// From the first one of its source.
    pub at: Duration,
    /// The conversation it belongs to.
    pub session: Option<String>,
    /// The method.
    pub method: Method,
    /// Where it went; `None` where the source does not say.
    pub path: Option<PathAndQuery>,
    /// What was sent.
    pub content: Content,
    /// What came back.
    pub answer: Answer,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Content {
    /// As it was recorded.
    Whole {
        /// Its type.
        content_type: &'static str,
        /// Its bytes.
        body: Bytes,
    },
    /// A chat to be made to the recorded lengths: a word for a token.
    Lengths(Lengths),
}

/// A chat of which only the lengths are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lengths {
    /// Words of the prompt.
    pub input: usize,
    /// The most tokens of the answer.
    pub output: Option<u64>,
    /// Numbers of the prompt's blocks: equal ones have equal words.
    pub blocks: Vec<u64>,
    /// Where there are no blocks: what makes this prompt unlike all others.
    pub number: usize,
}

/// What was recorded of an answer; nothing of it is certain to be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: Option<u16>,
    /// Bytes of its body.
    pub bytes: Option<u64>,
    /// Its body, where that was JSON; of a stream what its events amount to.
    pub json: Option<Value>,
    /// Tokens of the prompt, as it counted them.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, as it counted them.
    pub output_tokens: Option<u64>,
}

/// What chats that are not recorded whole are made with.
#[derive(Clone, Debug)]
pub struct Chat {
    /// The model's name.
    pub model: String,
    /// Whether answers are streamed.
    pub stream: bool,
}

impl Chat {
    /// The body of a chat of recorded lengths.
    #[must_use]
    pub fn of_lengths(&self, lengths: &Lengths) -> Bytes {
        let messages = json!([{"role": "user", "content": prompt(lengths)}]);
        self.body(messages, lengths.output, Map::new())
    }

    /// The body of a chat; `more` are further members.
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
            _ => out.push_str(WORDS.get(within % WORDS.len()).unwrap_or(&"a")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_its_words_and_equal_blocks_are_equal_text() {
        let of = |blocks: &[u64]| {
            prompt(&Lengths {
                input: 1100,
                blocks: blocks.to_vec(),
                ..Lengths::default()
            })
        };
        let (a, b) = (of(&[7, 8, 9]), of(&[7, 5, 9]));
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
