//! Google's `generateContent`, from the Gemini API and Vertex AI. A stream comes as server-sent
//! events, or as one JSON list; each piece is a response with more of the candidates.

use crate::decode::body::Document;
use crate::decode::defect::{Defect, Notes};
use crate::decode::json::{Kind, Raw};

use super::close::Close;
use super::llm::{self, Api, CHOICES_MAX, Drawn, Fields, Latest, Merged, Piece, push_member};

/// The API.
pub(super) const API: Api = Api {
    operation: "generate_content",
    span_type: "CHAT_MODEL",
    message_format: Some("gemini"),
    owns: |piece| piece.get("candidates").is_some(),
    merge: read,
    drawn: Some(Drawn {
        inputs: |asked| in_python(asked, "contents"),
        outputs: |answered| in_python(answered, "candidates"),
    }),
};

/// Parts of one candidate beyond this many are passed over, unless they are text.
const PARTS_MAX: usize = 1024;

/// Members that MLflow's UI knows by the names that Google's Python client gives them.
const IN_PYTHON: [(&[u8], &str); 7] = [
    (b"functionCall", "function_call"),
    (b"functionResponse", "function_response"),
    (b"inlineData", "inline_data"),
    (b"fileData", "file_data"),
    (b"mimeType", "mime_type"),
    (b"fileUri", "file_uri"),
    (b"thoughtSignature", "thought_signature"),
];

/// A response while it is put together.
#[derive(Debug, Default)]
struct Response {
    candidates: Vec<Candidate>,
    /// Members beside the candidates; the last value of each.
    members: Latest,
    usage: Option<Vec<u8>>,
    blocked: bool,
}

#[derive(Debug)]
struct Candidate {
    index: i64,
    role: Vec<u8>,
    parts: Vec<Part>,
    members: Latest,
}

#[derive(Debug)]
enum Part {
    /// Escapes as written.
    Text {
        text: Vec<u8>,
        thought: bool,
    },
    Other(Vec<u8>),
}

fn read(document: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut response = Response::default();
    let flow = llm::stream::read(document, notes, |piece, notes| response.take(piece, notes));
    if flow.pieces == 0 {
        return None;
    }
    let open = Close::missing_if(!response.candidates.is_empty());
    Some(Merged {
        close: Close::last_word_or(flow.done || response.is_done(), open),
        json: response.written(),
        flow,
    })
}

impl Response {
    /// Adds a piece. Whether it held content.
    fn take(&mut self, piece: &Piece<'_>, notes: &mut Notes) -> bool {
        let mut content = false;
        if piece.is_error {
            return false;
        }
        for (key, value) in &piece.entries {
            match *key {
                b"candidates" => {
                    for candidate in value.elements() {
                        content |= self.candidate(candidate, notes);
                    }
                }
                // The first ones of a stream hold no count.
                b"usageMetadata" if llm::is_usage(*value) => self.usage = Some(value.0.to_vec()),
                b"usageMetadata" => {}
                _ => {
                    self.blocked |= *key == b"promptFeedback";
                    self.members.keep(key, *value);
                }
            }
        }
        content
    }

    fn candidate(&mut self, candidate: Raw<'_>, notes: &mut Notes) -> bool {
        let index = candidate.get("index").and_then(Raw::integer).unwrap_or(0);
        let known = self
            .candidates
            .iter()
            .position(|known| known.index == index);
        let at = known.unwrap_or(self.candidates.len());
        if at >= CHOICES_MAX {
            notes.note(Defect::TooManyParts);
            return false;
        }
        if known.is_none() {
            self.candidates.push(Candidate {
                index,
                role: b"\"model\"".to_vec(),
                parts: Vec::new(),
                members: Latest::default(),
            });
        }
        let Some(known) = self.candidates.get_mut(at) else {
            return false;
        };
        let mut content = false;
        for (key, value) in candidate.entries() {
            if key != b"content" {
                known.members.keep(key, value);
                continue;
            }
            if let Some(role) = value.get("role") {
                known.role = role.0.to_vec();
            }
            for part in value.get("parts").into_iter().flat_map(Raw::elements) {
                content |= known.part(part, notes);
            }
        }
        content
    }

