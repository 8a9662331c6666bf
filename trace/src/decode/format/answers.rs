//! APIs whose streams are answers in a row, each with more of the text: Ollama, llama.cpp's own,
//! and what Bedrock passes on of models with APIs of their own.

use crate::decode::body::Document;
use crate::decode::defect::Notes;
use crate::decode::json::{Kind, Raw};

use super::drawn;
use super::llm::{self, Api, Drawn, Fields, Members, Merged, Piece};

/// Ollama's chat.
pub(super) const OLLAMA_CHAT: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("openai"),
    merge: read,
    drawn: Some(Drawn {
        inputs: |_| None,
        outputs: |answered| drawn::choice(answered.get("message")?),
    }),
};

/// A prompt, and a text that continues it.
pub(super) const PROMPT: Api = Api {
    operation: "text_completion",
    span_type: "LLM",
    message_format: Some("openai"),
    merge: read,
    drawn: Some(Drawn {
        inputs: |asked| drawn::turn("user", first(asked, &["prompt", "inputText", "inputs"])?),
        outputs: text,
    }),
};

/// What says of a piece that it is the last, where it is there and neither `null` nor `false`.
const LAST: [&str; 9] = [
    "done",
    "stop",
    "stop_reason",
    "stopReason",
    "finish_reason",
    "completionReason",
    "is_finished",
    "details",
    "amazon-bedrock-invocationMetrics",
];

fn read(response: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut members = Members::of_answers();
    let mut done = false;
    let flow = llm::stream::read(response, notes, |piece, notes| {
        done |= is_last(piece);
        members.merge(piece.raw, notes)
    });
    if members.is_empty() {
        return None;
    }
    let mut json = Vec::from(b"{");
    members.write(&mut json);
    json.push(b'}');
    Some(Merged {
        json,
        done: done || flow.done,
        first_content: flow.first_content,
    })
}

fn is_last(piece: &Piece<'_>) -> bool {
    let says = |value: Raw<'_>| !matches!(value.0, b"null" | b"false");
    let mistral = || {
        let outputs = piece.get("outputs").into_iter().flat_map(Raw::elements);
        let mut reasons = outputs.filter_map(|output| output.get("stop_reason"));
        reasons.any(says)
    };
    LAST.iter().any(|key| piece.get(key).is_some_and(says)) || mistral()
}

/// The text, wherever it is.
fn text(answered: &Fields<'_>) -> Option<Vec<u8>> {
    let direct = [
        "response",
        "generation",
        "completion",
        "outputText",
        "generated_text",
        "text",
        "content",
    ];
    let text = first(answered, &direct).or_else(|| {
        let one = |list, key| answered.get(list)?.elements().next()?.get(key);
        one("results", "outputText")
            .or_else(|| one("outputs", "text"))
            .or_else(|| one("generations", "text"))
            .or_else(|| one("choices", "text"))
    });
    drawn::turn("assistant", text?)
}

/// The first of these that is a text.
fn first<'a>(fields: &Fields<'a>, names: &[&str]) -> Option<Raw<'a>> {
    let texts = names.iter().filter_map(|name| fields.get(name));
    texts.into_iter().find(|value| value.kind() == Kind::String)
}
