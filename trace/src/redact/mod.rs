//! What must not be stored, masked on the copy: the bytes that pass are never touched.
//!
//! Three kinds of rules. Headers: nothing that came in one of them is stored. Fields: values in
//! JSON bodies, by pointer, masked before a format reads the body, so that nothing is derived
//! from them. Patterns: what looks like an address or a card, masked in every text of the
//! finished trace, so that no stream's chunks hide it. Each rule counts what it masked.

mod field;
mod pattern;
mod text;

use std::sync::Arc;

use hmac::{Hmac, Mac};
use http::{HeaderName, header};
use sha2::Sha256;

use crate::Trace;

use self::field::Pointer;
use self::pattern::Pattern;

/// Headers that carry credentials whatever the configuration says. A name that ends in one of
/// [`SECRET_ENDS`] is one, too.
const CREDENTIALS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    HeaderName::from_static("x-amz-security-token"),
];

const SECRET_ENDS: [&str; 5] = ["api-key", "apikey", "-token", "-secret", "-password"];

/// What a route masks.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    headers: Vec<HeaderName>,
    pointers: Vec<Pointer>,
    patterns: Vec<Pattern>,
    mask: Mask,
}

/// What a route masks, as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Names of headers.
    pub headers: Vec<String>,
    /// RFC 6901 pointers into JSON bodies; a segment `*` stands for any key or index.
    pub fields: Vec<String>,
    /// Patterns in any text.
    pub patterns: Vec<PatternRule>,
    /// What stands for what was masked.
    pub replace: String,
    /// Masks are told apart by a hash under this key, so that equal values can still be joined.
    pub hash_key: Option<Vec<u8>>,
}

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternRule {
    /// One that is built in: `email`, `credit_card`, `phone` or `iban`.
    Named(String),
    /// A regular expression of the user's, under a name for the counters.
    Custom {
        /// As in the counters.
        name: String,
        /// In the syntax of the `regex` crate.
        regex: String,
    },
}

/// Why rules are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not the name of a header.
    #[error("header `{0}`: not a header's name")]
    Header(String),
    /// Not a pointer.
    #[error("field `{0}`: a pointer begins with `/`")]
    Pointer(String),
    /// Not a pattern's name.
    #[error("pattern `{0}`: not one of `email`, `credit_card`, `phone`, `iban`")]
    Pattern(String),
    /// Not a regular expression, or one that needs too much memory.
    #[error("pattern `{0}`: {1}")]
    Regex(String, String),
}

/// How often each rule masked something in one trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(Arc<str>, u64)>);

impl Counts {
    /// The rules that masked something, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(rule, count)| (&**rule, *count))
    }

    /// Whether nothing was masked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, rule: &Arc<str>) {
        match self.0.iter_mut().find(|(known, _)| known == rule) {
            Some((_, count)) => *count += 1,
            None => self.0.push((Arc::clone(rule), 1)),
        }
    }
}

/// What stands for what was masked.
#[derive(Clone, Debug, Default)]
struct Mask {
    marker: Arc<str>,
    key: Option<Arc<[u8]>>,
}

impl Redaction {
    /// Compiles rules.
    pub fn new(rules: &Rules) -> Result<Self, RuleError> {
        let header = |name: &String| {
            let parsed = HeaderName::from_bytes(name.as_bytes());
            parsed.map_err(|_| RuleError::Header(name.clone()))
        };
        Ok(Self {
            headers: rules.headers.iter().map(header).collect::<Result<_, _>>()?,
            pointers: rules
                .fields
                .iter()
                .map(|text| Pointer::parse(text))
                .collect::<Result<_, _>>()?,
            patterns: rules
                .patterns
                .iter()
                .map(Pattern::new)
                .collect::<Result<_, _>>()?,
            mask: Mask {
                marker: rules.replace.as_str().into(),
                key: rules.hash_key.as_deref().map(Arc::from),
            },
        })
    }

    /// What stands for a header's value, if it must not be stored.
    pub(crate) fn header(
        &self,
        name: &HeaderName,
        value: &str,
        counts: &mut Counts,
    ) -> Option<String> {
        if !self.masks(name) {
            return None;
        }
        counts.add(&Arc::from(name.as_str()));
        Some(self.mask.of(value))
    }

