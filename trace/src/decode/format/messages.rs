//! Anthropic's messages, from Anthropic itself, Bedrock and Vertex.
//!
//! Usage in a stream is cumulative: what a later event says takes the place of what an
//! earlier one said, figure by figure.

use crate::decode::body::Document;
use crate::decode::defect::{Defect, Notes};
use crate::decode::json::{self, Kind, Raw};

use super::close::Close;
use super::llm::{self, Api, Latest, Merged, Piece, close, push_member};

/// The API.
pub(super) const API: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("anthropic"),
    owns: |piece| EVENTS.contains(&piece.kind()),
    merge: read,
    drawn: None,
};

/// Events that only this API has.
const EVENTS: [&[u8]; 5] = [
    b"message_start",
    b"content_block_start",
    b"content_block_delta",
    b"message_delta",
    b"message_stop",
];

/// Blocks of one message beyond this many are passed over.
const BLOCKS_MAX: usize = 1024;

/// A message while it is put together from its events.
#[derive(Debug, Default)]
struct Message {
    /// Members beside the content and the usage; the last value of each.
    members: Latest,
    usage: Latest,
    blocks: Vec<Block>,
    /// A `stop_reason` came.
    stopped: bool,
    done: bool,
}

/// A block of content: as it began, and what was added.
#[derive(Debug)]
struct Block {
    index: i64,
    start: Vec<u8>,
    /// Added text by the member that it belongs to, escapes as written.
    grown: [Vec<u8>; GROWN.len()],
    citations: Vec<u8>,
}

/// The deltas of text, and the members that they add to.
const GROWN: [(&str, &str); 4] = [
    ("text", "text"),
    ("thinking", "thinking"),
    ("signature", "signature"),
    ("partial_json", "input"),
];

/// Where the arguments of a tool stand in [`GROWN`].
const INPUT: usize = 3;

fn read(response: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut message = Message::default();
    let flow = llm::stream::read(response, notes, |piece, notes| message.take(piece, notes));
    let empty = message.members.is_empty() && message.blocks.is_empty();
    if empty && flow.error.is_none() {
        return None;
    }
    let open = Close::missing_if(!empty && !message.stopped);
    Some(Merged {
        close: Close::last_word_or(message.done || flow.done, open),
        json: message.written(),
        flow,
    })
}

impl Message {
    /// Adds an event. Whether it held content.
    fn take(&mut self, piece: &Piece<'_>, notes: &mut Notes) -> bool {
        match piece.kind() {
            b"message_start" => {
                let message = piece.get("message");
                for (key, value) in message.into_iter().flat_map(Raw::entries) {
                    match key {
                        b"usage" => self.usage.keep_all(value),
                        b"content" => {}
                        _ => self.members.keep(key, value),
                    }
                }
            }
            b"content_block_start" => self.begin(piece, notes),
            b"content_block_delta" => return self.grow(piece),
            b"message_delta" => {
                if let Some(delta) = piece.get("delta") {
                    let reason = delta.get("stop_reason");
                    self.stopped |= reason.is_some_and(|reason| reason.kind() != Kind::Null);
                    self.members.keep_all(delta);
                }
                if let Some(usage) = piece.get("usage") {
                    self.usage.keep_all(usage);
                }
            }
            b"message_stop" => self.done = true,
            _ => {}
        }
        if let Some(metrics) = piece.get("amazon-bedrock-invocationMetrics") {
            self.members
                .keep(b"amazon-bedrock-invocationMetrics", metrics);
        }
        false
    }

    fn begin(&mut self, piece: &Piece<'_>, notes: &mut Notes) {
        let Some(block) = piece.get("content_block") else {
            return;
        };
        if self.blocks.len() >= BLOCKS_MAX {
            return notes.note(Defect::TooManyParts);
        }
        self.blocks.push(Block {
            index: index_of(piece),
            start: block.0.to_vec(),
            grown: Default::default(),
            citations: Vec::new(),
        });
    }

    fn grow(&mut self, piece: &Piece<'_>) -> bool {
        let index = index_of(piece);
        let block = self.blocks.iter_mut().rfind(|block| block.index == index);
        let (Some(block), Some(delta)) = (block, piece.get("delta")) else {
            return false;
        };
        if let Some(citation) = delta.get("citation") {
            if !block.citations.is_empty() {
                block.citations.push(b',');
            }
            block.citations.extend_from_slice(citation.0);
        }
        let mut content = false;
        for ((name, _), grown) in GROWN.iter().zip(&mut block.grown) {
            let added = delta.get(name).and_then(Raw::quoted).unwrap_or_default();
            content |= !added.is_empty() && *name != "signature";
            grown.extend_from_slice(added);
        }
        content
    }

    fn written(self) -> Vec<u8> {
        let mut json = Vec::from(b"{\"content\":[");
        for (at, block) in self.blocks.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            block.write(&mut json);
        }
        json.push(b']');
        self.members.push_to(&mut json);
        if !self.usage.is_empty() {
            push_member(&mut json, "usage", &self.usage.object());
        }
        json.push(b'}');
        json
    }
}

impl Block {
    fn write(&self, json: &mut Vec<u8>) {
        let mut written = [false; GROWN.len()];
        let begin = json.len();
        json.push(b'{');
        for (key, value) in Raw(&self.start).entries() {
            if key == b"citations" && !self.citations.is_empty() {
                continue;
            }
            let slot = GROWN
                .iter()
                .position(|(_, member)| member.as_bytes() == key);
            let name = String::from_utf8_lossy(key);
            match slot.and_then(|slot| Some((slot, self.grown.get(slot)?))) {
                Some((slot, grown)) if !grown.is_empty() => {
                    push_member(json, &name, &whole(slot, value, grown));
                    if let Some(written) = written.get_mut(slot) {
                        *written = true;
                    }
                }
                _ => push_member(json, &name, value.0),
            }
        }
        for (slot, (grown, written)) in self.grown.iter().zip(written).enumerate() {
            if let Some((_, member)) = GROWN.get(slot)
                && !grown.is_empty()
                && !written
            {
                push_member(json, member, &whole(slot, Raw(b"\"\""), grown));
            }
        }
        if !self.citations.is_empty() {
            push_member(json, "citations", &[b"[", &*self.citations, b"]"].concat());
        }
        close(json, begin);
    }
}

/// A member's value, with what was added to what it began as.
fn whole(slot: usize, start: Raw<'_>, grown: &[u8]) -> Vec<u8> {
    let quoted = [b"\"", grown, b"\""].concat();
    if slot == INPUT {
        return arguments(&quoted);
    }
    match start.quoted() {
        Some(start) => [b"\"", start, grown, b"\""].concat(),
        None => quoted,
    }
}

/// A tool's arguments, which came as pieces of a text: the object that it is, or, where it was
/// cut, the text in an object.
pub(super) fn arguments(quoted: &[u8]) -> Vec<u8> {
    let text = Raw(quoted).text().unwrap_or_default();
    let object = json::is_document(text.as_bytes()) && text.trim_start().starts_with('{');
    if object {
        text.into_owned().into_bytes()
    } else {
        [b"{\"offpath.partial\":", quoted, b"}"].concat()
    }
}

fn index_of(piece: &Piece<'_>) -> i64 {
    piece.get("index").and_then(Raw::integer).unwrap_or(0)
}
