//! A message's content that comes as lists of parts, as Mistral's does while it thinks: texts and
//! thoughts are joined where they follow their like, anything else stays as it came.

use crate::decode::defect::{Defect, Notes};
use crate::decode::json::{Kind, Raw};

/// Parts of one message beyond this many are passed over.
const PARTS_MAX: usize = 1024;

/// The parts so far.
#[derive(Debug, Default)]
pub(super) struct Content(Vec<Part>);

/// One part; texts are what stands between the quotes, escapes as written.
#[derive(Debug)]
enum Part {
    Text(Vec<u8>),
    Thought(Vec<u8>),
    Other(Vec<u8>),
}

impl Content {
    /// Content that began as a text.
    pub(super) fn of_text(text: Vec<u8>) -> Self {
        let begun = (!text.is_empty()).then_some(Part::Text(text));
        Self(begun.into_iter().collect())
    }

    /// Adds a text, or a list of parts. Whether there was anything in it.
    pub(super) fn add(&mut self, value: Raw<'_>, notes: &mut Notes) -> bool {
        match value.kind() {
            Kind::String => self.push(Part::Text(quoted(value)), notes),
            Kind::Array => {
                let mut any = false;
                for part in value.elements() {
                    any |= self.push(Part::of(part), notes);
                }
                any
            }
            _ => false,
        }
    }

    fn push(&mut self, part: Part, notes: &mut Notes) -> bool {
        let full = self.0.len() >= PARTS_MAX;
        match (self.0.last_mut(), part) {
            (_, Part::Text(more) | Part::Thought(more)) if more.is_empty() => return false,
            (Some(Part::Text(text)), Part::Text(more))
            | (Some(Part::Thought(text)), Part::Thought(more)) => text.extend_from_slice(&more),
            _ if full => notes.note(Defect::TooManyParts),
            (_, part) => self.0.push(part),
        }
        true
    }

    /// Appends the list.
    pub(super) fn write(&self, json: &mut Vec<u8>) {
        json.push(b'[');
        for (at, part) in self.0.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            match part {
                Part::Text(text) => write_text(text, json),
                Part::Thought(text) => {
                    json.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":[");
                    write_text(text, json);
                    json.extend_from_slice(b"]}");
                }
                Part::Other(raw) => json.extend_from_slice(raw),
            }
        }
        json.push(b']');
    }
}

impl Part {
    fn of(part: Raw<'_>) -> Self {
        if let Some(text) = text_of(part) {
            return Self::Text(text);
        }
        let thoughts = part.get("thinking").filter(|_| is(part, b"thinking"));
        let thoughts = thoughts.filter(|list| list.kind() == Kind::Array);
        let texts: Option<Vec<_>> =
            thoughts.and_then(|thoughts| thoughts.elements().map(text_of).collect());
        match texts {
            Some(texts) => Self::Thought(texts.concat()),
            None => Self::Other(part.0.to_vec()),
        }
    }
}

/// What `{"type":"text","text":…}` says; of one with more members, nothing.
fn text_of(part: Raw<'_>) -> Option<Vec<u8>> {
    let text = part.get("text").filter(|_| is(part, b"text"))?;
    (text.kind() == Kind::String && part.entries().count() == 2).then(|| quoted(text))
}

fn is(part: Raw<'_>, kind: &[u8]) -> bool {
    part.get("type").and_then(Raw::quoted) == Some(kind)
}

fn quoted(text: Raw<'_>) -> Vec<u8> {
    text.quoted().unwrap_or_default().to_vec()
}

fn write_text(text: &[u8], json: &mut Vec<u8>) {
    json.extend_from_slice(b"{\"type\":\"text\",\"text\":\"");
    json.extend_from_slice(text);
    json.extend_from_slice(b"\"}");
}
