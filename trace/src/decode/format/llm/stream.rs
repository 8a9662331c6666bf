//! A stream's pieces, whatever frames them: server-sent events, lines, a JSON list that
//! grows, or Amazon's binary frames. Each piece is one JSON object.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::decode::body::{Document, Shape};
use crate::decode::defect::{Defect, Notes};
use crate::decode::json::{self, Kind, Raw};
use crate::decode::{eventstream, lines, sse};

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
    /// How many pieces there were.
    pub(in crate::decode::format) pieces: usize,
    /// Where the first piece with content ends, in bytes.
    pub(in crate::decode::format) first_content: Option<usize>,
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
    let mut one = |name: &[u8], data: &[u8], end: usize, fault: Fault| {
        let data = data.trim_ascii();
        if data.len() > PIECE_BYTES_MAX {
            notes.note(Defect::EventTooLarge);
        } else if data == b"[DONE]" {
            flow.done = true;
        } else if let Some(entries) = Raw(data).checked_entries() {
            flow.pieces += 1;
            let raw = Raw(data);
            if take(&Piece { name, raw, entries }, notes) {
                flow.first_content.get_or_insert(end);
            }
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
                one(event.name, &event.data, event.end, fault);
            }
        }
        Shape::Lines => {
            for line in lines::lines(bytes) {
                let fault = match line.ended {
                    true => Fault::Whole(Defect::MalformedLine),
                    false => Fault::Torn(Defect::TornLine),
                };
                one(b"", line.data, line.end, fault);
            }
        }
        Shape::Frames => {
            for frame in eventstream::frames(bytes) {
                match frame {
                    Ok(frame) => {
                        let fault = Fault::Whole(Defect::MalformedFrame);
                        one(frame.name(), &object_of(&frame), frame.end, fault);
                    }
                    Err(eventstream::Broken::Malformed) => {
                        one(b"", b"", 0, Fault::Whole(Defect::MalformedFrame));
                    }
                    Err(eventstream::Broken::Torn) => {
                        one(b"", b"", 0, Fault::Torn(Defect::TornFrame));
                    }
                }
            }
        }
        Shape::Json(_) | Shape::JsonPart(_) => {
            let base = bytes.as_ptr() as usize;
            for element in Raw(bytes.trim_ascii()).elements() {
                let end = (element.0.as_ptr() as usize).saturating_sub(base) + element.0.len();
                one(b"", element.0, end, Fault::Whole(Defect::MalformedJson));
            }
        }
        _ => {}
    }
    flow
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
    if std::str::from_utf8(frame.payload).is_err() {
        return Cow::Borrowed(b"");
    }
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
        if let Some(message) = Raw(frame.payload).get("message") {
            object.extend_from_slice(b",\"message\":");
            object.extend_from_slice(message.0);
        }
        object.extend_from_slice(b"}}");
    }
    Cow::Owned(object)
}
