//! `routes[].match`: which requests a route takes.

use std::sync::Arc;

use crate::{check, field::Field};

/// All of these must hold. The default holds for every request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// On the request path, without its query.
    pub path: PathMatch,
    /// The request's host, in lower case and without a port, an IPv6 address in its brackets;
    /// `None`: any.
    pub host: Option<Arc<str>>,
    /// Methods in upper case, sorted; empty: any.
    pub methods: Vec<Arc<str>>,
    /// Every one must be there with that value; sorted by name.
    pub headers: Vec<HeaderMatch>,
}

/// What the request path must be. Patterns begin with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Any path.
    Any,
    /// This path, byte for byte.
    Exact(Arc<str>),
    /// This path, and every path below it, by whole segments: `/v1` and `/v1/` both match `/v1` and
    /// `/v1/chat`, not `/v10`.
    Prefix(Arc<str>),
    /// A pattern: `*` is any run of characters within a segment, `**` any run with `/` in it too.
    Glob(Arc<str>),
}

/// A header that must be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderMatch {
    /// A valid header name in lower case.
    pub name: Arc<str>,
    /// The whole value, byte for byte.
    pub value: Arc<str>,
}

impl RouteMatch {
    /// Whether this takes every request that `later` could take, as far as that is plain to see:
    /// they are equal, or this takes all.
    pub(crate) fn shadows(&self, later: &Self) -> bool {
        let any = self.path == PathMatch::Any
            && self.host.is_none()
            && self.methods.is_empty()
            && self.headers.is_empty();
        any || self == later
    }
}

pub(crate) fn read(field: &Field<'_>) -> RouteMatch {
    let map = field.map();
    let mut methods: Vec<_> = map
        .field("methods")
        .items()
        .iter()
        .filter_map(|item| item.required(check::method))
        .collect();
    methods.sort();
    methods.dedup();
    let path = path(&[
        map.field("path"),
        map.field("path_prefix"),
        map.field("path_glob"),
    ]);
    RouteMatch {
        path,
        host: map.field("host").optional(host),
        methods,
        headers: headers(&map.field("headers")),
    }
}

/// At most one of `path`, `path_prefix` and `path_glob`, in this order.
fn path(fields: &[Field<'_>; 3]) -> PathMatch {
    let kinds = [PathMatch::Exact, PathMatch::Prefix, PathMatch::Glob];
    let mut chosen = None;
    for (field, kind) in fields.iter().zip(kinds) {
        let path = field.optional(check::path).map(kind);
        if field.is_set() && chosen.is_some() {
            field.fail("only one of `path`, `path_prefix`, `path_glob` can be given");
        }
        chosen = chosen.or(path);
    }
    chosen.unwrap_or(PathMatch::Any)
}

/// As a request names it: in lower case, an IPv6 address in its brackets.
fn host(text: &str) -> Result<Arc<str>, String> {
    check::host(text)?;
    Ok(text.to_ascii_lowercase().into())
}

fn headers(field: &Field<'_>) -> Vec<HeaderMatch> {
    let header = |(key, field): (&str, Field<'_>)| {
        let name = check::header_name(key).map_err(|message| field.fail(message));
        let value = field.required(check::header_value);
        Some(HeaderMatch {
            name: name.ok()?,
            value: value?,
        })
    };
    let mut headers: Vec<_> = field.entries().into_iter().filter_map(header).collect();
    headers.sort();
    headers
}
