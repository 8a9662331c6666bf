//! APIs whose streams are answers in a row, each with more of the text: Ollama, llama.cpp's own,
//! and what Bedrock passes on of models with APIs of their own.

use crate::decode::body::Document;
use crate::decode::defect::Notes;
use crate::decode::json::{Kind, Raw};

use super::close::Close;
use super::drawn;
use super::llm::{self, Api, Drawn, Fields, Members, Merged, Piece};

/// Ollama's chat.
pub(super) const OLLAMA_CHAT: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("openai"),
    owns: |_| false,
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
    owns: |_| false,
    merge: read,
    drawn: Some(Drawn {
        inputs: |asked| {
            drawn::turn(
                "user",
                first(asked, &["prompt", "inputText", "inputs", "text_input"])?,
            )
        },
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
    let (mut announced, mut said) = (false, false);
    let flow = llm::stream::read(response, notes, |piece, notes| {
        if let Some(last) = is_last(piece) {
            announced = true;
            said |= last;
        }
        !piece.is_error && members.merge(piece.raw, notes)
    });
    if members.is_empty() && flow.error.is_none() {
        return None;
    }
    let mut json = Vec::from(b"{");
    members.write(&mut json);
    json.push(b'}');
    // An API whose pieces do not have such a member, such as Triton's, has no last word.
    let open = Close::missing_if(announced);
    Some(Merged {
        close: Close::last_word_or(said || flow.done, open),
        json,
        flow,
    })
}

/// Returns whether a piece is the last one; `None` if no member of it is for that.
fn is_last(piece: &Piece<'_>) -> Option<bool> {
    let says = |value: Raw<'_>| !matches!(value.0, b"null" | b"false" | b"\"\"");
    let mistral = || {
        let outputs = piece.get("outputs").into_iter().flat_map(Raw::elements);
        let reasons = outputs.filter_map(|output| output.get("stop_reason"));
        reasons.map(says).reduce(|one, other| one || other)
    };
    let named = LAST.iter().filter_map(|key| piece.get(key));
    let named = named.map(says).reduce(|one, other| one || other);
    match (named, mistral()) {
        (Some(named), Some(mistral)) => Some(named || mistral),
        (named, mistral) => named.or(mistral),
    }
}

/// The text, wherever it is.
fn text(answered: &Fields<'_>) -> Option<Vec<u8>> {
    let direct = [
        "response",
        "generation",
        "completion",
        "outputText",
        "generated_text",
        "text_output",
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
