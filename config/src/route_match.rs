//! `routes[].match`: which requests a route takes.

use std::sync::Arc;

/// All of these must hold. The default holds for every request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// On the request path, without its query.
    pub path: PathMatch,
    /// The request's host, in lower case and without a port; `None`: any.
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
    /// A path that begins so.
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
