//! A streamed completion put together again, of a chat or of a text.
//!
//! Strings are joined as they are written, escapes and all: nothing is decoded, and a character
//! that the upstream tore between two chunks is whole again.

use crate::decode::body::Document;
use crate::decode::defect::{Defect, Notes};
use crate::decode::format::close::Close;
use crate::decode::format::llm::{self, CHOICES_MAX, Members, Merged, push_member};
use crate::decode::json::{Kind, Raw};

/// What the whole completion has in common with each of its chunks.
const COMMON: [&str; 5] = [
    "id",
    "created",
    "model",
    "service_tier",
    "system_fingerprint",
];

/// A completion while it is put together from its chunks.
#[derive(Debug)]
struct Merge {
    /// Whether the choices are messages; else they are texts.
    chat: bool,
    /// Of each of [`COMMON`], the first that says something.
    common: [Option<Vec<u8>>; COMMON.len()],
    choices: Vec<Choice>,
    /// The last that came: some upstreams count up in every chunk.
    usage: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Choice {
    index: i64,
    /// What is beside the delta: `finish_reason`, `logprobs`, a text.
    beside: Members,
    message: Members,
}

/// The completion of a stream; `None` where nothing of one was in it.
pub(super) fn read(chat: bool, document: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut merge = Merge {
        chat,
        common: Default::default(),
        choices: Vec::new(),
        usage: None,
    };
    let flow = llm::stream::read(document, notes, |piece, notes| {
        merge.chunk(&piece.entries, notes)
    });
    if merge.choices.is_empty() && merge.usage.is_none() && flow.error.is_none() {
        return None;
    }
    Some(Merged {
        close: merge.close(flow.done),
        json: merge.completion(),
        flow,
    })
}

impl Merge {
    /// Returns how far the stream came. Not every upstream sends `[DONE]`: with a finish reason in
    /// every choice, the end of the body will do.
    fn close(&self, done: bool) -> Close {
        let open = |choice: &Choice| choice.beside.text("finish_reason").is_none();
        Close::last_word_or(done, Close::missing_if(self.choices.iter().any(open)))
    }

    /// The completion as one JSON object, as the same request without `stream` gives it.
    fn completion(mut self) -> Vec<u8> {
        self.choices.sort_by_key(|choice| choice.index);
        let object = if self.chat {
            "chat.completion"
        } else {
            "text_completion"
        };
        let mut json = format!("{{\"object\":\"{object}\"").into_bytes();
        for (key, value) in COMMON.into_iter().zip(&self.common) {
            if let Some(value) = value {
                push_member(&mut json, key, value);
            }
        }
        json.extend_from_slice(b",\"choices\":[");
        for (at, choice) in self.choices.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            choice.write(self.chat, &mut json);
        }
        json.push(b']');
        if let Some(usage) = &self.usage {
            push_member(&mut json, "usage", usage);
        }
        json.push(b'}');
        json
    }

    /// Adds a chunk. Whether it held content.
    fn chunk(&mut self, chunk: &[(&[u8], Raw<'_>)], notes: &mut Notes) -> bool {
        let mut content = false;
        for (key, value) in chunk {
            match *key {
                b"choices" => {
                    for choice in value.elements() {
                        content |= self.choice(choice, notes);
                    }
                }
                b"usage" => self.keep_usage(*value),
                // Groq's own place for it.
                b"x_groq" => value
                    .get("usage")
                    .into_iter()
                    .for_each(|usage| self.keep_usage(usage)),
                _ => self.keep_common(key, *value),
            }
        }
        content
    }

    fn choice(&mut self, choice: Raw<'_>, notes: &mut Notes) -> bool {
        let members: Vec<_> = choice.entries().collect();
        let index = members.iter().find(|(key, _)| *key == b"index");
        let index = index.and_then(|(_, index)| index.integer()).unwrap_or(0);
        let at = match self.choices.iter().position(|known| known.index == index) {
            Some(at) => at,
            None if self.choices.len() < CHOICES_MAX => {
                let (beside, message) = (Members::default(), Members::default());
                self.choices.push(Choice {
                    index,
                    beside,
                    message,
                });
                self.choices.len() - 1
            }
            None => {
                notes.note(Defect::TooManyParts);
                return false;
            }
        };
        let Some(known) = self.choices.get_mut(at) else {
            return false;
        };
        let mut content = false;
        let has_delta = members.iter().any(|(key, _)| *key == b"delta");
        for (key, value) in members {
            match key {
                b"index" => {}
                // One upstream sends the message so far beside the delta.
                b"message" if has_delta => {}
                b"delta" | b"message" => content |= known.message.merge(value, notes),
                b"text" => content |= known.beside.merge_one(key, value, notes),
                _ => {
                    known.beside.merge_one(key, value, notes);
                }
            }
        }
        content
    }

    fn keep_usage(&mut self, usage: Raw<'_>) {
        if llm::is_usage(usage) {
            self.usage = Some(usage.0.to_vec());
        }
    }

    fn keep_common(&mut self, key: &[u8], value: Raw<'_>) {
        let slot = COMMON.iter().position(|known| known.as_bytes() == key);
        if let Some(slot) = slot.and_then(|at| self.common.get_mut(at))
            && slot.is_none()
            && value.0 != b"\"\""
            && value.kind() != Kind::Null
        {
            *slot = Some(value.0.to_vec());
        }
    }
}

impl Choice {
    fn write(&self, chat: bool, json: &mut Vec<u8>) {
        json.extend_from_slice(format!("{{\"index\":{}", self.index).as_bytes());
        if chat {
            self.write_message(json);
        }
        if !self.beside.is_empty() {
            json.push(b',');
            self.beside.write(json);
        }
        json.push(b'}');
    }

    fn write_message(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(b",\"message\":{");
        // MLflow takes for a message what has both.
        for (key, default) in [
            ("role", "\"role\":\"assistant\""),
            ("content", "\"content\":null"),
        ] {
            if !self.message.has(key) {
                json.extend_from_slice(default.as_bytes());
                json.push(b',');
            }
        }
        self.message.write(json);
        if json.last() == Some(&b',') {
            json.pop();
        }
        json.push(b'}');
    }
}
