//! Bedrock's Converse, and Amazon's own models, which speak it through `invoke` as well.

use crate::decode::body::Document;
use crate::decode::defect::{Defect, Notes};
use crate::decode::json::Raw;

use super::close::Close;
use super::llm::{self, Api, Latest, Merged, Piece, push_member};
use super::messages;

/// The API.
pub(super) const API: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("bedrock"),
    owns: |_| false,
    merge: read,
    drawn: None,
};

/// Blocks of one message beyond this many are passed over.
const BLOCKS_MAX: usize = 1024;

/// A response while it is put together from its events, each an object of one member.
#[derive(Debug, Default)]
struct Response {
    role: Option<Vec<u8>>,
    blocks: Vec<Block>,
    reason: Option<Vec<u8>>,
    /// What the events of metadata say: usage, metrics, trace.
    members: Latest,
}

/// A block of content; texts with their escapes as written.
#[derive(Debug, Default)]
struct Block {
    index: i64,
    /// The members of `toolUse` as it began, where it is one.
    tool: Option<Vec<u8>>,
    text: Vec<u8>,
    input: Vec<u8>,
    reasoning: Vec<u8>,
    signature: Vec<u8>,
}

fn read(document: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut response = Response::default();
    let flow = llm::stream::read(document, notes, |piece, notes| response.take(piece, notes));
    if flow.pieces == 0 {
        return None;
    }
    Some(Merged {
        close: response.close(flow.done),
        json: response.written(),
        flow,
    })
}

impl Response {
    /// Adds an event. Whether it held content.
    fn take(&mut self, piece: &Piece<'_>, notes: &mut Notes) -> bool {
        let mut content = false;
        for (key, value) in &piece.entries {
            match *key {
                b"messageStart" => self.role = value.get("role").map(|role| role.0.to_vec()),
                b"contentBlockStart" => {
                    let start = value.get("start").and_then(|start| start.get("toolUse"));
                    if let Some(block) = self.block(*value, notes) {
                        block.tool = start.map(|tool| tool.0.to_vec());
                    }
                }
                b"contentBlockDelta" => {
                    let delta = value.get("delta");
                    if let (Some(block), Some(delta)) = (self.block(*value, notes), delta) {
                        content |= block.grow(delta);
                    }
                }
                b"messageStop" => {
                    self.reason = value.get("stopReason").map(|reason| reason.0.to_vec());
                }
                b"metadata" => self.members.keep_all(*value),
                b"amazon-bedrock-invocationMetrics" => self.members.keep(key, *value),
                _ => {}
            }
        }
        content
    }

    /// Returns how far the stream came. Metadata comes after the reason to stop, and is the last word.
    fn close(&self, done: bool) -> Close {
        let stopped = self.reason.is_some();
        let begun = self.role.is_some() || !self.blocks.is_empty();
        let said = done || (stopped && !self.members.is_empty());
        Close::last_word_or(said, Close::missing_if(begun && !stopped))
    }

    /// The block that an event speaks of.
    fn block(&mut self, event: Raw<'_>, notes: &mut Notes) -> Option<&mut Block> {
        let index = event.get("contentBlockIndex").and_then(Raw::integer);
        let index = index.unwrap_or(0);
        let at = match self.blocks.iter().rposition(|block| block.index == index) {
            Some(at) => at,
            None if self.blocks.len() < BLOCKS_MAX => {
                self.blocks.push(Block {
                    index,
                    ..Block::default()
                });
                self.blocks.len() - 1
            }
            None => {
                notes.note(Defect::TooManyParts);
                return None;
            }
        };
        self.blocks.get_mut(at)
    }

    fn written(self) -> Vec<u8> {
        let mut json = Vec::from(b"{\"output\":{\"message\":{\"role\":");
        json.extend_from_slice(self.role.as_deref().unwrap_or(b"\"assistant\""));
        json.extend_from_slice(b",\"content\":[");
        let mut first = true;
        for block in &self.blocks {
            block.write(&mut first, &mut json);
        }
        json.extend_from_slice(b"]}}");
        if let Some(reason) = &self.reason {
            push_member(&mut json, "stopReason", reason);
        }
        self.members.push_to(&mut json);
        json.push(b'}');
        json
    }
}

impl Block {
    fn grow(&mut self, delta: Raw<'_>) -> bool {
        let mut content = false;
        let reasoning = delta.get("reasoningContent");
        let tool = delta.get("toolUse");
        let within = |outer: Option<Raw<'_>>, key| {
            let inner = outer.and_then(|outer| outer.get(key)).map(|raw| raw.0);
            inner.unwrap_or_default().to_vec()
        };
        let text = delta.get("text").map(|text| text.0.to_vec());
        for (grown, added) in [
            (&mut self.text, text.unwrap_or_default()),
            (&mut self.input, within(tool, "input")),
            (&mut self.reasoning, within(reasoning, "text")),
            (&mut self.signature, within(reasoning, "signature")),
        ] {
            let added = Raw(&added).quoted().unwrap_or_default();
            content |= !added.is_empty();
            grown.extend_from_slice(added);
        }
        content
    }

    fn write(&self, first: &mut bool, json: &mut Vec<u8>) {
        let mut push = |parts: &[&[u8]]| {
            if !std::mem::take(first) {
                json.push(b',');
            }
            parts.iter().for_each(|part| json.extend_from_slice(part));
        };
        if !self.reasoning.is_empty() {
            let head = b"{\"reasoningContent\":{\"reasoningText\":{\"text\":\"";
            let signed = b"\",\"signature\":\"";
            push(&[head, &self.reasoning, signed, &self.signature, b"\"}}}"]);
        }
        if !self.text.is_empty() {
            push(&[b"{\"text\":\"", &self.text, b"\"}"]);
        }
        if let Some(tool) = &self.tool {
            let tool = Raw(tool).entries();
            let named = tool.map(|(key, value)| [b"\"", key, b"\":", value.0, b","].concat());
            let named = named.collect::<Vec<_>>().concat();
            let quoted = [b"\"", &*self.input, b"\""].concat();
            let input = match self.input.as_slice() {
                b"" => b"{}".to_vec(),
                _ => messages::arguments(&quoted),
            };
            push(&[b"{\"toolUse\":{", &named, b"\"input\":", &input, b"}}"]);
        }
    }
}
