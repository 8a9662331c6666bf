//! One body made ready to read: joined, opened, checked for UTF-8, and looked at for its shape.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, header};

use crate::{Body, Headers, Plan, Redaction, Text};

use super::defect::{Defect, Notes};
use super::encoding;
use super::json::{self, Fault, Outline, Raw};
use super::lines;
use super::media;
use super::text;

/// A content type longer than this is cut, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 256;

/// How many bytes of a body are JSON, where tensors follow (KServe's binary extension).
static JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// A body and what it turned out to be.
#[derive(Debug)]
pub(crate) struct Document {
    /// Without content codings; UTF-8 unless the shape is [`Shape::Opaque`].
    pub(crate) bytes: Bytes,
    /// What it is.
    pub(crate) shape: Shape,
    /// What `content-type` calls it.
    pub(crate) media: Media,
    /// `content-type` itself.
    pub(crate) content_type: Option<String>,
    /// Its true size on the wire.
    pub(crate) wire_bytes: u64,
    /// Whether `bytes` stop before the body does.
    pub(crate) cut: bool,
    /// What follows the JSON, where a field says that it ends before the body does: tensors.
    pub(crate) tail: Option<Tail>,
    /// Where `bytes` begin in the body without its codings; `None` where they were changed.
    pub(crate) plain_from: Option<usize>,
}

/// What follows a body's JSON.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) bytes: Bytes,
    /// Whether more followed.
    pub(crate) cut: bool,
}

/// What a body is, judged by its bytes.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Nothing.
    Empty,
    /// One JSON value.
    Json(Outline),
    /// The beginning of a JSON value whose rest is missing.
    JsonPart(Outline),
    /// A stream of server-sent events.
    Events,
    /// JSON values, a line each.
    Lines,
    /// A stream of Amazon's binary frames; not UTF-8.
    Frames,
    /// Some other text.
    Text,
    /// Not text, or text that is nobody's business, as a form's is.
    Opaque,
}

impl Shape {
    /// Whether there is a body.
    pub(crate) fn is_something(&self) -> bool {
        !matches!(self, Self::Empty)
    }
}

/// What a body is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// Nothing was said.
    Unknown,
    Json,
    EventStream,
    /// Newline-delimited JSON.
    Lines,
    /// Amazon's binary event stream.
    Frames,
    Csv,
    Text,
    /// A form.
    Form,
    /// Parts, each with a name and a type of its own.
    Multipart,
    /// Messages of gRPC.
    Grpc,
    Binary,
}

impl Document {
    /// Reads one message's body. `ended`: the message came to its end, as far as the
    /// transport knows.
    pub(crate) fn read(
        headers: &Headers,
        body: &Body,
        ended: bool,
        plan: &Plan,
        notes: &mut Notes,
    ) -> Self {
        if body.truncated {
            notes.note(Defect::BodyTruncated);
        }
        let opened = encoding::open(headers, join(body), body.truncated, plan.decoded_max, notes);
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map(String::from_utf8_lossy);
        let content_type =
            content_type.map(|value| text::cut(&value, CONTENT_TYPE_BYTES_MAX).to_owned());
        let mut document = Self {
            bytes: opened.bytes,
            shape: Shape::Opaque,
            media: content_type.as_deref().map_or(Media::Unknown, Media::of),
            content_type,
            wire_bytes: body.bytes,
            cut: opened.cut,
            tail: None,
            plain_from: Some(0),
        };
        if !opened.encoded {
            document.split_tail(headers);
        }
        if document.bytes.is_empty() && !document.cut {
            document.shape = Shape::Empty;
        } else if !opened.encoded && document.media == Media::Frames {
            document.shape = Shape::Frames;
        } else if !opened.encoded && document.make_text(notes) {
            document.shape = document.look(ended, &plan.redaction, notes);
        }
        document
    }

    /// Takes off what KServe's binary extension puts after the JSON.
    fn split_tail(&mut self, headers: &Headers) {
        let len = headers.text(&JSON_LENGTH);
        let len = len.and_then(|len| len.parse::<usize>().ok());
        let Some(len) = len else {
            return;
        };
        self.media = Media::Json;
        if len <= self.bytes.len() {
            let bytes = self.bytes.split_off(len);
            // The JSON is whole, whatever was cut.
            let cut = std::mem::take(&mut self.cut);
            self.tail = Some(Tail { bytes, cut });
        }
    }

    /// The body as text, shared; nothing where it is not text.
    pub(crate) fn text(&self) -> Text {
        match self.shape {
            Shape::Opaque | Shape::Frames => Text::default(),
            _ => Text::trusted(self.bytes.clone()),
        }
    }

    /// Whether there is no body, or one that was found to be JSON with nothing that is hard to read.
    pub(crate) fn is_easy(&self) -> bool {
        match &self.shape {
            Shape::Empty => true,
            Shape::Json(outline) => !outline.seen.hard,
            _ => false,
        }
    }

    /// Whether `text` shares this body's memory.
    pub(crate) fn is(&self, text: &Text) -> bool {
        std::ptr::eq(&raw const **text.as_bytes(), &raw const *self.bytes)
    }

    /// The outline, where the body is JSON or begins as JSON.
    pub(crate) fn outline(&self) -> Option<&Outline> {
        match &self.shape {
            Shape::Json(outline) | Shape::JsonPart(outline) => Some(outline),
            _ => None,
        }
    }

