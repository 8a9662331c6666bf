//! Values in JSON by pointer (RFC 6901), masked where they lie.
//!
//! A text that is cut is masked as far as it goes: a value that the cut went through is masked
//! to the end.

use std::ops::Range;
use std::sync::Arc;

use crate::decode::json::{self, Node, Raw, Steps};

use super::{Counts, Mask, RuleError, text};

/// Pointers of more segments are refused; real bodies are not as deep.
pub(super) const SEGMENTS_MAX: usize = 32;

/// A pointer into a JSON body (RFC 6901), with `*` as a segment that matches any key or index.
#[derive(Clone, Debug)]
pub struct Pointer {
    name: Arc<str>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Any,
    Named(String),
}

impl Pointer {
    /// Parses a pointer, for example `/messages/*/content`.
    ///
    /// # Errors
    /// The text does not begin with `/`, or has more than 32 segments.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| RuleError::Pointer(text.to_owned()))?;
        let segment = |segment: &str| match segment {
            "*" => Segment::Any,
            _ => Segment::Named(segment.replace("~1", "/").replace("~0", "~")),
        };
        let segments: Vec<_> = rest.split('/').map(segment).collect();
        if segments.len() > SEGMENTS_MAX {
            return Err(RuleError::Segments(text.to_owned()));
        }
        Ok(Self {
            name: text.into(),
            segments,
        })
    }
}

/// A pointer of which the first segments were met.
type Live<'a> = (&'a Pointer, usize);

/// The text with what the pointers point at masked; `None` where they point at nothing.
pub(super) fn masked(
    text: &[u8],
    pointers: &[Pointer],
    mask: &Mask,
    counts: &mut Counts,
) -> Option<Vec<u8>> {
    let mut masked = Masked {
        text,
        json: Vec::new(),
        copied: 0,
        mask,
        counts,
    };
    let live: Vec<Live<'_>> = pointers.iter().map(|pointer| (pointer, 0)).collect();
    masked.walk(text.len() - text.trim_ascii_start().len(), &live);
    masked.finish()
}

struct Masked<'a> {
    text: &'a [u8],
    json: Vec<u8>,
    /// How much of the text is in `json`, as it is or masked.
    copied: usize,
    mask: &'a Mask,
    counts: &'a mut Counts,
}

