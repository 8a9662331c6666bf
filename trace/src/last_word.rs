//! The last word of a stream: the event that ends an answer, before the body's own end.
//!
//! Many clients close the connection at that event. The request path cannot decode a stream to find
//! out whether it was whole, so it keeps a copy of the last bytes, in constant memory, and reads them
//! only if the connection broke off.
//!
//! Only the last event counts. The finish reason of an OpenAI chat is not the last word, because usage
//! and `[DONE]` follow, nor is Converse's `messageStop`, because `metadata` follows. Compressed bodies
//! (`content-encoding`) are not recognised.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::{memmem, memrchr};

use crate::decode::json::Raw;
use crate::decode::sse;

/// The most that is held.
const HELD_MAX: usize = 4096;

/// What stays when the oldest bytes are let go.
const HELD_MIN: usize = 1024;

/// A larger piece takes the place of all that is held.
const PIECE_MAX: usize = HELD_MAX - HELD_MIN;

/// The longest separator of events, in bytes: `\r\n\r\n`. It shows where an event begins.
const SEPARATOR_MAX: usize = 4;

/// How much is kept of the beginning of an event that is larger than what is held.
const START_BYTES: usize = 256;

/// Where a frame of Amazon's event stream names its event: a header's name and its type, a string.
const EVENT_TYPE: &[u8] = b":event-type\x07";

/// The last bytes of a stream that is under way: 5 KiB at most, whatever passed.
#[derive(Debug)]
pub struct StreamEnd {
    framing: Framing,
    /// It began like any JSON, and no piece has ended with a line yet.
    undecided: bool,
    held: Vec<u8>,
    /// Whether `held` no longer begins where the stream does.
    slid: bool,
    /// The beginning of the last event whose beginning is not in `held` any more.
    start: Vec<u8>,
}

/// How events follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Server-sent events.
    Events,
    /// A JSON value a line.
    Lines,
    /// `application/vnd.amazon.eventstream`.
    Frames,
    /// One JSON list that grows.
    List,
}

/// An event, or as much of its beginning as is known.
#[derive(Clone, Copy)]
struct Event<'a> {
    name: &'a [u8],
    data: &'a [u8],
    /// The stream's last bytes, where `data` is not all of it.
    tail: Option<&'a [u8]>,
}

impl StreamEnd {
    /// Returns the state for a body that begins with these bytes, `None` if it does not look like a
    /// stream of events. The bytes decide, not the content type; they have to be passed as well.
    pub fn of(first: &[u8]) -> Option<Box<Self>> {
        let framing = Framing::of(first)?;
        let undecided = framing == Framing::Lines && !first.ends_with(b"\n");
        let held = if undecided { 0 } else { HELD_MAX };
        Some(Box::new(Self {
            framing,
            undecided,
            held: Vec::with_capacity(held),
            slid: false,
            start: Vec::new(),
        }))
    }

    /// Takes the next piece of the body.
    pub fn pass(&mut self, piece: &[u8]) {
        if self.undecided {
            if !piece.ends_with(b"\n") {
                return;
            }
            (self.undecided, self.slid) = (false, true);
        }
        if piece.len() > PIECE_MAX {
            return self.pass_large(piece);
        }
        if self.held.len() + piece.len() > HELD_MAX {
            self.slide();
        }
        self.held.extend_from_slice(piece);
    }

    /// Takes a piece beside which no room is left for what is held.
    fn pass_large(&mut self, piece: &[u8]) {
        match self.framing.last_start(piece) {
            Some(at) => self.start = beginning(piece, at),
            None => {
                self.slide();
                // With this much more of it, a blank line that was torn in two is seen.
                self.held.extend_from_slice(&beginning(piece, 0));
                self.note_start(self.held.len());
            }
        }
        let last = piece.len().saturating_sub(HELD_MAX);
        self.held.clear();
        self.held
            .extend_from_slice(piece.get(last..).unwrap_or_default());
        self.slid = true;
    }

    /// Lets the oldest bytes go.
    fn slide(&mut self) {
        let goes = self.held.len().saturating_sub(HELD_MIN);
        if goes > 0 {
            self.note_start(goes);
            self.held.drain(..goes);
            self.slid = true;
        }
    }

    /// Returns whether the last event that passed is whole, and is one that ends an answer in its API.
    pub fn is_last_word(&self) -> bool {
        match self.framing {
            Framing::Frames => frame_ends(&self.held) || frame_ends(&self.start),
            Framing::List => list_ends(&self.held),
            Framing::Events | Framing::Lines => self.event_ends(),
        }
    }

