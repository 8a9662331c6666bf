//! A streamed chat completion put together again.
//!
//! Strings are joined as they are written, escapes and all: nothing is decoded, and a character
//! that the upstream tore between two chunks is whole again.

mod members;

use bytes::Bytes;

use crate::Text;
use crate::decode::body::Document;
use crate::decode::defect::{Defect, Defects};
use crate::decode::json::{self, Kind, Raw};
use crate::decode::sse;

use self::members::Members;
use super::usage::Usage;
use super::{CHOICES_MAX, name};

/// A larger event is passed over: a delta holds a token, or at most an image.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// What the whole completion has in common with each of its chunks.
const COMMON: [&str; 5] = [
    "id",
    "created",
    "model",
    "service_tier",
    "system_fingerprint",
];

/// A completion while it is put together from its chunks.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Of each of [`COMMON`], the first that says something.
    common: [Option<Vec<u8>>; COMMON.len()],
    choices: Vec<Choice>,
    /// The last that came: some upstreams count up in every chunk.
    usage: Option<Vec<u8>>,
    error: Option<Vec<u8>>,
    done: bool,
}

#[derive(Debug)]
struct Choice {
    index: i64,
    /// What is beside the delta: `finish_reason`, `logprobs`.
    beside: Members,
    message: Members,
}

impl Merge {
    /// Reads a stream. `cut`: it went on, or the transport broke.
    pub(super) fn read(stream: &[u8], cut: bool, defects: &mut Defects) -> Self {
        let mut merge = Self::default();
        for event in sse::events(stream) {
            let data = event.data.trim_ascii();
            if data.len() > EVENT_BYTES_MAX {
                defects.note(Defect::EventTooLarge);
            } else if data == b"[DONE]" {
                merge.done = true;
            } else if let Some(chunk) = Raw(data).checked_entries() {
                merge.chunk(chunk, defects);
            } else if event.ended {
                defects.note(Defect::MalformedSse);
            } else if !cut {
                defects.note(Defect::TornSse);
            }
        }
        merge
    }

    /// Whether nothing of a completion was in the stream.
    pub(super) fn is_empty(&self) -> bool {
        self.choices.is_empty() && self.usage.is_none() && self.error.is_none()
    }

    /// Whether the stream said that it was at its end: in one of its ways, since not every
    /// upstream sends `[DONE]`.
    pub(super) fn is_done(&self) -> bool {
        let finished = |choice: &Choice| choice.finish_reason().is_some();
        self.done || (!self.choices.is_empty() && self.choices.iter().all(finished))
    }

    pub(super) fn id(&self) -> Option<String> {
        self.named("id")
    }

    pub(super) fn model(&self) -> Option<String> {
        self.named("model")
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        Usage::read(Raw(self.usage.as_deref()?))
    }

