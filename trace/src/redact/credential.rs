//! Credentials in JSON, by the names of members, masked where they lie: at any depth, in JSON
//! that is a string of JSON, and in a text that is cut.
//!
//! One pass with a stack of what was opened; nothing is built up.

use crate::decode::json::{self, Kind as Json, Raw};

use super::names::{self, Kind, Place};
use super::{Counts, Mask, prose, text, value};

/// JSON in a string of JSON is looked into this deep.
const NESTING_MAX: u8 = 8;

/// What is nested deeper is read as one level.
const OPEN_MAX: usize = 256;

/// A piece of a text that a custom stream calls `token` is shorter than a credential, in bytes.
const TOKEN_BYTES_MIN: usize = 16;

/// Members that stand beside a `token` that is a piece of a text.
const BESIDE_PIECES: [&[u8]; 12] = [
    b"bytes",
    b"id",
    b"index",
    b"label",
    b"logProbability",
    b"logprob",
    b"logprobs",
    b"prob",
    b"rank",
    b"score",
    b"tokenId",
    b"token_id",
];

/// Members of a JSON Schema that give a value of what it describes.
const SCHEMA_VALUES: [&[u8]; 4] = [b"const", b"default", b"example", b"examples"];

/// The text with credentials masked; `None` where there are none. `pieces`: it is one event or line
/// of a stream.
pub(super) fn masked(
    text: &[u8],
    pieces: bool,
    mask: &Mask,
    counts: &mut Counts,
) -> Option<Vec<u8>> {
    nested(text, Context { pieces, nesting: 0 }, mask, counts)
}

fn nested(text: &[u8], context: Context, mask: &Mask, counts: &mut Counts) -> Option<Vec<u8>> {
    let mut walk = Walk::new(text, context, mask, counts);
    walk.run(0, false);
    walk.finish()
}

/// As [`masked`], of a container at `at` in a text that need not be JSON: all text in it is masked.
/// Gives where it ends, and what it becomes.
pub(super) fn whole(text: &[u8], at: usize, mask: &Mask, counts: &mut Counts) -> (usize, Vec<u8>) {
    let context = Context {
        pieces: false,
        nesting: 0,
    };
    let rest = text.get(at..).unwrap_or_default();
    let mut walk = Walk::new(rest, context, mask, counts);
    let len = walk.run(0, true);
    let inner = rest.get(..len).unwrap_or_default();
    let json = match walk.finish() {
        // What follows the container was appended to it.
        Some(mut json) => {
            json.truncate(json.len() - (rest.len() - len));
            json
        }
        None => inner.to_vec(),
    };
    (at + len, json)
}

#[derive(Clone, Copy)]
struct Context {
    pieces: bool,
    nesting: u8,
}

/// A container that is open.
#[derive(Clone, Copy, Default)]
struct Frame {
    object: bool,
    /// All text in it is a credential's.
    all: bool,
    /// It is, or is in, a tool or a server.
    tool: bool,
    /// It is, or is in, a list of pieces of text.
    pieces: bool,
    /// Its members are named by a schema's author: each is a schema.
    properties: bool,
    /// It is in a schema.
    schema: bool,
    /// It is the schema of a credential.
    of_credential: bool,
    /// A member was met that stands beside a piece of text.
    beside: bool,
}

struct Walk<'a, 'm> {
    text: &'a [u8],
    context: Context,
    mask: &'m Mask,
    counts: &'m mut Counts,
    json: Vec<u8>,
    /// How much of the text is in `json`, as it is or masked.
    copied: usize,
    open: Vec<Frame>,
    /// What is nested deeper than [`OPEN_MAX`].
    deeper: usize,
    /// The member whose value comes next.
    key: Option<&'a [u8]>,
}

impl<'a, 'm> Walk<'a, 'm> {
    fn new(text: &'a [u8], context: Context, mask: &'m Mask, counts: &'m mut Counts) -> Self {
        Self {
            text,
            context,
            mask,
            counts,
            json: Vec::new(),
            copied: 0,
            open: Vec::new(),
            deeper: 0,
            key: None,
        }
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 {
            return None;
        }
        let rest = self.text.get(self.copied..).unwrap_or_default();
        self.json.extend_from_slice(rest);
        Some(self.json)
    }

