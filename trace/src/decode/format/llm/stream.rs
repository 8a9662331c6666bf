//! A stream's pieces, whatever frames them: server-sent events, lines, a JSON list that
//! grows, or Amazon's binary frames. Each piece is one JSON object.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::decode::body::{Document, Shape};
use crate::decode::defect::{Defect, Notes};
use crate::decode::format::failure;
use crate::decode::json::{self, Kind, Raw};
use crate::decode::{eventstream, lines, sse};

use super::push_member;

/// A larger piece is passed over: a delta holds a token, or at most an image.
const PIECE_BYTES_MAX: usize = 4 << 20;

/// One piece: a whole JSON object.
pub(in crate::decode::format) struct Piece<'a> {
    /// What the framing calls it; empty where it does not.
    pub(in crate::decode::format) name: &'a [u8],
    /// All of it.
    pub(in crate::decode::format) raw: Raw<'a>,
    /// Its members.
    pub(in crate::decode::format) entries: Vec<(&'a [u8], Raw<'a>)>,
    /// Set if it is nothing but the report of an error.
    pub(in crate::decode::format) is_error: bool,
}

/// The framing of a piece.
#[derive(Clone, Copy)]
struct Label<'a> {
    name: &'a [u8],
    /// Set for exceptions, and for events of the name `error`.
    failed: bool,
}

impl<'a> Piece<'a> {
    /// The member of this name.
    pub(in crate::decode::format) fn get(&self, name: &str) -> Option<Raw<'a>> {
        let found = |(key, value): &(&[u8], Raw<'a>)| (*key == name.as_bytes()).then_some(*value);
        self.entries.iter().find_map(found)
    }

    /// What `type` says it is.
    pub(in crate::decode::format) fn kind(&self) -> &'a [u8] {
        self.get("type").and_then(Raw::quoted).unwrap_or_default()
    }
}

/// What was seen of a stream beside its pieces.
#[derive(Debug, Default)]
pub(in crate::decode::format) struct Flow {
    /// `[DONE]` came.
    pub(in crate::decode::format) done: bool,
    /// The last event is named `done` or `end`, as Replicate's and LangServe's are.
    pub(in crate::decode::format) closed: bool,
    /// The first error that a piece reports: its `error`, or all of it.
    pub(in crate::decode::format) error: Option<Vec<u8>>,
    /// Set if the framing marked that as an error: an event of that name, or an exception.
    pub(in crate::decode::format) failed: bool,
    /// How many pieces there were.
    pub(in crate::decode::format) pieces: usize,
    /// Where the first piece with content ends, in bytes.
    pub(in crate::decode::format) first_content: Option<usize>,
}

const UNNAMED: Label<'_> = Label {
    name: b"",
    failed: false,
};

impl Flow {
    /// Keeps the error that a piece reports. Returns whether the piece is nothing else.
    fn fail(&mut self, piece: &Piece<'_>, failed: bool) -> bool {
        let report = failure::report(&piece.entries, piece.raw);
        let Some(report) = report.or_else(|| failed.then_some(piece.raw)) else {
            return false;
        };
        if self.error.is_none() {
            self.error = Some(report.0.to_vec());
            self.failed = failed;
        }
        report == piece.raw
    }

    /// Keeps an error that is a text.
    fn fail_in_words(&mut self, words: &[u8]) {
        if self.error.is_none() {
            let words = json::quoted(&String::from_utf8_lossy(words));
            self.error = Some(words.into_bytes());
            self.failed = true;
        }
    }
}

/// Whether a response comes in pieces.
pub(in crate::decode::format) fn is_stream(document: &Document) -> bool {
    match &document.shape {
        Shape::Events | Shape::Lines | Shape::Frames => true,
        Shape::Json(outline) | Shape::JsonPart(outline) => outline.kind == Kind::Array,
        _ => false,
    }
}

