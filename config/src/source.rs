//! Where a value on a trace comes from: the configuration, or a part of the request.

use std::sync::Arc;

use offpath_trace::Source;

use crate::{
    check,
    field::Field,
    key::Key,
    kind::{self, Kind, Type},
};

/// The last segment of a path that can be named.
const SEGMENTS_MAX: usize = 64;

/// Maximum number of steps of a pointer; each walks over a level of the body.
const POINTER_STEPS_MAX: usize = 16;

/// The path that the keys of a source are described under, wherever a source may be.
pub(crate) const DESCRIBED_AS: &str = "(source)";

/// A list of sources; a single value in it is a constant.
pub(crate) fn read_list(key: Key<'_>) -> Vec<Source> {
    let field = key.place(Type::List(Box::new(Type::Source)));
    field.items().iter().filter_map(read).collect()
}

/// `{header: name}`, `{query: name}`, `{path: 2}` or `{body: /pointer}`; a single value is a
/// constant.
pub(crate) fn read(field: &Field<'_>) -> Option<Source> {
    if !field.is_map() {
        return field.required(check::not_empty).map(Source::Constant);
    }
    let map = field.clone().described_as(DESCRIBED_AS).map();
    let keys = [
        map.key("header", "The first value of this request header.").example("x-user-id"),
        map.key("query", "The first parameter of this name in the request's query, percent-decoded.").example("session").alternative(),
        map.key("path", "The segment at this position, counted from 1, of the path as the client sent it, percent-decoded: of `/tenants/acme/chat`, `2` is `acme`.").example("2").alternative(),
        map.key("body", "The string, number or boolean at this JSON pointer (RFC 6901) in the request body; it is read after the exchange, so it cannot decide sampling.").example("/user").alternative(),
    ];
    let given = keys.iter().filter(|key| key.field().is_set()).count();
    if given != 1 {
        field.fail("must name one of `header`, `query`, `path`, `body`");
    }
    let [header, query, path, body] = keys;
    let header = header.optional(kind::text_of(check::header_name));
    let query = query.optional(kind::text());
    let path = path.optional(kind::integer(1, SEGMENTS_MAX));
    let body = body.optional(Kind::new(Type::Text, pointer));
    if given != 1 {
        return None;
    }
    header
        .map(Source::Header)
        .or_else(|| query.map(Source::Query))
        .or_else(|| path.map(Source::Path))
        .or_else(|| body.map(Source::Body))
}

/// RFC 6901, section 3. The empty pointer, which is the whole body, is not accepted.
fn pointer(text: &str) -> Result<Arc<[Arc<str>]>, String> {
    let wrong = || format!("`{text}` is not a JSON pointer (RFC 6901, for example `/user/id`)");
    let steps = text.strip_prefix('/').ok_or_else(wrong)?;
    let steps: Vec<_> = steps.split('/').map(step).collect();
    if steps.len() > POINTER_STEPS_MAX {
        return Err(format!("has more than {POINTER_STEPS_MAX} steps"));
    }
    steps.into_iter().collect::<Option<_>>().ok_or_else(wrong)
}

/// Decodes `~1` to a slash and `~0` to a tilde; any other tilde is a fault.
fn step(text: &str) -> Option<Arc<str>> {
    let mut parts = text.split('~');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let rest = match part.strip_prefix('0') {
            Some(rest) => {
                plain.push('~');
                rest
            }
            None => {
                plain.push('/');
                part.strip_prefix('1')?
            }
        };
        plain.push_str(rest);
    }
    Some(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&[&str]>) {
        let steps = pointer(text).ok();
        let steps = steps.as_ref().map(|steps| steps.iter().map(|s| &**s));
        assert_eq!(steps.map(Vec::from_iter).as_deref(), expect, "{text}");
    }

    #[test]
    fn pointers_are_those_of_the_standard() {
        check("/user", Some(&["user"]));
        check("/metadata/user~1id/0", Some(&["metadata", "user/id", "0"]));
        check("/a~01", Some(&["a~1"]));
        check("/m~0n~0~1", Some(&["m~n~/"]));
        check("/", Some(&[""]));
        check("/ä b", Some(&["ä b"]));
        for wrong in ["", "user", "#/user", "/a~", "/a~2", "$.user"] {
            check(wrong, None);
        }
        check(&"/a".repeat(POINTER_STEPS_MAX + 1), None);
    }
}