impl Masked<'_> {
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 {
            return None;
        }
        let rest = self.text.get(self.copied..).unwrap_or_default();
        self.json.extend_from_slice(rest);
        Some(self.json)
    }

    /// Goes into the container at `at`: no deeper than the longest pointer. One that is JSON in a
    /// string, as a tool's arguments are, is gone into as well.
    fn walk(&mut self, at: usize, live: &[Live<'_>]) {
        if let Some((inner, end)) = json::string_at(self.text, at) {
            return self.in_string(at..end, inner, live);
        }
        for node in Steps::new(self.text, at) {
            let met = |(pointer, depth): &Live<'_>| match pointer.segments.get(*depth) {
                Some(Segment::Any) => true,
                Some(Segment::Named(name)) => node.is_named(name),
                None => false,
            };
            let next: Vec<Live<'_>> = live
                .iter()
                .filter(|rule| met(rule))
                .map(|(pointer, depth)| (*pointer, depth + 1))
                .collect();
            let whole = next
                .iter()
                .find(|(pointer, depth)| pointer.segments.len() == *depth);
            match whole {
                Some((pointer, _)) => self.mask(&node, pointer),
                None if !next.is_empty() => self.walk(node.at, &next),
                None => {}
            }
        }
    }

    fn in_string(&mut self, string: Range<usize>, inner: &[u8], live: &[Live<'_>]) {
        let meant = text::meaning(inner);
        if !text::begins_as_json(&meant) {
            return;
        }
        let mut within = Masked {
            text: meant.as_bytes(),
            json: Vec::new(),
            copied: 0,
            mask: self.mask,
            counts: self.counts,
        };
        within.walk(meant.len() - meant.trim_start().len(), live);
        let Some(without) = within.finish() else {
            return;
        };
        let before = self.text.get(self.copied..string.start).unwrap_or_default();
        self.json.extend_from_slice(before);
        json::push_quoted(&mut self.json, &String::from_utf8_lossy(&without));
        self.copied = string.end;
    }

    fn mask(&mut self, node: &Node<'_>, pointer: &Pointer) {
        let value = self.text.get(node.at..node.end).unwrap_or_default();
        // Nothing is no secret, and says that nothing was there.
        if value == b"null" {
            return;
        }
        self.counts.add(&pointer.name);
        let before = self.text.get(self.copied..node.at).unwrap_or_default();
        self.json.extend_from_slice(before);
        let value = Raw(value).text();
        let written = String::from_utf8_lossy(self.text.get(node.at..node.end).unwrap_or_default());
        let mask = self.mask.of(value.as_deref().unwrap_or(&written));
        json::push_quoted(&mut self.json, &mask);
        self.copied = node.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pointer: &str, text: &str, expect: Option<&str>) {
        let mask = Mask {
            marker: "#".into(),
            key: None,
        };
        let pointers = [Pointer::parse(pointer).unwrap()];
        let got = masked(text.as_bytes(), &pointers, &mask, &mut Counts::default());
        let got = got.map(|json| String::from_utf8(json).unwrap());
        assert_eq!(got.as_deref(), expect, "{pointer} in {text}");
    }

    #[test]
    fn what_a_pointer_points_at_is_masked() {
        check("/a", r#"{"a": 1, "b": 2}"#, Some(r##"{"a": "#", "b": 2}"##));
        check("/a", r#"{"b": {"a": 1}}"#, None);
        check("/a", r#"{"a": null}"#, None);
        check(
            "/*/a",
            r#"[{"a":{"x":[1]}},{"a":"s"}]"#,
            Some(r##"[{"a":"#"},{"a":"#"}]"##),
        );
        check("/m/1", r#"{"m":[0,1,2]}"#, Some(r##"{"m":[0,"#",2]}"##));
        check(
            "/m/*/*",
            r#"{"m":[[1,2],{"k":3}],"n":1}"#,
            Some(r##"{"m":[["#","#"],{"k":"#"}],"n":1}"##),
        );
        check(
            "/a~1b/~0",
            r#"{"a/b":{"~":1}}"#,
            Some(r##"{"a/b":{"~":"#"}}"##),
        );
        check("/", r#"{"":1}"#, Some(r##"{"":"#"}"##));
        check("/a", "17", None);
    }

    #[test]
    fn no_spelling_hides_a_field() {
        check("/key", r#"{"k\u0065y":1}"#, Some(r##"{"k\u0065y":"#"}"##));
        check("/a", r#"{"a":1,"a":2}"#, Some(r##"{"a":"#","a":"#"}"##));
    }

    #[test]
    fn a_pointer_leads_into_json_in_a_string() {
        check(
            "/arguments/a/0",
            r#"{"arguments":"{\"a\": [\"S\", 1]}","n":2}"#,
            Some(r##"{"arguments":"{\"a\": [\"#\", 1]}","n":2}"##),
        );
        check("/a", r#""{\"a\":\"S\"}""#, Some(r##""{\"a\":\"#\"}""##));
        check(
            "/a/b",
            r#"{"a":"{\"b\":\"secr"#,
            Some(r##"{"a":"{\"b\":\"#\"""##),
        );
        check("/a/b", r#"{"a":"b"}"#, None);
    }

    #[test]
    fn a_cut_text_is_masked_as_far_as_it_goes() {
        check("/a", r#"{"a":"secr"#, Some(r##"{"a":"#""##));
        check("/a", r#"{"a":{"b":["secr"#, Some(r##"{"a":"#""##));
        check("/a/*", r#"{"a":["x","secr"#, Some(r##"{"a":["#","#""##));
        check(
            "/a/b",
            r#"{"z":1,"a":{"b":123"#,
            Some(r##"{"z":1,"a":{"b":"#""##),
        );
        check("/a", r#"{"b":1,"a"#, None);
    }
}
