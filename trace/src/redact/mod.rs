//! What must not be stored, masked on the copy: the bytes that pass are never touched.
//!
//! Four kinds of rules. Headers: nothing that came in one of them is stored. Fields: values in
//! JSON bodies, by pointer, masked before a format reads the body, so that nothing is derived
//! from them. Credentials: what a name says is one, in headers and queries always, and in bodies
//! unless the route says otherwise. Patterns: what looks like an address or a card, masked in every
//! text of the finished trace, so that no stream's chunks hide it. Each rule counts what it masked.

mod credential;
mod field;
pub(crate) mod names;
mod pattern;
mod prose;
mod text;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use hmac::{Hmac, Mac};
use http::HeaderName;
use sha2::Sha256;

use crate::decode::json;
use crate::{Status, Trace};

pub use self::field::Pointer;
use self::field::SEGMENTS_MAX;
pub use self::pattern::Pattern;

/// The rule by which credentials are counted.
static CREDENTIALS: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("credentials"));

/// What a route masks. The default masks credentials.
#[derive(Clone, Debug)]
pub struct Redaction {
    headers: Vec<HeaderName>,
    pointers: Vec<Pointer>,
    patterns: Vec<Pattern>,
    credentials: bool,
    mask: Mask,
}

/// The rules of a route, each parsed. The default masks credentials.
#[derive(Clone)]
pub struct Rules {
    /// Headers of which nothing is stored.
    pub headers: Vec<HeaderName>,
    /// Values in JSON bodies.
    pub fields: Vec<Pointer>,
    /// Patterns in any text.
    pub patterns: Vec<Pattern>,
    /// Whether credentials are masked in bodies, by the names of members. In headers and queries
    /// they always are.
    pub credentials: bool,
    /// What stands for what was masked.
    pub replace: String,
    /// Masks are told apart by a hash under this key, so that equal values can still be joined.
    pub hash_key: Option<Vec<u8>>,
}

/// The reason why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a pointer.
    #[error("`{0}` must begin with `/`")]
    Pointer(String),
    /// A pointer with too many segments.
    #[error("`{0}` has more than {SEGMENTS_MAX} segments")]
    Segments(String),
    /// Not the name of a built-in pattern.
    #[error("`{0}` is not the name of a pattern")]
    Pattern(String),
    /// Not a regular expression, or one that needs too much memory.
    #[error("`{0}` is not a valid regular expression: {1}")]
    Regex(String, String),
    /// A regular expression that matches everywhere.
    #[error("`{0}` matches the empty text")]
    Empty(String),
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

    fn add_credential(&mut self) {
        self.add(&CREDENTIALS);
    }

    pub(crate) fn add(&mut self, rule: &Arc<str>) {
        match self.0.iter_mut().find(|(known, _)| known == rule) {
            Some((_, count)) => *count += 1,
            None => self.0.push((Arc::clone(rule), 1)),
        }
    }
}

/// Replaces what is masked.
#[derive(Clone, Default)]
struct Mask {
    marker: Arc<str>,
    key: Option<Arc<[u8]>>,
}

/// Does not show the key.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "[redacted]");
        let mut mask = f.debug_struct("Mask");
        mask.field("marker", &self.marker)
            .field("key", &key)
            .finish()
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            fields: Vec::new(),
            patterns: Vec::new(),
            credentials: true,
            replace: String::new(),
            hash_key: None,
        }
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            pointers: Vec::new(),
            patterns: Vec::new(),
            credentials: true,
            mask: Mask::default(),
        }
    }
}

/// A text of unknown make without the credentials that names in it say it holds: members in quotes,
/// `name=value`, `name: value`, `Bearer` and a token, passwords in URLs. For what a stranger answers,
/// before it reaches a log.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    let mask = Mask::default();
    match prose::masked(
        text.as_bytes(),
        prose::Names::Any,
        &mask,
        &mut Counts::default(),
    ) {
        Some(without) => Cow::Owned(String::from_utf8_lossy(&without).into_owned()),
        None => Cow::Borrowed(text),
    }
}

/// Whether a header field or a query parameter of this name carries a credential.
pub fn names_credential(name: &str) -> bool {
    names::is_in_head(name)
}

impl From<Rules> for Redaction {
    fn from(rules: Rules) -> Self {
        Self {
            headers: rules.headers,
            pointers: rules.fields,
            patterns: rules.patterns,
            credentials: rules.credentials,
            mask: Mask {
                marker: rules.replace.into(),
                key: rules.hash_key.map(Arc::from),
            },
        }
    }
}

impl Redaction {
    /// What stands for a header's value, if it must not be stored.
    pub(crate) fn header(
        &self,
        name: &HeaderName,
        value: &str,
        counts: &mut Counts,
    ) -> Option<String> {
        if self.headers.contains(name) {
            counts.add(&Arc::from(name.as_str()));
        } else if names::is_in_head(name.as_str()) {
            counts.add_credential();
        } else {
            return None;
        }
        Some(self.mask.of(value))
    }

