//! A body as the text of `mlflow.spanInputs` or `mlflow.spanOutputs`, which MLflow reads as JSON.
//!
//! JSON goes as it came, sharing the body's memory; text as a JSON string; what was cut or is
//! not text, or text that MLflow's reader would choke on, as an object in place of itself:
//! `{"offpath.body": {"truncated": true, "bytes": 20370000, "kept_bytes": 8388608, …}}`.

use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{Level, Plan, Redaction, Text};

use super::body::{Document, Media, Shape};
use super::defect::Notes;
use super::format::Frame;
use super::{json, lines, media, multipart, sse};

/// The body as JSON text; `None` where there was none. `frame` is what is known of the
/// rows and columns in it.
pub(crate) fn of(
    document: &Document,
    plan: &Plan,
    frame: Option<&Frame>,
    notes: &mut Notes,
) -> Option<Text> {
    let redaction = &plan.redaction;
    match &document.shape {
        Shape::Empty => None,
        _ if plan.level == Level::Metadata => Some(stand_in(document, None, Kept::Nothing)),
        Shape::Json(_) => Some(document.text()),
        Shape::Lines
            if !document.cut
                && let Some(list) = list_of_lines(&document.bytes, redaction, notes) =>
        {
            Some(list)
        }
        Shape::Events
            if !document.cut
                && let Some(list) = list_of_events(&document.bytes, redaction, notes) =>
        {
            Some(list)
        }
        Shape::Events | Shape::Lines if redaction.has_content() => {
            Some(stand_in(document, None, Kept::Hash))
        }
        Shape::Text | Shape::Events | Shape::Lines
            if !document.cut && json::is_harmless(&document.bytes) =>
        {
            Some(json::quoted(shown(document, redaction, notes).as_str()).into())
        }
        Shape::Opaque if document.media == Media::Form => {
            Some(stand_in(document, None, Kept::Nothing))
        }
        Shape::Opaque if document.media == Media::Multipart => {
            Some(stand_in(document, None, Kept::Parts))
        }
        Shape::Opaque | Shape::Frames => Some(stand_in(document, None, Kept::Hash)),
        Shape::Text | Shape::Events | Shape::Lines | Shape::JsonPart(_) => {
            let text = shown(document, redaction, notes);
            Some(stand_in(document, frame, Kept::Text(text)))
        }
    }
}

/// A body as text. One that was read as JSON or as text is masked by now; events and lines that
/// could not be taken apart are masked here.
fn shown(document: &Document, redaction: &Redaction, notes: &mut Notes) -> Text {
    let without = match document.shape {
        Shape::Events | Shape::Lines => redaction.prose(&document.bytes, &mut notes.redactions),
        _ => None,
    };
    match without {
        Some(without) => Text::from_utf8_lossy(Bytes::from(without)),
        None => document.text(),
    }
}

/// What of a body's content its stand-in holds.
enum Kept {
    Nothing,
    Hash,
    /// This, as it is or masked.
    Text(Text),
    /// The names, types and sizes of its parts.
    Parts,
}

/// Lines of JSON as one list; `None` where one is not JSON.
fn list_of_lines(text: &[u8], redaction: &Redaction, notes: &mut Notes) -> Option<Text> {
    let mut json = Vec::with_capacity(text.len() + 2);
    json.push(b'[');
    for line in lines::lines(text) {
        let seen = json::seen(line.data)?;
        if json.len() > 1 {
            json.push(b',');
        }
        let counts = &mut notes.redactions;
        let masked = redaction.members(line.data, seen.credentials, true, counts);
        json.extend_from_slice(masked.as_deref().unwrap_or(line.data));
    }
    json.push(b']');
    finished(json)
}