    /// Up to the text's end, or to that of the first container where `all` in it is masked. Gives
    /// where it stops.
    fn run(&mut self, mut at: usize, all: bool) -> usize {
        while let Some(byte) = self.text.get(at) {
            match byte {
                b'"' => at = self.string(at),
                b'{' | b'[' => {
                    self.enter(at, *byte == b'{', all);
                    at += 1;
                }
                b'}' | b']' => {
                    self.leave();
                    at += 1;
                    if all && self.open.is_empty() {
                        return at;
                    }
                }
                b',' => {
                    self.key = None;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        at
    }

    fn top(&self) -> Frame {
        self.open.last().copied().unwrap_or_default()
    }

    fn enter(&mut self, at: usize, object: bool, all: bool) {
        if self.open.len() >= OPEN_MAX {
            self.deeper += 1;
            return;
        }
        let above = self.top();
        let name = self.key.take().map(meaning);
        let kind = name
            .as_deref()
            .and_then(|name| names::kind(name, Place::Member));
        let sent = object && kind == Some(Kind::Headers) && above.tool;
        let secret = matches!(kind, Some(Kind::Credential | Kind::OwnHeaders)) || sent;
        // Within a schema what is named like a credential is one's description.
        let schema = above.schema
            || object
                && secret
                && is_schema(self.text.get(at..).unwrap_or_default(), above.properties);
        let is = |names: &[&str]| name.as_deref().is_some_and(|name| names.contains(&name));
        let pieces = |name: &str| name == "tokens" || name.to_ascii_lowercase().contains("logprob");
        self.open.push(Frame {
            object,
            all: all || above.all || secret && !schema,
            tool: above.tool || name.as_deref().is_some_and(names::is_tools),
            pieces: above.pieces || name.as_deref().is_some_and(pieces),
            properties: object && is(&["properties", "$defs", "definitions"]),
            schema,
            of_credential: schema && secret || !object && above.of_credential,
            beside: false,
        });
    }

    fn leave(&mut self) {
        self.key = None;
        match self.deeper {
            0 => drop(self.open.pop()),
            _ => self.deeper -= 1,
        }
    }

    /// Past the string at `at`: a key, or a value, which is masked if it has to be.
    fn string(&mut self, at: usize) -> usize {
        let Some((inner, end)) = json::string_at(self.text, at) else {
            // A quote that opens nothing.
            return at + 1;
        };
        let object = self.top().object;
        if object && json::is_key(self.text, end) {
            let beside = BESIDE_PIECES.contains(&inner);
            if let Some(top) = self.open.last_mut() {
                top.beside |= beside;
            }
            self.key = Some(inner);
            return end;
        }
        let without = match self.is_credential(inner, end) {
            true => self.credential(inner),
            false => self.other(inner),
        };
        if let Some(without) = without {
            let before = self.text.get(self.copied..at).unwrap_or_default();
            self.json.extend_from_slice(before);
            json::push_quoted(&mut self.json, &without);
            self.copied = end.min(self.text.len());
        }
        end
    }

    fn is_credential(&self, inner: &[u8], end: usize) -> bool {
        let top = self.top();
        if top.all {
            return true;
        }
        let Some(key) = self.key else {
            return false;
        };
        if top.of_credential && SCHEMA_VALUES.contains(&key) {
            return true;
        }
        match names::kind(&meaning(key), Place::Member) {
            Some(Kind::Credential) => true,
            Some(Kind::Token) => {
                let long = inner.len() >= TOKEN_BYTES_MIN
                    && inner
                        .iter()
                        .all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
                let piece = top.pieces || top.beside || self.is_before_beside(end);
                !piece && (long || !self.context.pieces)
            }
            Some(Kind::Headers | Kind::OwnHeaders) | None => false,
        }
    }

    /// Whether the member after the value that ends at `end` stands beside pieces of a text.
    fn is_before_beside(&self, end: usize) -> bool {
        let rest = self.text.get(end..).unwrap_or_default().trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b",") else {
            return false;
        };
        let next = json::string_at(rest.trim_ascii_start(), 0);
        next.is_some_and(|(name, _)| BESIDE_PIECES.contains(&name))
    }

    /// What stands for a credential; `None` where it says nothing, or was masked before.
    fn credential(&mut self, inner: &[u8]) -> Option<String> {
        let meant = text::meaning(inner);
        if meant.is_empty() || self.mask.is_one(&meant) {
            return None;
        }
        self.counts.add_credential();
        Some(self.mask.of(&meant))
    }

    /// Any other string, if a credential is in it.
    fn other(&mut self, inner: &[u8]) -> Option<String> {
        let escapes = memchr::memchr(b'\\', inner).is_some();
        let (mask, counts) = (self.mask, &mut *self.counts);
        if !escapes {
            let text = std::str::from_utf8(inner).ok()?;
            return value::masked(text, mask, counts);
        }
        let meant = text::meaning(inner);
        if let Some(without) = value::masked(&meant, mask, counts) {
            return Some(without);
        }
        if self.context.nesting >= NESTING_MAX || !meant.contains('"') {
            return None;
        }
        let context = Context {
            nesting: self.context.nesting + 1,
            ..self.context
        };
        let without = match text::begins_as_json(&meant) && json::is_beginning(meant.as_bytes()) {
            true => nested(meant.as_bytes(), context, mask, counts),
            false => prose::masked(meant.as_bytes(), prose::Names::Quoted, mask, counts),
        };
        without.and_then(|without| String::from_utf8(without).ok())
    }
}

/// What a key means.
fn meaning(key: &[u8]) -> std::borrow::Cow<'_, str> {
    text::meaning(key)
}

/// Whether an object describes a value (JSON Schema, or OpenAPI's dialect of it) and is none.
/// `certain`: it stands where schemas do, so that less is asked of it.
pub(super) fn is_schema(object: &[u8], certain: bool) -> bool {
    const TYPES: [&[u8]; 7] = [
        b"string", b"number", b"integer", b"boolean", b"object", b"array", b"null",
    ];
    const WORDS: [&[u8]; 8] = [
        b"$ref",
        b"allOf",
        b"anyOf",
        b"oneOf",
        b"enum",
        b"properties",
        b"items",
        b"additionalProperties",
    ];
    const MORE: [&[u8]; 6] = [
        b"description",
        b"title",
        b"format",
        b"default",
        b"const",
        b"examples",
    ];
    let is_type = |value: Raw<'_>| {
        let name = value.quoted().unwrap_or_default().to_ascii_lowercase();
        TYPES.contains(&name.as_slice()) || value.kind() == Json::Array
    };
    let mut entries = Raw(object).entries();
    entries.any(|(key, value)| {
        key == b"type" && is_type(value) || WORDS.contains(&key) || certain && MORE.contains(&key)
    })
}

#[cfg(test)]
mod tests;
