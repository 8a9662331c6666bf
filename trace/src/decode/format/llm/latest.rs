//! Members of which the last value stands: what is cumulative, or said again.

use crate::decode::json::{Kind, Raw};

use super::push_member;

/// An API has a dozen; a hostile stream may send any number.
const MEMBERS_MAX: usize = 64;

/// Members in the order of their coming, each with its last value.
#[derive(Debug, Default)]
pub(in crate::decode::format) struct Latest(Vec<(Box<[u8]>, Vec<u8>)>);

impl Latest {
    /// Keeps a value; `null` leaves what was said before.
    pub(in crate::decode::format) fn keep(&mut self, key: &[u8], value: Raw<'_>) {
        match self.0.iter().position(|(known, _)| **known == *key) {
            Some(at) => {
                let known = self.0.get_mut(at).filter(|_| value.kind() != Kind::Null);
                if let Some((_, last)) = known {
                    *last = value.0.to_vec();
                }
            }
            None if self.0.len() < MEMBERS_MAX => self.0.push((key.into(), value.0.to_vec())),
            None => {}
        }
    }

    /// Keeps every member of an object; of anything else, nothing.
    pub(in crate::decode::format) fn keep_all(&mut self, object: Raw<'_>) {
        for (key, value) in object.entries() {
            self.keep(key, value);
        }
    }

    pub(in crate::decode::format) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a member came that is not `null`.
    pub(in crate::decode::format) fn says(&self, key: &str) -> bool {
        let says =
            |(known, value): &(Box<[u8]>, Vec<u8>)| **known == *key.as_bytes() && value != b"null";
        self.0.iter().any(says)
    }

    /// Appends the members, each after a comma.
    pub(in crate::decode::format) fn push_to(&self, json: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            push_member(json, &String::from_utf8_lossy(key), value);
        }
    }

    /// The members as an object.
    pub(in crate::decode::format) fn object(&self) -> Vec<u8> {
        let mut json = Vec::from(b"{");
        self.push_to(&mut json);
        close(&mut json, 0);
        json
    }
}

/// Closes the object that began at `begin`, whose every member has a comma before it.
pub(in crate::decode::format) fn close(json: &mut Vec<u8>, begin: usize) {
    if json.get(begin + 1) == Some(&b',') {
        json.remove(begin + 1);
    }
    json.push(b'}');
}
