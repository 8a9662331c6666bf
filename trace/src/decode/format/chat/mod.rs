//! OpenAI chat completions, and text completions before them, as OpenAI and all who copied it
//! send them.

mod merge;

use crate::decode::body::Document;
use crate::decode::json::Raw;

use super::llm::{Api, Drawn, Fields};

/// Chat completions.
pub(super) const CHAT: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("openai"),
    owns: |piece| piece.get("choices").is_some(),
    merge: |response, notes| merge::read(true, response, notes),
    drawn: None,
};

/// Text completions.
pub(super) const TEXT: Api = Api {
    operation: "text_completion",
    span_type: "LLM",
    message_format: Some("openai"),
    owns: |piece| piece.get("choices").is_some(),
    merge: |response, notes| merge::read(false, response, notes),
    drawn: Some(Drawn {
        inputs: |asked| super::drawn::turn("user", asked.get("prompt")?),
        outputs: texts,
    }),
};

/// Whether a response is a chat completion by its own words.
pub(super) fn answers(response: &Document) -> bool {
    /// How far into a response its `object` is looked for: it stands before what is long.
    const LOOK_BYTES: usize = 512;

    let head = response.bytes.get(..LOOK_BYTES).unwrap_or(&response.bytes);
    memchr::memmem::find(head, b"\"chat.completion").is_some()
}

/// Every choice's text, as an assistant's turn.
fn texts(answered: &Fields<'_>) -> Option<Vec<u8>> {
    let choices = answered.get("choices")?;
    let texts = choices.elements().filter_map(|choice| choice.get("text"));
    super::drawn::turns(texts.map(|text: Raw<'_>| ("assistant", text)))
}
