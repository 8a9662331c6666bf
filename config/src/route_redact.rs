//! `redact`: what a route masks on its traces.

use std::sync::Arc;

use regex::RegexBuilder;

use crate::{
    Secret, check,
    field::{Field, quoted},
    similar::similar,
};

/// What a route masks on its traces. Credentials are masked whatever stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redact {
    /// Headers of which nothing is stored, in lower case.
    pub headers: Vec<Arc<str>>,
    /// Values in JSON bodies: RFC 6901 pointers, a segment `*` for any key or index.
    pub fields: Vec<Arc<str>>,
    /// What is masked in any text.
    pub patterns: Vec<RedactPattern>,
    /// What stands for what was masked.
    pub replace: Arc<str>,
    /// Tells masks of unequal values apart by a hash under this key, so that they can be joined.
    pub hash_key: Option<Secret>,
}

/// What is masked in any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedactPattern {
    /// `email`, `credit_card`, `phone` or `iban`.
    Named(&'static str),
    /// A regular expression of the user's.
    Custom {
        /// As in the counters.
        name: Arc<str>,
        /// In the syntax of the `regex` crate; compiles.
        regex: Arc<str>,
    },
}

/// The patterns that are built in.
const NAMES: [&str; 4] = ["email", "credit_card", "phone", "iban"];

/// Longer pointers lead nowhere in real bodies.
const SEGMENTS_MAX: usize = 32;

/// A compiled expression may take this many bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

pub(crate) fn read(field: &Field<'_>) -> Redact {
    let map = field.map();
    let list = |key, parse: fn(&str) -> Result<Arc<str>, String>| {
        let items = map.field(key).items();
        let all = items.iter().filter_map(|item| item.required(parse));
        all.collect::<Vec<_>>()
    };
    Redact {
        headers: list("headers", check::header_name),
        fields: list("fields", pointer),
        patterns: map
            .field("patterns")
            .items()
            .iter()
            .filter_map(pattern)
            .collect(),
        replace: map
            .field("replace")
            .or(Arc::from("[REDACTED]"), check::some_text),
        hash_key: map
            .field("hash_key")
            .optional(check::some_text)
            .map(Secret::new),
    }
}

fn pointer(text: &str) -> Result<Arc<str>, String> {
    if !text.starts_with('/') {
        return Err(format!("`{text}` must begin with `/`"));
    }
    if text.split('/').count() > SEGMENTS_MAX {
        return Err(format!("`{text}` has more than {SEGMENTS_MAX} segments"));
    }
    Ok(text.into())
}

/// A name, or a mapping of `name` and `regex`.
fn pattern(field: &Field<'_>) -> Option<RedactPattern> {
    if !field.is_map() {
        return field.required(|text| {
            let known = NAMES.into_iter().find(|name| *name == text);
            known.map(RedactPattern::Named).ok_or_else(|| {
                let hint = similar(text, &NAMES).map(|name| format!(", did you mean `{name}`?"));
                format!(
                    "`{text}` is not one of {}{}",
                    quoted(&NAMES),
                    hint.unwrap_or_default()
                )
            })
        });
    }
    let map = field.map();
    let name = map.field("name").required(check::name);
    let regex = map.field("regex").required(|text| {
        let compiled = RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
        let compiled = compiled.map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default().trim();
            format!("`{text}` is no regular expression: {last}")
        })?;
        if compiled.is_match("") {
            return Err(format!("`{text}` matches nothing at all"));
        }
        Ok(Arc::from(text))
    });
    Some(RedactPattern::Custom {
        name: name?,
        regex: regex?,
    })
}