    /// The member of this name, cut where the body was.
    pub(crate) fn member(&self, name: &str) -> Option<Raw<'_>> {
        let member = self.outline()?.member(&self.bytes, name)?;
        member.raw(&self.bytes)
    }

    /// Makes the bytes UTF-8 if they are meant to be text. `false`: they are not.
    fn make_text(&mut self, notes: &mut Notes) -> bool {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

        if matches!(
            self.media,
            Media::Binary | Media::Form | Media::Multipart | Media::Grpc
        ) {
            return false;
        }
        if self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.bytes = self.bytes.slice(BYTE_ORDER_MARK.len()..);
            self.plain_from = self.plain_from.map(|from| from + BYTE_ORDER_MARK.len());
        }
        let Err(error) = std::str::from_utf8(&self.bytes) else {
            return true;
        };
        if self.cut && error.error_len().is_none() {
            // The cut went through a character.
            self.bytes.truncate(error.valid_up_to());
            return true;
        }
        if self.media == Media::Unknown {
            return false;
        }
        let mended = Text::from_utf8_lossy(self.bytes.clone());
        if mended.as_bytes().len() > 2 * self.bytes.len() {
            return false;
        }
        notes.note(Defect::InvalidUtf8);
        self.plain_from = None;
        self.bytes = mended.as_bytes().clone();
        true
    }

    fn look(&mut self, ended: bool, redaction: &Redaction, notes: &mut Notes) -> Shape {
        let first = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let like_json = matches!(first, Some(b'{' | b'['));
        match self.media {
            Media::EventStream => return Shape::Events,
            Media::Unknown if is_event(&self.bytes) => return Shape::Events,
            Media::Lines => return Shape::Lines,
            Media::Json | Media::Unknown if lines::are_objects(&self.bytes) => {
                return Shape::Lines;
            }
            Media::Json => {}
            Media::Unknown | Media::Text if like_json => {}
            _ => return self.plain(redaction, notes),
        }
        let outline = self.prepare(redaction, notes);
        if outline.seen.surrogates
            && let Some(mended) = json::mend_surrogates(&self.bytes)
        {
            // The same length: the outline still holds.
            notes.note(Defect::LoneSurrogate);
            self.bytes = Bytes::from(mended);
        }
        if outline.seen.non_finite && outline.fault.is_none() {
            notes.note(Defect::NonFiniteNumber);
        }
        match outline.fault {
            None if !self.cut => return Shape::Json(outline),
            None | Some(Fault::Torn) if self.cut || !ended => {
                self.cut = true;
                return Shape::JsonPart(outline);
            }
            // What cannot be read cannot be masked.
            _ if redaction.has_fields() => {
                notes.note(Defect::MalformedJson);
                return Shape::Opaque;
            }
            Some(Fault::TooDeep) => notes.note(Defect::TooDeep),
            Some(Fault::LongNumber) => notes.note(Defect::LongNumber),
            _ if self.media == Media::Json => notes.note(Defect::MalformedJson),
            _ => {}
        }
        self.plain(redaction, notes)
    }

    /// Measures JSON, without media and with fields and credentials masked.
    fn prepare(&mut self, redaction: &Redaction, notes: &mut Notes) -> Outline {
        let outline = Outline::of(&self.bytes);
        let mut without = None;
        if outline.seen.long {
            without = media::replaced(&self.bytes);
        }
        let counts = &mut notes.redactions;
        let bytes = without.as_deref().unwrap_or(&self.bytes);
        // Of what is no JSON the walk would lose its way: see `plain`.
        let readable = matches!(outline.fault, None | Some(Fault::Torn));
        let flagged = readable && outline.seen.credentials;
        without = redaction.members(bytes, flagged, false, counts).or(without);
        if outline.fault.is_some() || self.cut {
            let bytes = without.as_deref().unwrap_or(&self.bytes);
            without = redaction.torn(bytes, counts).or(without);
        }
        let Some(without) = without else {
            return outline;
        };
        self.bytes = Bytes::from(without);
        self.plain_from = None;
        Outline::of(&self.bytes)
    }

    /// Text without credentials, unless fields are masked, which nobody can find in it, or more
    /// than one byte in 16 is a control character: those grow sixfold when they are written as
    /// JSON, and no one reads them.
    fn plain(&mut self, redaction: &Redaction, notes: &mut Notes) -> Shape {
        let controls = self
            .bytes
            .iter()
            .filter(|byte| **byte < 0x20 && !byte.is_ascii_whitespace());
        if redaction.has_fields() || controls.count() > self.bytes.len() / 16 {
            return Shape::Opaque;
        }
        if let Some(without) = redaction.prose(&self.bytes, &mut notes.redactions) {
            self.bytes = Bytes::from(without);
            self.plain_from = None;
        }
        Shape::Text
    }
}

impl Media {
    fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Unknown,
            "application/json" | "text/json" => Self::Json,
            "text/event-stream" => Self::EventStream,
            "text/csv" | "application/csv" => Self::Csv,
            "application/x-www-form-urlencoded" => Self::Form,
            "application/xml" | "application/yaml" | "application/javascript" => Self::Text,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/jsonlines"
            | "application/stream+json" => Self::Lines,
            "application/vnd.amazon.eventstream" => Self::Frames,
            other if other.ends_with("+json") => Self::Json,
            other if other.ends_with("+xml") || other.starts_with("text/") => Self::Text,
            other if other.starts_with("multipart/") => Self::Multipart,
            other if other.starts_with("application/grpc") => Self::Grpc,
            _ => Self::Binary,
        }
    }
}

/// The chunks as one; uncopied where there is only one.
fn join(body: &Body) -> Bytes {
    match body.chunks.as_slice() {
        [] => Bytes::new(),
        [only] => only.bytes.clone(),
        chunks => {
            let len = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
            let mut joined = BytesMut::with_capacity(len);
            for chunk in chunks {
                joined.extend_from_slice(&chunk.bytes);
            }
            joined.freeze()
        }
    }
}

fn is_event(bytes: &[u8]) -> bool {
    bytes.starts_with(b"data:") || bytes.starts_with(b"event:")
}
