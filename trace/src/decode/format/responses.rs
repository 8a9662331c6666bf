//! OpenAI's Responses: typed events, the last of which holds the whole response.

use crate::decode::body::Document;
use crate::decode::defect::{Defect, Notes};
use crate::decode::json::Raw;

use super::close::Close;
use super::llm::{self, Api, Merged, Piece, close, push_member};

/// The API.
pub(super) const API: Api = Api {
    operation: "chat",
    span_type: "CHAT_MODEL",
    message_format: Some("openai"),
    owns: |piece| piece.kind().starts_with(b"response."),
    merge: read,
    drawn: None,
};

/// Items of one response beyond this many are passed over.
const ITEMS_MAX: usize = 1024;

/// Parts of one item beyond this many are passed over.
const PARTS_MAX: usize = 256;

/// An event that adds to a text.
struct Delta {
    /// Its type.
    event: &'static [u8],
    /// The member of the item that it adds to.
    member: &'static str,
    /// The type and the key of the part there; without them the member is the text itself.
    part: Option<(&'static str, &'static str)>,
}

const DELTAS: [Delta; 7] = [
    Delta::part("response.output_text.delta", "content", "output_text"),
    Delta {
        event: b"response.refusal.delta",
        member: "content",
        part: Some(("refusal", "refusal")),
    },
    Delta::part("response.reasoning_text.delta", "content", "reasoning_text"),
    Delta::part(
        "response.reasoning_summary_text.delta",
        "summary",
        "summary_text",
    ),
    Delta::whole("response.function_call_arguments.delta", "arguments"),
    Delta::whole("response.mcp_call_arguments.delta", "arguments"),
    Delta::whole("response.custom_tool_call_input.delta", "input"),
];

impl Delta {
    const fn part(event: &'static str, member: &'static str, kind: &'static str) -> Self {
        Self {
            event: event.as_bytes(),
            member,
            part: Some((kind, "text")),
        }
    }

    const fn whole(event: &'static str, member: &'static str) -> Self {
        Self {
            event: event.as_bytes(),
            member,
            part: None,
        }
    }
}

/// A response while it is put together from its events.
#[derive(Debug, Default)]
struct Response {
    /// The response as the last event that held it has it.
    whole: Option<Vec<u8>>,
    items: Vec<Item>,
    /// An item that grows without having been added: MLflow's agents send the pieces of its text, and
    /// then the whole item.
    loose: Option<Item>,
    done: bool,
}

/// An item of the output.
#[derive(Debug)]
struct Item {
    index: i64,
    /// What events call it that have no index, as llama.cpp's.
    id: Vec<u8>,
    /// As it was added, and then as it was done.
    raw: Vec<u8>,
    done: bool,
    parts: Vec<Part>,
}

/// A text while it grows: a row of [`DELTAS`], and its place among its like.
#[derive(Debug)]
struct Part {
    row: usize,
    index: i64,
    text: Vec<u8>,
}

fn read(document: &Document, notes: &mut Notes) -> Option<Merged> {
    let mut response = Response::default();
    let flow = llm::stream::read(document, notes, |piece, notes| response.take(piece, notes));
    response.items.extend(response.loose.take());
    let empty = response.whole.is_none() && response.items.is_empty();
    if empty && flow.error.is_none() {
        return None;
    }
    let open = Close::missing_if(response.is_open());
    Some(Merged {
        close: Close::last_word_or(response.done || flow.done, open),
        json: response.written(),
        flow,
    })
}

impl Response {
    /// Adds an event. Whether it held content.
    fn take(&mut self, piece: &Piece<'_>, notes: &mut Notes) -> bool {
        let kind = match piece.kind() {
            b"" => piece.name,
            kind => kind,
        };
        match kind {
            b"response.output_item.added" | b"response.output_item.done" => {
                self.item(piece, kind.ends_with(b"done"), notes);
            }
            _ => {
                if let Some(row) = DELTAS.iter().position(|delta| delta.event == kind) {
                    return self.grow(row, piece);
                }
                if let Some(whole) = piece.get("response") {
                    self.whole = Some(whole.0.to_vec());
                    self.done |= matches!(
                        kind,
                        b"response.completed"
                            | b"response.incomplete"
                            | b"response.failed"
                            | b"response.cancelled"
                    );
                }
            }
        }
        false
    }

    /// Returns whether more was to come. An event with the response announces a last one that has
    /// it, too; MLflow's agents send items alone, and their answer is whole once those are.
    fn is_open(&self) -> bool {
        self.whole.is_some() || self.items.iter().any(|item| !item.done)
    }

    fn item(&mut self, piece: &Piece<'_>, done: bool, notes: &mut Notes) {
        let Some(raw) = piece.get("item") else {
            return;
        };
        let id = raw.get("id").and_then(Raw::quoted).unwrap_or_default();
        // Not every agent gives the deltas the id of the item.
        let same = |loose: &Item| loose.id == id || Raw(&loose.raw).get("type") == raw.get("type");
        self.loose = self.loose.take().filter(|loose| !done || !same(loose));
        match self.place(piece, id) {
            Some(at) => {
                if let Some(item) = self.items.get_mut(at) {
                    item.raw = raw.0.to_vec();
                    item.done |= done;
                }
            }
            None if self.items.len() < ITEMS_MAX => self.items.push(Item {
                index: output_index(piece).unwrap_or(self.items.len() as i64),
                id: id.to_vec(),
                raw: raw.0.to_vec(),
                done,
                parts: Vec::new(),
            }),
            None => notes.note(Defect::TooManyParts),
        }
    }