    /// What stands for a query parameter's value, if it must not be stored. The name's escapes are
    /// undone.
    pub(crate) fn parameter(&self, name: &str, value: &str, counts: &mut Counts) -> Option<String> {
        names::is_in_head(name).then(|| {
            counts.add_credential();
            self.mask.of(value)
        })
    }

    /// A query without the values of parameters that are credentials.
    pub(crate) fn query<'a>(&self, query: &'a str, counts: &mut Counts) -> Cow<'a, str> {
        value::query_with(query, &self.mask, counts).map_or(Cow::Borrowed(query), Cow::Owned)
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

    /// JSON with the fields and credentials masked, as far as it goes; `None` where there is nothing
    /// to mask.
    pub(crate) fn fields(&self, json: &[u8], counts: &mut Counts) -> Option<Vec<u8>> {
        let flagged = self.credentials && json::seen(json).is_none_or(|seen| seen.credentials);
        self.members(json, flagged, false, counts)
    }

    /// The same, of JSON that was checked: `flagged` is what [`json::Seen`] holds of credentials.
    /// `piece`: it is an event or a line of a stream.
    pub(crate) fn members(
        &self,
        json: &[u8],
        flagged: bool,
        piece: bool,
        counts: &mut Counts,
    ) -> Option<Vec<u8>> {
        let mut without = None;
        if self.has_fields() {
            without = field::masked(json, &self.pointers, &self.mask, counts);
        }
        if self.credentials && flagged {
            let json = without.as_deref().unwrap_or(json);
            without = credential::masked(json, piece, &self.mask, counts).or(without);
        }
        without
    }

    /// Text that is not JSON, or not taken apart, without the credentials that are named in it;
    /// `None` where there are none.
    pub(crate) fn prose(&self, text: &[u8], counts: &mut Counts) -> Option<Vec<u8>> {
        if !self.credentials {
            return None;
        }
        prose::masked(text, prose::Names::Any, &self.mask, counts)
    }

    /// Torn JSON with the patterns masked in its strings; `None` where there is nothing to
    /// mask. Whole JSON is masked with the trace.
    pub(crate) fn torn(&self, json: &[u8], counts: &mut Counts) -> Option<Vec<u8>> {
        if self.patterns.is_empty() {
            return None;
        }
        text::masked_json(json, &self.patterns, &self.mask, counts)
    }

    /// Masks the patterns in every text of a trace, and credentials in what its spans say of an
    /// error, which may come from trailers.
    pub(crate) fn trace(&self, trace: &mut Trace, counts: &mut Counts) {
        for span in trace.spans.iter_mut().filter(|_| self.credentials) {
            // The spans of an exchange say the same: it is counted where it was read, if at all.
            if let Status::Error(message) = &mut span.status
                && let Some(without) = self.prose(message.as_bytes(), &mut Counts::default())
            {
                *message = String::from_utf8_lossy(&without).into_owned();
            }
        }
        if !self.patterns.is_empty() {
            text::mask_trace(trace, &self.patterns, &self.mask, counts);
        }
    }
}

impl Mask {
    fn marker(&self) -> &str {
        if self.marker.is_empty() {
            "[REDACTED]"
        } else {
            &self.marker
        }
    }

    /// Whether a value was masked before.
    fn is_one(&self, value: &str) -> bool {
        let marker = self.marker();
        value.starts_with(marker.strip_suffix(']').unwrap_or(marker))
    }

    /// Stands for `value`.
    fn of(&self, value: &str) -> String {
        let marker = self.marker();
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
    fn invalid_rules_are_refused() {
        let segments = |count: usize| Pointer::parse(&"/a".repeat(count)).map(|_| ());
        assert_eq!(segments(SEGMENTS_MAX), Ok(()));
        assert!(matches!(
            segments(SEGMENTS_MAX + 1),
            Err(RuleError::Segments(_))
        ));
        assert!(matches!(Pointer::parse("a"), Err(RuleError::Pointer(_))));
        assert!(matches!(Pattern::named("ssn"), Err(RuleError::Pattern(_))));
        let custom = |regex: &str| Pattern::custom("x", regex).unwrap_err();
        assert_eq!(custom("a*"), RuleError::Empty("a*".to_owned()));
        for bad in ["(", "a{1000}{1000}{1000}"] {
            assert!(matches!(custom(bad), RuleError::Regex(..)), "{bad}");
        }
        let message = custom("(").to_string();
        assert_eq!(
            message,
            "`(` is not a valid regular expression: unclosed group"
        );
    }

    #[test]
    fn debug_of_a_redaction_does_not_show_its_key() {
        let rules = Rules {
            hash_key: Some(b"hunter2".to_vec()),
            ..Rules::default()
        };
        let shown = format!("{:?}", Redaction::from(rules));
        assert!(shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains("104, 117, 110"), "{shown}");
    }
}