/// Events as a list of `{"event":…,"data":…}`, data that is JSON as JSON; `None` where none is.
fn list_of_events(stream: &[u8], redaction: &Redaction, notes: &mut Notes) -> Option<Text> {
    let mut json = Vec::with_capacity(stream.len() + 2);
    json.push(b'[');
    let mut any = false;
    for event in sse::events(stream) {
        if json.len() > 1 {
            json.push(b',');
        }
        json.push(b'{');
        if !event.name.is_empty() {
            json.extend_from_slice(b"\"event\":");
            json::push_quoted(&mut json, &String::from_utf8_lossy(event.name));
            json.push(b',');
        }
        json.extend_from_slice(b"\"data\":");
        let data = event.data.trim_ascii();
        let counts = &mut notes.redactions;
        match json::seen(data) {
            Some(seen) => {
                any = true;
                let masked = redaction.members(data, seen.credentials, true, counts);
                json.extend_from_slice(masked.as_deref().unwrap_or(data));
            }
            // What cannot be taken apart may hold a field.
            None if redaction.has_fields() && data != b"[DONE]" => {
                let bytes = data.len();
                let hash = hex::encode(Sha256::digest(data));
                let stand_in = format!("{{\"bytes\":{bytes},\"sha256\":\"{hash}\"}}");
                json.extend_from_slice(stand_in.as_bytes());
            }
            None => {
                let masked = redaction.prose(data, counts);
                let text = String::from_utf8_lossy(masked.as_deref().unwrap_or(data));
                json::push_quoted(&mut json, &text);
            }
        }
        json.push(b'}');
    }
    json.push(b']');
    any.then_some(json).and_then(finished)
}

/// JSON made here from a body's, with what no reader can use taken out.
fn finished(json: Vec<u8>) -> Option<Text> {
    let json = json::mend_surrogates(&json).unwrap_or(json);
    let json = media::replaced(&json).unwrap_or(json);
    json::is_harmless(&json).then(|| Text::trusted(Bytes::from(json)))
}

fn push_parts(json: &mut String, document: &Document) {
    json.push_str(",\"parts\":[");
    let content_type = document.content_type.as_deref().unwrap_or_default();
    for (at, part) in multipart::parts(content_type, &document.bytes)
        .iter()
        .enumerate()
    {
        if at > 0 {
            json.push(',');
        }
        let written = write!(json, "{{\"bytes\":{}", part.content.len());
        debug_assert!(written.is_ok(), "a string takes all that is written to it");
        for (key, value) in [
            ("name", &part.name),
            ("filename", &part.file_name),
            ("content_type", &part.content_type),
        ] {
            if let Some(value) = value {
                let written = write!(json, ",\"{key}\":{}", json::quoted(value));
                debug_assert!(written.is_ok(), "a string takes all that is written to it");
            }
        }
        json.push('}');
    }
    json.push(']');
}

fn stand_in(document: &Document, frame: Option<&Frame>, kept: Kept) -> Text {
    let mut json = String::from("{\"offpath.body\":{");
    if document.cut {
        json.push_str("\"truncated\":true,");
    }
    let written = write!(json, "\"bytes\":{}", document.wire_bytes);
    debug_assert!(written.is_ok(), "a string takes all that is written to it");
    if document.cut {
        push_number(&mut json, "kept_bytes", document.bytes.len());
    }
    if let Some(content_type) = &document.content_type {
        json.push_str(",\"content_type\":");
        json.push_str(&json::quoted(content_type));
    }
    if let Some(frame) = frame {
        if !frame.columns.is_empty() {
            json.push_str(",\"columns\":");
            json.push_str(&frame.columns_json());
        }
        json.push_str(",\"shape\":");
        json.push_str(&frame.shape_json());
    }
    match kept {
        Kept::Nothing => json.push_str(",\"content\":\"not captured\""),
        Kept::Parts => push_parts(&mut json, document),
        Kept::Hash => {
            // Of what was kept: where the body was cut, not of the whole.
            json.push_str(",\"sha256\":\"");
            json.push_str(&hex::encode(Sha256::digest(&document.bytes)));
            json.push_str("\",\"sha256_of\":");
            json.push_str(if document.cut {
                "\"kept_bytes\""
            } else {
                "\"body\""
            });
        }
        Kept::Text(text) => {
            json.push_str(",\"text\":");
            json.push_str(&json::quoted(text.as_str()));
        }
    }
    json.push_str("}}");
    json.into()
}

fn push_number(json: &mut String, key: &str, number: usize) {
    let written = write!(json, ",\"{key}\":{number}");
    debug_assert!(written.is_ok(), "a string takes all that is written to it");
}