    /// Whether every candidate said why it ended, or the prompt was refused.
    fn is_done(&self) -> bool {
        let finished = |candidate: &Candidate| candidate.members.says("finishReason");
        let all = !self.candidates.is_empty() && self.candidates.iter().all(finished);
        all || (self.candidates.is_empty() && self.blocked)
    }

    fn written(mut self) -> Vec<u8> {
        self.candidates.sort_by_key(|candidate| candidate.index);
        let mut json = Vec::from(b"{\"candidates\":[");
        for (at, candidate) in self.candidates.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            candidate.write(&mut json);
        }
        json.push(b']');
        if let Some(usage) = &self.usage {
            push_member(&mut json, "usageMetadata", usage);
        }
        self.members.push_to(&mut json);
        json.push(b'}');
        json
    }
}

impl Candidate {
    /// Adds a part; text goes on where the last part is text of the same kind.
    fn part(&mut self, part: Raw<'_>, notes: &mut Notes) -> bool {
        let text = part.get("text").and_then(Raw::quoted);
        let thought = part.get("thought").and_then(Raw::truth).unwrap_or(false);
        let plain = part
            .entries()
            .all(|(key, _)| matches!(key, b"text" | b"thought"));
        let text = text.filter(|_| plain);
        if let (Some(more), Some(Part::Text { text, thought: of })) = (text, self.parts.last_mut())
            && *of == thought
        {
            text.extend_from_slice(more);
            return !more.is_empty();
        }
        if self.parts.len() >= PARTS_MAX {
            notes.note(Defect::TooManyParts);
            return false;
        }
        self.parts.push(match text {
            Some(text) => Part::Text {
                text: text.to_vec(),
                thought,
            },
            None => Part::Other(part.0.to_vec()),
        });
        text.is_none_or(|text| !text.is_empty())
    }

    fn write(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(b"{\"content\":{\"role\":");
        json.extend_from_slice(&self.role);
        json.extend_from_slice(b",\"parts\":[");
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            match part {
                Part::Other(raw) => json.extend_from_slice(raw),
                Part::Text { text, thought } => {
                    json.extend_from_slice(b"{\"text\":\"");
                    json.extend_from_slice(text);
                    json.push(b'"');
                    if *thought {
                        json.extend_from_slice(b",\"thought\":true");
                    }
                    json.push(b'}');
                }
            }
        }
        json.extend_from_slice(b"]}");
        self.members.push_to(json);
        json.push(b'}');
    }
}

/// One side with its members named as Google's Python client names them; `None` where there is
/// nothing to rename.
fn in_python(fields: &Fields<'_>, key: &str) -> Option<Vec<u8>> {
    let list = fields.get(key)?;
    let named = |name: &[u8]| memchr::memmem::find(list.0, name).is_some();
    if !IN_PYTHON.iter().any(|(name, _)| named(name)) {
        return None;
    }
    let mut json = format!("{{\"{key}\":").into_bytes();
    rename(list, 0, &mut json);
    json.push(b'}');
    Some(json)
}

/// Writes a value with its members renamed, down to what a part holds.
fn rename(value: Raw<'_>, depth: u8, json: &mut Vec<u8>) {
    /// List, candidate, content, parts, part, and what is in one.
    const DEPTH_MAX: u8 = 6;

    let begin = json.len();
    match value.kind() {
        Kind::Array if depth < DEPTH_MAX => {
            json.push(b'[');
            for element in value.elements() {
                if json.len() > begin + 1 {
                    json.push(b',');
                }
                rename(element, depth + 1, json);
            }
            json.push(b']');
        }
        Kind::Object if depth < DEPTH_MAX => {
            json.push(b'{');
            for (key, value) in value.entries() {
                if json.len() > begin + 1 {
                    json.push(b',');
                }
                let renamed = IN_PYTHON.iter().find(|(name, _)| *name == key);
                json.push(b'"');
                json.extend_from_slice(renamed.map_or(key, |(_, name)| name.as_bytes()));
                json.extend_from_slice(b"\":");
                // Arguments are the user's.
                let depth = if key == b"args" { DEPTH_MAX } else { depth + 1 };
                rename(value, depth, json);
            }
            json.push(b'}');
        }
        _ => json.extend_from_slice(value.0),
    }
}