    /// Which item an event is about: by its index, else by its id.
    fn place(&self, piece: &Piece<'_>, id: &[u8]) -> Option<usize> {
        match output_index(piece) {
            Some(index) => self.items.iter().position(|item| item.index == index),
            None => self.items.iter().position(|item| item.id == id),
        }
    }

    fn grow(&mut self, row: usize, piece: &Piece<'_>) -> bool {
        let delta = piece.get("delta").and_then(Raw::quoted).unwrap_or_default();
        let index = piece
            .get("content_index")
            .or_else(|| piece.get("summary_index"))
            .and_then(Raw::integer)
            .unwrap_or(0);
        let id = piece.get("item_id").and_then(Raw::quoted);
        let id = id.unwrap_or_default();
        if delta.is_empty() {
            return false;
        }
        let item = match self.place(piece, id) {
            Some(at) => self.items.get_mut(at),
            None => Some(self.loose(row, piece, id)),
        };
        let Some(item) = item else {
            return false;
        };
        let known = |part: &Part| part.row == row && part.index == index;
        match item.parts.iter().position(known) {
            Some(at) => {
                if let Some(part) = item.parts.get_mut(at) {
                    part.text.extend_from_slice(delta);
                }
            }
            None if item.parts.len() < PARTS_MAX => item.parts.push(Part {
                row,
                index,
                text: delta.to_vec(),
            }),
            None => {}
        }
        true
    }

    /// Returns the item that grows without having been added.
    fn loose(&mut self, row: usize, piece: &Piece<'_>, id: &[u8]) -> &mut Item {
        if self.loose.as_ref().is_some_and(|loose| loose.id != id) && self.items.len() < ITEMS_MAX {
            self.items.extend(self.loose.take());
        }
        let index = output_index(piece).unwrap_or(self.items.len() as i64);
        self.loose.get_or_insert_with(|| Item {
            index,
            id: id.to_vec(),
            raw: begun(row, id),
            done: false,
            parts: Vec::new(),
        })
    }

    /// The response as its last event has it; its output from the items where it has none.
    fn written(mut self) -> Vec<u8> {
        self.items.sort_by_key(|item| item.index);
        let whole = self
            .whole
            .as_deref()
            .unwrap_or(b"{\"object\":\"response\"}");
        let mut json = Vec::from(b"{\"object\":\"response\"");
        let mut has_output = false;
        for (key, value) in Raw(whole).entries() {
            match key {
                b"object" => {}
                b"output" if value.elements().next().is_none() => {}
                _ => {
                    has_output |= key == b"output";
                    push_member(&mut json, &String::from_utf8_lossy(key), value.0);
                }
            }
        }
        if !has_output {
            json.extend_from_slice(b",\"output\":[");
            for (at, item) in self.items.iter().enumerate() {
                if at > 0 {
                    json.push(b',');
                }
                item.write(&mut json);
            }
            json.push(b']');
        }
        json.push(b'}');
        json
    }
}

impl Item {
    fn write(&self, json: &mut Vec<u8>) {
        if self.done || self.parts.is_empty() {
            return json.extend_from_slice(&self.raw);
        }
        let member = |part: &Part| DELTAS.get(part.row).map_or("", |delta| delta.member);
        let grown = |key: &[u8]| self.parts.iter().any(|part| member(part).as_bytes() == key);
        let begin = json.len();
        json.push(b'{');
        for (key, value) in Raw(&self.raw).entries().filter(|(key, _)| !grown(key)) {
            push_member(json, &String::from_utf8_lossy(key), value.0);
        }
        for name in ["content", "summary", "arguments", "input"] {
            let parts = self.parts.iter().filter(|part| member(part) == name);
            let written: Vec<Vec<u8>> = parts.map(Part::written).collect();
            match name {
                _ if written.is_empty() => {}
                "content" | "summary" => {
                    let list = [b"[", &*written.join(&b','), b"]"].concat();
                    push_member(json, name, &list);
                }
                _ => push_member(json, name, &written.concat()),
            }
        }
        close(json, begin);
    }
}

impl Part {
    fn written(&self) -> Vec<u8> {
        let quoted = [b"\"", &*self.text, b"\""].concat();
        match DELTAS.get(self.row).and_then(|delta| delta.part) {
            None => quoted,
            Some((kind, key)) => {
                let head = format!("{{\"type\":\"{kind}\",\"{key}\":");
                [head.as_bytes(), &quoted, b"}"].concat()
            }
        }
    }
}

/// Returns an item as it would have been added, for the delta that adds to it.
fn begun(row: usize, id: &[u8]) -> Vec<u8> {
    let delta = DELTAS.get(row);
    let kind = match delta.and_then(|delta| delta.part) {
        Some(("output_text" | "refusal", _)) => r#""message","role":"assistant""#,
        Some(_) => r#""reasoning""#,
        None if delta.is_some_and(|delta| delta.member == "input") => r#""custom_tool_call""#,
        None => r#""function_call""#,
    };
    [b"{\"id\":\"", id, b"\",\"type\":", kind.as_bytes(), b"}"].concat()
}

fn output_index(piece: &Piece<'_>) -> Option<i64> {
    piece.get("output_index").and_then(Raw::integer)
}

/// Whether a response is one by its own words, or an event of one.
pub(super) fn answers(response: &Document) -> bool {
    /// How far into a response its `object` is looked for.
    const LOOK_BYTES: usize = 512;

    let head = response.bytes.get(..LOOK_BYTES).unwrap_or(&response.bytes);
    let has = |word: &[u8]| memchr::memmem::find(head, word).is_some();
    has(b"\"response\"") || has(b"\"response.")
}