    fn event_ends(&self) -> bool {
        let mut upto = self.held.as_slice();
        loop {
            let at = match self.framing.last_start(upto) {
                Some(at) => at,
                None if self.slid => return self.large_event_ends(),
                None => 0,
            };
            let (before, event) = upto.split_at_checked(at).unwrap_or_default();
            match (self.framing, sse::events(event).last()) {
                (Framing::Lines, _) => return Event::whole(b"", event).is_last(),
                (_, Some(event)) => return Event::whole(event.name, &event.data).is_last(),
                // A comment.
                (_, None) if before.is_empty() => return false,
                (_, None) => upto = before,
            }
        }
    }

    /// Judges a last event that began before what is held, by its two ends.
    fn large_event_ends(&self) -> bool {
        let tail = Some(self.held.as_slice());
        let ended = self.held.ends_with(b"\n") && self.held.trim_ascii_end().ends_with(b"}");
        if self.framing == Framing::Lines {
            let (name, data) = (&b""[..], self.start.as_slice());
            return ended && Event { name, data, tail }.is_last();
        }
        let event = sse::events(&self.start).last();
        ended
            && event.is_some_and(|event| {
                let (name, data) = (event.name, &*event.data);
                Event { name, data, tail }.is_last()
            })
    }

    /// Keeps the beginning of the last event, if it cannot be found without the first `goes` bytes.
    fn note_start(&mut self, goes: usize) {
        let first = (!self.slid).then_some(0);
        let at = self.framing.last_start(&self.held).or(first);
        if let Some(at) = at.filter(|at| *at < goes + SEPARATOR_MAX) {
            self.start = beginning(&self.held, at);
        }
    }
}

impl Framing {
    fn of(first: &[u8]) -> Option<Self> {
        match first {
            [b'd' | b'e' | b'i' | b'r' | b':' | b'\r' | b'\n' | 0xef, ..] => Some(Self::Events),
            // One JSON value as a whole, most likely.
            [b'{', .., b'}'] => None,
            [b'{', ..] => Some(Self::Lines),
            [b'[', ..] => Some(Self::List),
            // Lengths of a frame and of its headers, highest byte first.
            [0, _, _, _, 0, 0, ..] => Some(Self::Frames),
            _ => None,
        }
    }

    /// Returns where the last event begins, if it is in these bytes and not the first.
    fn last_start(self, bytes: &[u8]) -> Option<usize> {
        let text = bytes.trim_ascii_end();
        match self {
            Self::Events => {
                let mut upto = text;
                while let Some(end) = memrchr(b'\n', upto) {
                    upto = upto.get(..end)?;
                    let line = upto.strip_suffix(b"\r").unwrap_or(upto);
                    if line.ends_with(b"\n") {
                        return Some(end + 1);
                    }
                }
                None
            }
            Self::Lines => memrchr(b'\n', text).map(|end| end + 1),
            Self::Frames => memmem::rfind(bytes, EVENT_TYPE),
            Self::List => None,
        }
    }
}

fn beginning(bytes: &[u8], at: usize) -> Vec<u8> {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.get(..START_BYTES).unwrap_or(rest).to_vec()
}

impl<'a> Event<'a> {
    fn whole(name: &'a [u8], data: &'a [u8]) -> Self {
        Self {
            name,
            data,
            tail: None,
        }
    }

    fn is_last(self) -> bool {
        let data = self.data.trim_ascii();
        if data == b"[DONE]" {
            return true;
        }
        let known = match self.tail {
            None => Raw(data).checked_entries(),
            Some(_) => Some(Raw(data).entries().collect()),
        };
        let Some(known) = known.map(Entries) else {
            return false;
        };
        let kinds = [
            Some(self.name),
            known.text("type"),
            known.text("event_type"),
        ];
        kinds.into_iter().flatten().any(is_last_kind)
            || known.end_an_answer()
            || known.answer_a_call(self)
            || known.stop_gemini(self.tail)
    }
}

/// Returns whether an event of this name ends an answer: in Anthropic's API, OpenAI's Responses and
/// Cohere's. An error does in every API.
fn is_last_kind(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"message_stop"
            | b"response.completed"
            | b"response.incomplete"
            | b"response.failed"
            | b"response.cancelled"
            | b"message-end"
            | b"stream-end"
            | b"error"
    )
}

