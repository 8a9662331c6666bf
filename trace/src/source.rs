//! Where a value on a trace comes from.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, Uri};

use crate::percent::{self, Plus};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration itself.
    Constant(Arc<str>),
    /// A request header's first value.
    Header(HeaderName),
    /// The query's first parameter of this name, escapes undone.
    Query(Arc<str>),
    /// This segment of the path, counted from 1, escapes undone.
    Path(usize),
    /// A scalar in the JSON request body, by the steps of a pointer (RFC 6901), escapes undone.
    Body(Arc<[Arc<str>]>),
}

impl Source {
    /// What it says of a request with this head. Nothing where the value is empty, or in the body.
    pub fn of_head<'a>(
        &'a self,
        uri: &'a Uri,
        header: impl FnOnce(&HeaderName) -> Option<&'a [u8]>,
    ) -> Option<Cow<'a, str>> {
        let value = match self {
            Self::Constant(value) => Cow::Borrowed(&**value),
            Self::Header(name) => String::from_utf8_lossy(header(name)?),
            Self::Query(name) => parameter(uri.query()?, name)?,
            Self::Path(segment) => {
                let segment = uri.path().split('/').nth(*segment)?;
                percent::unescaped(segment, Plus::Itself)
            }
            Self::Body(_) => return None,
        };
        (!value.is_empty()).then_some(value)
    }
}

/// The first parameter of this name.
fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(key, _)| percent::unescaped(key, Plus::Space) == name)?;
    Some(percent::unescaped(value, Plus::Space))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &Source, target: &str, expect: Option<&str>) {
        let uri: Uri = target.parse().unwrap();
        let found = source.of_head(&uri, |_| None);
        assert_eq!(found.as_deref(), expect, "{source:?} of {target}");
    }

    #[test]
    fn a_path_gives_its_segments() {
        let tenant = Source::Path(2);
        check(&tenant, "/tenants/acme/chat?x=/y", Some("acme"));
        check(&tenant, "http://host/tenants/a%20c+me", Some("a c+me"));
        check(&tenant, "/tenants/%C3%A4%2F", Some("ä/"));
        check(&tenant, "/tenants/", None);
        check(&tenant, "/tenants", None);
        check(&tenant, "/a//b", None);
        check(&tenant, "*", None);
        check(&Source::Path(1), "/", None);
    }

    #[test]
    fn a_query_gives_its_parameters() {
        let user = Source::Query("user id".into());
        check(&user, "/?a=1&user+id=7&user+id=8", Some("7"));
        check(&user, "/?user%20id=a%26b+c%zz", Some("a&b c%zz"));
        check(&user, "/?user+id", None);
        check(&user, "/?user=1", None);
        check(&user, "/", None);
    }

    #[test]
    fn the_head_says_nothing_of_the_body() {
        check(
            &Source::Body([Arc::from("user")].into()),
            "/user?user=7",
            None,
        );
    }
}
