//! `redact`: the rules that mask values on a route's traces.

use offpath_trace::{Pattern, Pointer, Redaction, Rules};

use crate::{
    check,
    field::Field,
    kind::{self, Kind, Type},
    map::Map,
};

pub(crate) fn read(field: &Field<'_>) -> Redaction {
    let map = field.map();
    let pointer = |text: &str| Pointer::parse(text).map_err(|error| error.to_string());
    let rules = Rules {
        headers: map
            .key("headers", "Headers of which no value is stored, in addition to those that carry credentials.")
            .example("[x-customer]")
            .list(kind::text_of(check::header_name)),
        fields: map
            .key("fields", "Values in JSON bodies, by JSON pointer (RFC 6901); a segment `*` matches any key or index.")
            .example("[/messages/*/content]")
            .list(Kind::new(Type::Text, pointer)),
        patterns: patterns(&map),
        credentials: map
            .key("credentials", "Whether credentials are masked in bodies, by the names of members (`api_key`, `authorization`, `password`, …); headers and queries are always masked.")
            .or("true", kind::boolean()),
        replace: map
            .key("replace", "Text that replaces a masked value.")
            .or("[REDACTED]", kind::text())
            .to_string(),
        hash_key: map
            .key("hash_key", "Key of a hash that is added to each mask, so that equal values can still be joined.")
            .example("\"${env:HASH_KEY}\"")
            .optional(kind::text())
            .map(|key| key.as_bytes().to_vec()),
    };
    Redaction::from(rules)
}

fn patterns(map: &Map<'_>) -> Vec<Pattern> {
    let named = Type::Words(Pattern::NAMES.to_vec());
    let either = Type::Either(Box::new(named), Box::new(Type::Section));
    let field = map
        .key("patterns", "Patterns that are masked in any text: one that is built in, or a regular expression with a name.")
        .example("[email, {name: ticket, regex: \"T-[0-9]+\"}]")
        .place(Type::List(Box::new(either)));
    field.items().iter().filter_map(pattern).collect()
}

/// The name of a built-in pattern, or a mapping of `name` and `regex`.
fn pattern(field: &Field<'_>) -> Option<Pattern> {
    if !field.is_map() {
        let named = kind::words(&Pattern::NAMES.map(|name| (name, name)));
        let name = field.required(|text| named.parse(text))?;
        return Some(
            Pattern::named(name).expect("the name is one of `NAMES`, because the kind checked it"),
        );
    }
    let map = field.map();
    let name = map
        .key("name", "Name of the pattern in the counters.")
        .example("ticket")
        .required(kind::text_of(check::name));
    let counted_as = name.as_deref().unwrap_or_default();
    let regex = |text: &str| Pattern::custom(counted_as, text).map_err(|error| error.to_string());
    let pattern = map
        .key(
            "regex",
            "Regular expression, in the syntax of Rust's `regex` crate.",
        )
        .example("\"T-[0-9]+\"")
        .required(Kind::new(Type::Text, regex));
    pattern.filter(|_| name.is_some())
}