/// The members of an event's object.
struct Entries<'a>(Vec<(&'a [u8], Raw<'a>)>);

impl<'a> Entries<'a> {
    /// The member of this name, if it is not null.
    fn get(&self, name: &str) -> Option<Raw<'a>> {
        let found = |(key, value): &(&[u8], Raw<'a>)| (*key == name.as_bytes()).then_some(*value);
        self.0
            .iter()
            .find_map(found)
            .filter(|value| value.0 != b"null")
    }

    fn text(&self, name: &str) -> Option<&'a [u8]> {
        self.get(name)?.quoted()
    }

    /// Returns whether a flag or a reason ends the answer, in an API whose streams are answers in a
    /// row: Ollama, llama.cpp, Cohere, TGI, and the models of Bedrock.
    fn end_an_answer(&self) -> bool {
        let flags = ["done", "stop", "is_finished"];
        let reasons = [
            "stop_reason",
            "stopReason",
            "finish_reason",
            "completionReason",
            "generated_text",
            "error",
            "amazon-bedrock-invocationMetrics",
        ];
        let is_true = |name: &&str| self.get(name).and_then(Raw::truth) == Some(true);
        let is_there = |name: &&str| self.get(name).is_some();
        flags.iter().any(is_true) || reasons.iter().any(is_there)
    }

    /// Returns whether this is a response of JSON-RPC 2.0 (section 5), which has a result and the id of
    /// its call. In MCP it ends the stream that answers a POST.
    fn answer_a_call(&self, event: Event<'_>) -> bool {
        let has = |text: &[u8], word: &[u8]| memmem::find(text, word).is_some();
        let Some(tail) = event.tail else {
            let answered = self.get("result").is_some();
            return answered && self.get("jsonrpc").is_some() && self.get("id").is_some();
        };
        // Of a large response only the members before or behind its result are known.
        let before = self.get("jsonrpc").is_some() && self.get("id").is_some();
        let before = before && self.get("method").is_none();
        [&b"\"result\":"[..], b"\"error\":"].iter().any(|member| {
            let first = event.data.strip_prefix(b"{").unwrap_or_default();
            let behind = first.starts_with(member) && has(tail, b"\"jsonrpc\":\"2.0\"");
            behind || (before && has(event.data, member))
        })
    }

    /// Returns whether a candidate of Google's `generateContent` has a finish reason, or the prompt was
    /// refused.
    fn stop_gemini(&self, tail: Option<&[u8]>) -> bool {
        if let Some(tail) = tail {
            return memmem::find(tail, b"\"finishReason\"").is_some();
        }
        let mut candidates = self.get("candidates").into_iter().flat_map(Raw::elements);
        let says = |value: Option<Raw<'_>>| value.is_some_and(|value| value.0 != b"null");
        let feedback = self.get("promptFeedback");
        says(feedback.and_then(|feedback| feedback.get("blockReason")))
            || candidates.any(|one| says(one.get("finishReason")))
    }
}

/// Returns whether the last frame is Converse's last, or wraps a last event of a model's own API.
fn frame_ends(held: &[u8]) -> bool {
    let Some(at) = Framing::Frames.last_start(held) else {
        return false;
    };
    let header = held.get(at + EVENT_TYPE.len()..).unwrap_or_default();
    let Some((length, rest)) = header.split_first_chunk::<2>() else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes(*length));
    let Some((name, rest)) = rest.split_at_checked(length) else {
        return false;
    };
    match name {
        b"metadata" => true,
        b"chunk" => wrapped(rest).is_some_and(|event| Event::whole(b"", &event).is_last()),
        _ => false,
    }
}

/// Decodes the event that a chunk of Bedrock's `invoke` wraps, Base64 in its `bytes`.
fn wrapped(frame: &[u8]) -> Option<Vec<u8>> {
    let object = frame.get(memchr::memchr(b'{', frame)?..)?;
    STANDARD.decode(Raw(object).get("bytes")?.quoted()?).ok()
}

/// Returns whether the last response of Gemini's list has a finish reason, and is closed.
fn list_ends(held: &[u8]) -> bool {
    let closed = matches!(held.trim_ascii_end(), [.., b'}' | b']']);
    let last = memmem::rfind(held, b"\"candidates\"").unwrap_or(0);
    let last = held.get(last..).unwrap_or_default();
    closed && memmem::find(last, b"\"finishReason\"").is_some()
}

#[cfg(test)]
mod tests;