/// Hands over each piece; `take` says whether it held content.
pub(in crate::decode::format) fn read(
    document: &Document,
    notes: &mut Notes,
    mut take: impl FnMut(&Piece<'_>, &mut Notes) -> bool,
) -> Flow {
    let mut flow = Flow::default();
    let cut = document.cut;
    let bytes = &document.bytes;
    let mut last_name: &[u8] = b"";
    let mut one = |label: Label<'_>, data: &[u8], end: usize, fault: Fault| {
        let data = data.trim_ascii();
        if data.len() > PIECE_BYTES_MAX {
            notes.note(Defect::EventTooLarge);
        } else if data == b"[DONE]" {
            flow.done = true;
        } else if let Some(entries) = Raw(data).checked_entries() {
            flow.pieces += 1;
            let mut piece = Piece {
                name: label.name,
                raw: Raw(data),
                entries,
                is_error: false,
            };
            piece.is_error = flow.fail(&piece, label.failed);
            if take(&piece, notes) {
                flow.first_content.get_or_insert(end);
            }
        } else if label.failed && !data.is_empty() {
            flow.fail_in_words(data);
        } else if let Some(defect) = fault.unless(cut) {
            notes.note(defect);
        }
    };
    match &document.shape {
        Shape::Events => {
            for event in sse::events(bytes) {
                let fault = match event.ended {
                    true => Fault::Whole(Defect::MalformedSse),
                    false => Fault::Torn(Defect::TornSse),
                };
                let label = Label {
                    name: event.name,
                    failed: event.name == b"error",
                };
                one(label, &event.data, event.end, fault);
                last_name = event.name;
            }
        }
        Shape::Lines => {
            for line in lines::lines(bytes) {
                let fault = match line.ended {
                    true => Fault::Whole(Defect::MalformedLine),
                    false => Fault::Torn(Defect::TornLine),
                };
                one(UNNAMED, line.data, line.end, fault);
            }
        }
        Shape::Frames => {
            for frame in eventstream::frames(bytes) {
                match frame {
                    Ok(frame) => {
                        let fault = Fault::Whole(Defect::MalformedFrame);
                        let label = Label {
                            name: frame.name(),
                            failed: !frame.exception.is_empty(),
                        };
                        one(label, &object_of(&frame), frame.end, fault);
                    }
                    Err(eventstream::Broken::Malformed) => {
                        one(UNNAMED, b"", 0, Fault::Whole(Defect::MalformedFrame));
                    }
                    Err(eventstream::Broken::Torn) => {
                        one(UNNAMED, b"", 0, Fault::Torn(Defect::TornFrame));
                    }
                }
            }
        }
        Shape::Json(_) | Shape::JsonPart(_) => {
            let base = bytes.as_ptr() as usize;
            for element in Raw(bytes.trim_ascii()).elements() {
                let end = (element.0.as_ptr() as usize).saturating_sub(base) + element.0.len();
                one(UNNAMED, element.0, end, Fault::Whole(Defect::MalformedJson));
            }
        }
        _ => {}
    }
    flow.closed = matches!(last_name, b"done" | b"end");
    flow
}

/// Calls `look` with the first piece of a stream in text, if that is among the first events.
pub(in crate::decode::format) fn first<T>(
    document: &Document,
    look: impl FnOnce(&Piece<'_>) -> T,
) -> Option<T> {
    /// Beyond this many comments and the like, no piece is looked for.
    const EVENTS_MAX: usize = 4;

    let look = |name: &[u8], data: &[u8]| {
        let raw = Raw(data.trim_ascii());
        let entries = raw.checked_entries()?;
        Some(look(&Piece {
            name,
            raw,
            entries,
            is_error: false,
        }))
    };
    match &document.shape {
        Shape::Events => {
            let mut events = sse::events(&document.bytes).take(EVENTS_MAX);
            let event = events.find(|event| event.data.trim_ascii().starts_with(b"{"))?;
            look(event.name, &event.data)
        }
        Shape::Lines => look(b"", lines::lines(&document.bytes).next()?.data),
        _ => None,
    }
}

/// Why a piece that cannot be read cannot.
enum Fault {
    /// It came whole.
    Whole(Defect),
    /// The stream ended in it.
    Torn(Defect),
}

impl Fault {
    /// The defect; a stream that was cut has to end somewhere.
    fn unless(self, cut: bool) -> Option<Defect> {
        match self {
            Self::Whole(defect) => Some(defect),
            Self::Torn(defect) => (!cut).then_some(defect),
        }
    }
}

/// A frame as one JSON object: what a `chunk` wraps, an exception as an `error`, or the
/// payload under the event's name.
fn object_of<'a>(frame: &eventstream::Frame<'a>) -> Cow<'a, [u8]> {
    let payload = match std::str::from_utf8(frame.payload) {
        Ok(payload) => payload.as_bytes(),
        Err(_) if frame.exception.is_empty() => return Cow::Borrowed(b""),
        Err(_) => b"",
    };
    if frame.event == b"chunk" {
        let wrapped = Raw(frame.payload).get("bytes").and_then(Raw::quoted);
        let plain = wrapped.and_then(|text| STANDARD.decode(text).ok());
        let plain = plain.filter(|plain| std::str::from_utf8(plain).is_ok());
        return Cow::Owned(plain.unwrap_or_default());
    }
    let name = frame.name();
    let name = std::str::from_utf8(name).unwrap_or_default();
    let mut object = Vec::with_capacity(frame.payload.len() + name.len() + 32);
    if frame.exception.is_empty() {
        object.push(b'{');
        json::push_quoted(&mut object, name);
        object.push(b':');
        object.extend_from_slice(frame.payload);
        object.push(b'}');
    } else {
        object.extend_from_slice(b"{\"error\":{\"type\":");
        json::push_quoted(&mut object, name);
        let payload = Raw(payload);
        let message = payload.get("message").or_else(|| payload.get("Message"));
        // SageMaker: why a stream of its broke.
        let code = payload.get("ErrorCode");
        for (key, value) in [("code", code), ("message", message)] {
            if let Some(value) = value {
                push_member(&mut object, key, value.0);
            }
        }
        if message.is_none() && !frame.message.is_empty() {
            object.extend_from_slice(b",\"message\":");
            json::push_quoted(&mut object, &String::from_utf8_lossy(frame.message));
        }
        object.extend_from_slice(b"}}");
    }
    Cow::Owned(object)
}
