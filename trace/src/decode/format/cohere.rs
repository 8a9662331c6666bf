//! Cohere's chat: version 1, whose stream ends with the whole response, and version 2, whose
//! events nest what they add.

use crate::decode::body::Document;
use crate::decode::defect::{Defect, Notes};
use crate::decode::json::Raw;

use super::close::Close;
use super::drawn;
use super::llm::{self, Api, Drawn, Fields, Latest, Members, Merged, Piece, push_member};

/// Version 1.
pub(super) const V1: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("openai"),
    owns: |piece| piece.get("event_type").is_some(),
    merge: read_v1,
    drawn: Some(Drawn {
        inputs: turns,
        outputs: |answered| drawn::turn("assistant", answered.get("text")?),
    }),
};

/// Version 2.
pub(super) const V2: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("openai"),
    owns: |piece| EVENTS.contains(&piece.kind()),
    merge: read_v2,
    drawn: Some(Drawn {
        inputs: |_| None,
        outputs: |answered| drawn::choice(answered.get("message")?),
    }),
};

/// Events that only version 2 has.
const EVENTS: [&[u8]; 7] = [
    b"message-start",
    b"content-start",
    b"content-delta",
    b"tool-plan-delta",
    b"tool-call-start",
    b"tool-call-delta",
    b"message-end",
];

/// Blocks of text and calls of tools of one message beyond this many are passed over.
const PARTS_MAX: usize = 256;

fn read_v1(document: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut members = Members::of_answers();
    let mut whole = None;
    let (mut typed, mut ended) = (false, false);
    let flow = llm::stream::read(document, notes, |piece, notes| {
        typed |= piece.get("event_type").is_some();
        if is_end(piece) {
            ended = true;
            if let Some(response) = piece.get("response") {
                whole = Some(response.0.to_vec());
                return false;
            }
        }
        !piece.is_error && members.merge(piece.raw, notes)
    });
    let json = whole.or_else(|| {
        let mut json = Vec::from(b"{");
        members.write(&mut json);
        json.push(b'}');
        (flow.pieces > 0).then_some(json)
    })?;
    Some(Merged {
        close: Close::last_word_or(ended || flow.done, Close::missing_if(typed)),
        json,
        flow,
    })
}

fn is_end(piece: &Piece<'_>) -> bool {
    piece.get("event_type").and_then(Raw::quoted) == Some(b"stream-end")
}

/// The turns before, and the message.
fn turns(asked: &Fields<'_>) -> Option<Vec<u8>> {
    let history = asked
        .get("chat_history")
        .into_iter()
        .flat_map(Raw::elements);
    let turn = |turn: Raw<'_>| match turn.get("role").and_then(Raw::quoted) {
        Some(b"CHATBOT") => "assistant",
        Some(b"SYSTEM") => "system",
        _ => "user",
    };
    let before = history.filter_map(|said| {
        let message = said.get("message")?;
        Some((turn(said), message))
    });
    let before: Vec<_> = before.collect();
    let asked = ("user", asked.get("message")?);
    drawn::turns(before.into_iter().chain(std::iter::once(asked)))
}

