//! An object that comes in pieces: each member by its own rule.
//!
//! Lists grow and objects merge. Of an API that sends deltas all text grows, and what names a
//! thing is said once, so a member that an upstream adds tomorrow is joined like those of today;
//! of one whose pieces are whole answers, only what is known to be generated grows.

use crate::decode::defect::{Defect, Notes};
use crate::decode::json::{Kind, Raw};

use super::parts::Content;

/// Members of one object beyond this many are passed over.
const MEMBERS_MAX: usize = 64;

/// Tool calls of one message beyond this many are passed over.
const CALLS_MAX: usize = 256;

/// Objects in objects beyond this depth are replaced, not merged.
const DEPTH_MAX: u8 = 3;

/// Strings that name a thing, not pieces of a text: the first stands.
const NAMES: [&str; 8] = [
    "role",
    "id",
    "type",
    "name",
    "finish_reason",
    "native_finish_reason",
    "format",
    "object",
];

/// Texts that grow where the pieces are not deltas.
const GROWING: [&str; 9] = [
    "completion",
    "content",
    "generation",
    "outputText",
    "reasoning",
    "response",
    "text",
    "text_output",
    "thinking",
];

/// The members of one object, in the order of their coming.
#[derive(Debug, Default)]
pub(in crate::decode::format) struct Members {
    list: Vec<(Box<[u8]>, Part)>,
    depth: u8,
    rule: Rule,
}

/// Which texts grow.
#[derive(Clone, Copy, Debug, Default)]
enum Rule {
    /// All but names.
    #[default]
    Deltas,
    /// Those of [`GROWING`]; of the others the last stands.
    Answers,
}

/// One member's value so far.
#[derive(Debug)]
enum Part {
    /// Between the quotes, escapes as written.
    Text(Vec<u8>),
    /// Between the brackets.
    List(Vec<u8>),
    Object(Members),
    Calls(Vec<Call>),
    Content(Content),
    /// The last that came.
    Last(Vec<u8>),
}

/// One of several tool calls.
#[derive(Debug)]
struct Call {
    index: Option<i64>,
    members: Members,
}

impl Members {
    /// Of an API whose pieces are answers, each with more of the text.
    pub(in crate::decode::format) fn of_answers() -> Self {
        Self {
            rule: Rule::Answers,
            ..Self::default()
        }
    }

    /// Adds what an object says; of anything else, nothing. Whether it was content.
    pub(in crate::decode::format) fn merge(&mut self, object: Raw<'_>, notes: &mut Notes) -> bool {
        let mut content = false;
        for (key, value) in object.entries() {
            content |= self.merge_one(key, value, notes);
        }
        content
    }

    /// Adds one member. Whether it was content.
    pub(in crate::decode::format) fn merge_one(
        &mut self,
        key: &[u8],
        value: Raw<'_>,
        notes: &mut Notes,
    ) -> bool {
        let (depth, rule) = (self.depth + 1, self.rule);
        let Some(at) = self.list.iter().position(|(known, _)| **known == *key) else {
            if self.list.len() >= MEMBERS_MAX {
                notes.note(Defect::TooManyParts);
                return false;
            }
            let mut part = Part::fit(key, value, depth, rule);
            let content = part.add(key, value, rule, notes);
            self.list.push((key.into(), part));
            return content;
        };
        let Some((_, part)) = self.list.get_mut(at) else {
            return false;
        };
        if matches!(part, Part::Last(_)) && value.kind() != Kind::Null {
            // A `null` came first, as OpenAI's first delta has it.
            *part = Part::fit(key, value, depth, rule);
        } else if let Part::Text(text) = part
            && value.kind() == Kind::Array
            && matches!(Part::fit(key, value, depth, rule), Part::Content(_))
        {
            *part = Part::Content(Content::of_text(std::mem::take(text)));
        }
        part.add(key, value, rule, notes)
    }

    pub(in crate::decode::format) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(in crate::decode::format) fn has(&self, key: &str) -> bool {
        self.list
            .iter()
            .any(|(known, _)| **known == *key.as_bytes())
    }

    /// A text member, as between its quotes.
    pub(in crate::decode::format) fn text(&self, key: &str) -> Option<&[u8]> {
        self.list.iter().find_map(|(known, part)| match part {
            Part::Text(text) if **known == *key.as_bytes() => Some(&**text),
            _ => None,
        })
    }

    /// Appends the members, without braces.
    pub(in crate::decode::format) fn write(&self, json: &mut Vec<u8>) {
        for (at, (key, part)) in self.list.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            json.push(b'"');
            json.extend_from_slice(key);
            json.extend_from_slice(b"\":");
            part.write(json);
        }
    }
}

