//! Where a value on a trace comes from: the configuration, or a part of the request.

use std::sync::Arc;

use crate::{check, field::Field, units};

/// Segments of a path that can be named.
const SEGMENTS_MAX: usize = 64;

/// Steps of a pointer; each is a walk over a level of the body.
const POINTER_STEPS_MAX: usize = 16;

/// Where a value on the trace comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The same for every exchange.
    Constant(Arc<str>),
    /// The request header of this valid name, in lower case.
    Header(Arc<str>),
    /// The first parameter of this name in the request's query, percent escapes undone.
    Query(Arc<str>),
    /// This segment of the request's path as the client sent it, counted from 1, percent escapes
    /// undone: of `/tenants/acme/chat`, the second is `acme`.
    Path(usize),
    /// A string, number or truth value in a JSON request body, by the steps of an RFC 6901
    /// pointer, escapes undone; at least one step. Read after the exchange, off the request path.
    Body(Arc<[Arc<str>]>),
}

/// A list of sources; a single value in it is a constant.
pub(crate) fn read_list(field: &Field<'_>) -> Vec<Source> {
    field.items().iter().filter_map(read).collect()
}

/// `{header: name}`, `{query: name}`, `{path: 2}` or `{body: /pointer}`; a single value is a
/// constant.
pub(crate) fn read(field: &Field<'_>) -> Option<Source> {
    if !field.is_map() {
        return field.required(check::some_text).map(Source::Constant);
    }
    let map = field.map();
    let fields = ["header", "query", "path", "body"].map(|key| map.field(key));
    let given = fields.iter().filter(|field| field.is_set()).count();
    if given != 1 {
        field.fail("must name one of `header`, `query`, `path`, `body`");
        return None;
    }
    let [header, query, path, body] = &fields;
    header
        .optional(check::header_name)
        .map(Source::Header)
        .or_else(|| query.optional(check::some_text).map(Source::Query))
        .or_else(|| path.optional(segment).map(Source::Path))
        .or_else(|| body.optional(pointer).map(Source::Body))
}

fn segment(text: &str) -> Result<usize, String> {
    units::whole(text, 1, SEGMENTS_MAX)
}

/// RFC 6901, section 3. The empty pointer is the whole body, which is no value.
fn pointer(text: &str) -> Result<Arc<[Arc<str>]>, String> {
    let wrong = || format!("`{text}` is not a JSON pointer (RFC 6901), as `/user/id`");
    let steps = text.strip_prefix('/').ok_or_else(wrong)?;
    let steps: Vec<_> = steps.split('/').map(step).collect();
    if steps.len() > POINTER_STEPS_MAX {
        return Err(format!("has more than {POINTER_STEPS_MAX} steps"));
    }
    steps.into_iter().collect::<Option<_>>().ok_or_else(wrong)
}

/// `~1` is a slash and `~0` a tilde; any other tilde is a fault.
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
