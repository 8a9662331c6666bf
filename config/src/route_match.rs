//! `routes[].match`: which requests a route matches.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};

use crate::{
    check,
    field::Field,
    kind::{self, Type},
};

/// The conditions of a route, all of which must hold. Without any, every request matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// On the request path, without its query.
    pub path: PathMatch,
    /// The request's host, in lower case and without a port, an IPv6 address in its brackets;
    /// `None`: any.
    pub host: Option<Arc<str>>,
    /// The methods, sorted by name; empty: any.
    pub methods: Vec<Method>,
    /// Headers that the request must have; sorted by name.
    pub headers: Vec<HeaderMatch>,
}

/// A condition on the request path. Patterns begin with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Any path.
    Any,
    /// This path, byte for byte.
    Exact(Arc<str>),
    /// This path, and every path below it, by whole segments: `/v1` matches `/v1` and `/v1/chat`, not
    /// `/v10`. Without a trailing slash, so that `/` is empty.
    Prefix(Arc<str>),
    /// A pattern: `*` matches any characters within a segment, `**` any characters including `/`.
    Glob(Arc<str>),
}

/// A header that the request must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderMatch {
    /// The header's name.
    pub name: HeaderName,
    /// The whole value, byte for byte.
    pub value: HeaderValue,
}

impl RouteMatch {
    /// Whether this matches every request that `later` matches, as far as that is easy to see: they
    /// are equal, or this matches every request.
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
    let path = map
        .key("path", "The path, exactly.")
        .example("/v1/chat/completions");
    let prefix = map
        .key("path_prefix", "The path, or the beginning of it by whole segments: `/v1` and `/v1/` both match `/v1` and `/v1/chat`, not `/v10`.")
        .example("/v1")
        .alternative();
    let glob = map
        .key("path_glob", "Pattern for the path: `*` matches any characters within a segment, `**` also across segments.")
        .example("/models/*/invocations")
        .alternative();
    let fields = [path.field(), prefix.field(), glob.field()];
    let paths = [
        path.optional(kind::path()).map(PathMatch::Exact),
        prefix.optional(kind::path()).map(|path| prefix_of(&path)),
        glob.optional(kind::path()).map(PathMatch::Glob),
    ];
    let host = map
        .key(
            "host",
            "The request's host, in any case and without a port.",
        )
        .example("api.example.com")
        .optional(kind::text_of(host));
    let mut methods = map
        .key("methods", "The method is one of these.")
        .example("[POST]")
        .list(kind::text_of(check::method));
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    let headers = map
        .key(
            "headers",
            "Headers that the request must have, with exactly these values.",
        )
        .example("{x-task: billing}")
        .place(Type::Map(Box::new(Type::Text)));
    RouteMatch {
        path: only_one(&fields, paths),
        host,
        methods,
        headers: headers_of(&headers),
    }
}

/// At most one of `path`, `path_prefix` and `path_glob`, in this order.
fn only_one(fields: &[Field<'_>; 3], paths: [Option<PathMatch>; 3]) -> PathMatch {
    let mut chosen = None;
    for (field, path) in fields.iter().zip(paths) {
        if field.is_set() && chosen.is_some() {
            field.fail("only one of `path`, `path_prefix`, `path_glob` can be given");
        }
        chosen = chosen.or(path);
    }
    chosen.unwrap_or(PathMatch::Any)
}

/// A prefix ends where a segment does, with and without a slash at its end.
fn prefix_of(path: &str) -> PathMatch {
    PathMatch::Prefix(path.trim_end_matches('/').into())
}

/// A host as a request names it: in lower case, an IPv6 address in its brackets.
fn host(text: &str) -> Result<Arc<str>, String> {
    check::host(text)?;
    Ok(text.to_ascii_lowercase().into())
}

fn headers_of(field: &Field<'_>) -> Vec<HeaderMatch> {
    let header = |(key, field): (&str, Field<'_>)| {
        let name = check::header_name(key).map_err(|message| field.fail(message));
        let value = field.required(check::header_value);
        Some(HeaderMatch {
            name: name.ok()?,
            value: value?,
        })
    };
    let mut headers: Vec<_> = field.entries().into_iter().filter_map(header).collect();
    headers.sort_by(|a, b| (a.name.as_str(), &a.value).cmp(&(b.name.as_str(), &b.value)));
    headers
}