impl Part {
    /// An empty part of the kind that `value` is a piece of.
    fn fit(key: &[u8], value: Raw<'_>, depth: u8, rule: Rule) -> Self {
        match value.kind() {
            Kind::String => Self::Text(Vec::new()),
            Kind::Array if key == b"tool_calls" && depth == 1 => Self::Calls(Vec::new()),
            Kind::Array if key == b"content" && depth == 1 && matches!(rule, Rule::Deltas) => {
                Self::Content(Content::default())
            }
            Kind::Array => Self::List(Vec::new()),
            Kind::Object if depth < DEPTH_MAX => Self::Object(Members {
                list: Vec::new(),
                depth,
                rule,
            }),
            _ => Self::Last(Vec::new()),
        }
    }

    /// Adds a piece. Whether it was content: something that a model generates.
    fn add(&mut self, key: &[u8], value: Raw<'_>, rule: Rule, notes: &mut Notes) -> bool {
        match self {
            Self::Text(text) => {
                let piece = value.quoted().unwrap_or_default();
                let among = |list: &[&str]| list.iter().any(|name| name.as_bytes() == key);
                let grows = match rule {
                    Rule::Deltas => !among(&NAMES),
                    Rule::Answers => among(&GROWING),
                };
                match rule {
                    _ if grows => text.extend_from_slice(piece),
                    Rule::Deltas if !text.is_empty() => {}
                    _ if piece.is_empty() => {}
                    _ => {
                        text.clear();
                        text.extend_from_slice(piece);
                    }
                }
                grows && !piece.is_empty()
            }
            Self::List(list) => {
                let inner = value
                    .0
                    .strip_prefix(b"[")
                    .and_then(|rest| rest.strip_suffix(b"]"));
                let inner = inner.unwrap_or_default().trim_ascii();
                if !list.is_empty() && !inner.is_empty() {
                    list.push(b',');
                }
                list.extend_from_slice(inner);
                !inner.is_empty()
            }
            Self::Object(members) => members.merge(value, notes),
            Self::Calls(calls) => {
                let mut content = false;
                for call in value.elements() {
                    add_call(calls, call, notes);
                    content = true;
                }
                content
            }
            Self::Content(content) => content.add(value, notes),
            Self::Last(last) => {
                last.clear();
                last.extend_from_slice(value.0);
                false
            }
        }
    }

    fn write(&self, json: &mut Vec<u8>) {
        let mut wrap = |open: u8, inner: &[u8], close: u8| {
            json.push(open);
            json.extend_from_slice(inner);
            json.push(close);
        };
        match self {
            Self::Text(text) => wrap(b'"', text, b'"'),
            Self::List(list) => wrap(b'[', list, b']'),
            Self::Object(members) => {
                json.push(b'{');
                members.write(json);
                json.push(b'}');
            }
            Self::Calls(calls) => {
                for (at, call) in calls.iter().enumerate() {
                    json.push(if at == 0 { b'[' } else { b',' });
                    json.push(b'{');
                    call.members.write(json);
                    json.push(b'}');
                }
                if calls.is_empty() {
                    json.push(b'[');
                }
                json.push(b']');
            }
            Self::Content(content) => content.write(json),
            Self::Last(last) => json.extend_from_slice(last),
        }
    }
}

/// A piece belongs to the last call of its index, or to the last call where it names none. A
/// new id begins a call even so: some upstreams number all parallel calls 0.
fn add_call(calls: &mut Vec<Call>, piece: Raw<'_>, notes: &mut Notes) {
    let index = piece.get("index").and_then(Raw::integer);
    let id = piece
        .get("id")
        .and_then(Raw::quoted)
        .filter(|id| !id.is_empty());
    let belongs = |call: &Call| {
        let known = call.members.text("id").filter(|id| !id.is_empty());
        let same_id = id.is_none() || known.is_none() || known == id;
        match index {
            Some(_) => index == call.index && same_id,
            None => id.is_none(),
        }
    };
    let at = match calls.iter().rposition(belongs) {
        Some(at) => at,
        None if calls.len() < CALLS_MAX => {
            calls.push(Call {
                index,
                members: Members {
                    depth: 1,
                    ..Members::default()
                },
            });
            calls.len() - 1
        }
        None => return notes.note(Defect::TooManyParts),
    };
    let Some(call) = calls.get_mut(at) else {
        return;
    };
    for (key, value) in piece.entries().filter(|(key, _)| *key != b"index") {
        call.members.merge_one(key, value, notes);
    }
}