    pub(super) fn error(&self) -> Option<Raw<'_>> {
        self.error.as_deref().map(Raw)
    }

    pub(super) fn finish_reasons(&self) -> impl Iterator<Item = String> {
        self.choices.iter().filter_map(Choice::finish_reason)
    }

    /// The completion as one JSON object, as the same request without `stream` gives it.
    pub(super) fn completion(mut self, response: &Document, defects: &mut Defects) -> Text {
        self.choices.sort_by_key(|choice| choice.index);
        let mut json = Vec::from(b"{\"object\":\"chat.completion\"");
        for (key, value) in COMMON.into_iter().zip(&self.common) {
            if let Some(value) = value {
                push_member(&mut json, key, value);
            }
        }
        json.extend_from_slice(b",\"choices\":[");
        for (at, choice) in self.choices.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            choice.write(&mut json);
        }
        json.push(b']');
        for (key, value) in [("usage", &self.usage), ("error", &self.error)] {
            if let Some(value) = value {
                push_member(&mut json, key, value);
            }
        }
        if response.cut {
            let sizes = format!(
                "{{\"truncated\":true,\"bytes\":{},\"kept_bytes\":{}}}",
                response.wire_bytes,
                response.bytes.len()
            );
            push_member(&mut json, "offpath.body", sizes.as_bytes());
        }
        json.push(b'}');
        if let Some(mended) = json::mend_surrogates(&json) {
            defects.note(Defect::LoneSurrogate);
            json = mended;
        }
        Text::trusted(Bytes::from(json))
    }

    fn chunk(&mut self, chunk: Vec<(&[u8], Raw<'_>)>, defects: &mut Defects) {
        for (key, value) in chunk {
            match key {
                b"choices" => {
                    for choice in value.elements() {
                        self.choice(choice, defects);
                    }
                }
                b"usage" => self.keep_usage(value),
                // Groq's own place for it.
                b"x_groq" => value
                    .get("usage")
                    .into_iter()
                    .for_each(|usage| self.keep_usage(usage)),
                b"error" if value.kind() != Kind::Null => self.error = Some(value.0.to_vec()),
                _ => self.keep_common(key, value),
            }
        }
    }

    fn choice(&mut self, choice: Raw<'_>, defects: &mut Defects) {
        let members: Vec<_> = choice.entries().collect();
        let index = members.iter().find(|(key, _)| *key == b"index");
        let index = index.and_then(|(_, index)| index.integer()).unwrap_or(0);
        let at = match self.choices.iter().position(|known| known.index == index) {
            Some(at) => at,
            None if self.choices.len() < CHOICES_MAX => {
                let (beside, message) = (Members::default(), Members::default());
                self.choices.push(Choice {
                    index,
                    beside,
                    message,
                });
                self.choices.len() - 1
            }
            None => return defects.note(Defect::TooManyParts),
        };
        let Some(known) = self.choices.get_mut(at) else {
            return;
        };
        for (key, value) in members {
            match key {
                b"index" => {}
                b"delta" => known.message.merge(value, defects),
                _ => known.beside.merge_one(key, value, defects),
            }
        }
    }

    fn keep_usage(&mut self, usage: Raw<'_>) {
        if Usage::read(usage).is_some() {
            self.usage = Some(usage.0.to_vec());
        }
    }

    fn keep_common(&mut self, key: &[u8], value: Raw<'_>) {
        let slot = COMMON.iter().position(|known| known.as_bytes() == key);
        if let Some(slot) = slot.and_then(|at| self.common.get_mut(at))
            && slot.is_none()
            && value.0 != b"\"\""
            && value.kind() != Kind::Null
        {
            *slot = Some(value.0.to_vec());
        }
    }

    fn named(&self, key: &str) -> Option<String> {
        let at = COMMON.iter().position(|known| *known == key)?;
        name(Raw(self.common.get(at)?.as_deref()?))
    }
}

impl Choice {
    fn finish_reason(&self) -> Option<String> {
        let reason = self.beside.text("finish_reason")?;
        name(Raw(&[b"\"", reason, b"\""].concat()))
    }

    fn write(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(format!("{{\"index\":{},\"message\":{{", self.index).as_bytes());
        // MLflow takes for a message what has both.
        for (key, default) in [
            ("role", "\"role\":\"assistant\""),
            ("content", "\"content\":null"),
        ] {
            if !self.message.has(key) {
                json.extend_from_slice(default.as_bytes());
                json.push(b',');
            }
        }
        self.message.write(json);
        if json.last() == Some(&b',') {
            json.pop();
        }
        json.push(b'}');
        if !self.beside.is_empty() {
            json.push(b',');
            self.beside.write(json);
        }
        json.push(b'}');
    }
}

fn push_member(json: &mut Vec<u8>, key: &str, value: &[u8]) {
    json.extend_from_slice(b",\"");
    json.extend_from_slice(key.as_bytes());
    json.extend_from_slice(b"\":");
    json.extend_from_slice(value);
}