    /// Whether nothing that came in this header may be stored.
    fn masks(&self, name: &HeaderName) -> bool {
        let secret = SECRET_ENDS.iter().any(|end| name.as_str().ends_with(end));
        secret || CREDENTIALS.contains(name) || self.headers.contains(name)
    }

    /// Whether there are rules by pointer: JSON that cannot be parsed is then not kept.
    pub(crate) fn has_fields(&self) -> bool {
        !self.pointers.is_empty()
    }

    /// Whether there are rules about bodies: frames of unknown make that cannot be taken apart
    /// are then not kept, since escapes in them hide what is looked for.
    pub(crate) fn has_content(&self) -> bool {
        self.has_fields() || !self.patterns.is_empty()
    }

    /// JSON with the fields masked, as far as it goes; `None` where there is nothing to mask.
    pub(crate) fn fields(&self, json: &[u8], counts: &mut Counts) -> Option<Vec<u8>> {
        if self.pointers.is_empty() {
            return None;
        }
        field::masked(json, &self.pointers, &self.mask, counts)
    }

    /// Torn JSON with the patterns masked in its strings; `None` where there is nothing to
    /// mask. Whole JSON is masked with the trace.
    pub(crate) fn torn(&self, json: &[u8], counts: &mut Counts) -> Option<Vec<u8>> {
        if self.patterns.is_empty() {
            return None;
        }
        text::masked_json(json, &self.patterns, &self.mask, counts)
    }

    /// Masks the patterns in every text of a trace.
    pub(crate) fn trace(&self, trace: &mut Trace, counts: &mut Counts) {
        if !self.patterns.is_empty() {
            text::mask_trace(trace, &self.patterns, &self.mask, counts);
        }
    }
}

impl Mask {
    /// Stands for `value`.
    fn of(&self, value: &str) -> String {
        let marker = if self.marker.is_empty() {
            "[REDACTED]"
        } else {
            &self.marker
        };
        let Some(key) = &self.key else {
            return marker.to_owned();
        };
        let hash = keyed_hash(key, value.as_bytes());
        match marker.strip_suffix(']') {
            Some(open) => format!("{open}:{hash}]"),
            None => format!("{marker}:{hash}"),
        }
    }
}

/// The first 64 bits of an HMAC-SHA-256 (RFC 2104), in hex.
fn keyed_hash(key: &[u8], value: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(value);
    let code = mac.finalize().into_bytes();
    hex::encode(code.get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // RFC 4231, test cases 2 and 6.
        assert_eq!(
            keyed_hash(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e"
        );
        assert_eq!(
            keyed_hash(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f"
        );
    }

    #[test]
    fn a_mask_with_a_key_joins_equal_values() {
        let mask = |marker: &str, key: Option<&str>| Mask {
            marker: marker.into(),
            key: key.map(|key| key.as_bytes().into()),
        };
        assert_eq!(mask("", None).of("a"), "[REDACTED]");
        assert_eq!(mask("xx", None).of("a"), "xx");
        let keyed = mask("[X]", Some("k"));
        assert_eq!(keyed.of("a"), keyed.of("a"));
        assert_ne!(keyed.of("a"), keyed.of("b"));
        assert_ne!(keyed.of("a"), mask("[X]", Some("l")).of("a"));
        assert_eq!(keyed.of("a").len(), "[X:0123456789abcdef]".len());
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        let rules = |change: fn(&mut Rules)| {
            let mut rules = Rules::default();
            change(&mut rules);
            Redaction::new(&rules).map(|_| ()).unwrap_err().to_string()
        };
        assert!(rules(|rules| rules.headers.push("a b".into())).contains("`a b`"));
        assert!(rules(|rules| rules.fields.push("a".into())).contains("`/`"));
        let pattern = |name: &str| PatternRule::Named(name.into());
        assert!(
            Redaction::new(&Rules {
                patterns: vec![pattern("ssn")],
                ..Rules::default()
            })
            .is_err()
        );
        let regex = |regex: &str| PatternRule::Custom {
            name: "x".into(),
            regex: regex.into(),
        };
        for bad in ["(", "a{1000}{1000}{1000}", "a*"] {
            assert!(Pattern::new(&regex(bad)).is_err(), "{bad}");
        }
    }
}
