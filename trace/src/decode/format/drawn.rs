//! Conversations written for MLflow's UI, of APIs that it does not know.

use crate::decode::json::{Kind, Raw};

/// A list of one message.
pub(super) fn turn(role: &str, content: Raw<'_>) -> Option<Vec<u8>> {
    turns(std::iter::once((role, content)))
}

/// A list of messages, each with a text; `None` where one is none, or there are none.
pub(super) fn turns<'a>(turns: impl Iterator<Item = (&'a str, Raw<'a>)>) -> Option<Vec<u8>> {
    let mut json = Vec::from(b"[");
    for (role, content) in turns {
        if content.kind() != Kind::String {
            return None;
        }
        if json.len() > 1 {
            json.push(b',');
        }
        json.extend_from_slice(b"{\"role\":\"");
        json.extend_from_slice(role.as_bytes());
        json.extend_from_slice(b"\",\"content\":");
        json.extend_from_slice(content.0);
        json.push(b'}');
    }
    json.push(b']');
    (json.len() > 2).then_some(json)
}

/// A list of one choice, whose message this is.
pub(super) fn choice(message: Raw<'_>) -> Option<Vec<u8>> {
    (message.kind() == Kind::Object).then(|| [b"[{\"message\":", message.0, b"}]"].concat())
}