/// A version 2 response while it is put together.
#[derive(Debug, Default)]
struct Response {
    id: Option<Vec<u8>>,
    role: Option<Vec<u8>>,
    /// Of each block its index, its members as it began, the member that grows and its text.
    blocks: Vec<(i64, Vec<u8>, &'static str, Vec<u8>)>,
    plan: Vec<u8>,
    calls: Vec<(i64, Members)>,
    citations: Vec<u8>,
    /// Finish reason, usage and error.
    last: Latest,
    /// One of the API's own events came.
    typed: bool,
    /// The last one of them came.
    ended: bool,
}

fn read_v2(document: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut response = Response::default();
    let flow = llm::stream::read(document, notes, |piece, notes| response.take(piece, notes));
    if !response.typed && flow.error.is_none() {
        return None;
    }
    let open = Close::missing_if(response.typed);
    Some(Merged {
        close: Close::last_word_or(response.ended || flow.done, open),
        json: response.written(),
        flow,
    })
}

impl Response {
    /// Adds an event. Whether it held content.
    fn take(&mut self, piece: &Piece<'_>, notes: &mut Notes) -> bool {
        let index = piece.get("index").and_then(Raw::integer).unwrap_or(0);
        let delta = piece.get("delta");
        let message = delta.and_then(|delta| delta.get("message"));
        let part = |key| message.and_then(|message: Raw<'_>| message.get(key));
        self.typed |= EVENTS.contains(&piece.kind());
        match piece.kind() {
            b"message-start" => {
                self.id = piece.get("id").map(|id| id.0.to_vec());
                self.role = part("role").map(|role| role.0.to_vec());
            }
            b"content-start" if self.blocks.len() < PARTS_MAX => {
                let start = part("content").map_or(&b"{}"[..], |content| content.0);
                let grows = ["thinking", "text"]
                    .into_iter()
                    .find(|key| Raw(start).get(key).is_some());
                let block = (index, start.to_vec(), grows.unwrap_or("text"), Vec::new());
                self.blocks.push(block);
            }
            b"content-delta" => return self.grow(index, part("content")),
            b"tool-plan-delta" => {
                let plan = part("tool_plan").and_then(Raw::quoted);
                self.plan.extend_from_slice(plan.unwrap_or_default());
                return plan.is_some_and(|plan| !plan.is_empty());
            }
            b"tool-call-start" | b"tool-call-delta" => {
                return self.call(index, part("tool_calls"), notes);
            }
            b"citation-start" => {
                if let Some(citation) = part("citations") {
                    if !self.citations.is_empty() {
                        self.citations.push(b',');
                    }
                    self.citations.extend_from_slice(citation.0);
                }
            }
            b"message-end" => {
                self.ended = true;
                if let Some(delta) = delta {
                    self.last.keep_all(delta);
                }
            }
            b"content-start" => notes.note(Defect::TooManyParts),
            _ => {}
        }
        false
    }

    fn grow(&mut self, index: i64, content: Option<Raw<'_>>) -> bool {
        let block = self.blocks.iter_mut().rfind(|block| block.0 == index);
        let (Some((_, _, key, text)), Some(content)) = (block, content) else {
            return false;
        };
        let added = content.get(key).and_then(Raw::quoted).unwrap_or_default();
        text.extend_from_slice(added);
        !added.is_empty()
    }

    fn call(&mut self, index: i64, call: Option<Raw<'_>>, notes: &mut Notes) -> bool {
        let Some(call) = call else {
            return false;
        };
        if let Some((_, known)) = self.calls.iter_mut().rfind(|(known, _)| *known == index) {
            return known.merge(call, notes);
        }
        if self.calls.len() >= PARTS_MAX {
            notes.note(Defect::TooManyParts);
            return false;
        }
        let mut members = Members::default();
        members.merge(call, notes);
        self.calls.push((index, members));
        true
    }

    fn written(self) -> Vec<u8> {
        let mut json = Vec::from(b"{\"id\":");
        json.extend_from_slice(self.id.as_deref().unwrap_or(b"null"));
        json.extend_from_slice(b",\"message\":{\"role\":");
        json.extend_from_slice(self.role.as_deref().unwrap_or(b"\"assistant\""));
        if !self.blocks.is_empty() {
            let blocks: Vec<_> = self.blocks.iter().map(written_block).collect();
            let blocks = [b"[", &*blocks.join(&b','), b"]"].concat();
            push_member(&mut json, "content", &blocks);
        }
        if !self.plan.is_empty() {
            let plan = [b"\"", &*self.plan, b"\""].concat();
            push_member(&mut json, "tool_plan", &plan);
        }
        if !self.calls.is_empty() {
            let written = |(_, members): &(i64, Members)| {
                let mut call = Vec::from(b"{");
                members.write(&mut call);
                call.push(b'}');
                call
            };
            let calls: Vec<_> = self.calls.iter().map(written).collect();
            let calls = [b"[", &*calls.join(&b','), b"]"].concat();
            push_member(&mut json, "tool_calls", &calls);
        }
        if !self.citations.is_empty() {
            let citations = [b"[", &*self.citations, b"]"].concat();
            push_member(&mut json, "citations", &citations);
        }
        json.push(b'}');
        self.last.push_to(&mut json);
        json.push(b'}');
        json
    }
}

fn written_block((_, start, grows, text): &(i64, Vec<u8>, &'static str, Vec<u8>)) -> Vec<u8> {
    let head = Raw(start)
        .get("type")
        .map_or(&b"\"text\""[..], |kind| kind.0);
    let begun = Raw(start)
        .get(grows)
        .and_then(Raw::quoted)
        .unwrap_or_default();
    let grows = grows.as_bytes();
    [
        b"{\"type\":",
        head,
        b",\"",
        grows,
        b"\":\"",
        begun,
        text,
        b"\"}",
    ]
    .concat()
}
