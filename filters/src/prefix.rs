//! Prefixes of request paths, by whole segments.

/// The rest of a request target below a prefix: empty, or beginning with `/` or `?`. `None` if the
/// target is not below the prefix.
///
/// A prefix ends where a segment does: `/v1` and `/v1/` are prefixes of `/v1` and `/v1/chat`, not of
/// `/v10`. The empty prefix and `/` are prefixes of every path.
pub fn strip_prefix<'a>(target: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let end = prefix.iter().rposition(|byte| *byte != b'/');
    let prefix = end.map_or(&[][..], |last| prefix.get(..=last).unwrap_or_default());
    rest_below(target, prefix)
}

/// As [`strip_prefix`], for a prefix without a trailing slash: a router compares many per request.
#[inline]
pub(crate) fn rest_below<'a>(target: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = target.strip_prefix(prefix)?;
    matches!(rest.first(), None | Some(b'/' | b'?')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, target: &str, expect: Option<&str>) {
        let rest = strip_prefix(target.as_bytes(), prefix.as_bytes());
        assert_eq!(rest, expect.map(str::as_bytes), "{prefix} of {target}");
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        for prefix in ["/v1", "/v1/", "/v1//"] {
            check(prefix, "/v1", Some(""));
            check(prefix, "/v1/", Some("/"));
            check(prefix, "/v1/chat", Some("/chat"));
            check(prefix, "/v1?a=/b", Some("?a=/b"));
            check(prefix, "/v10", None);
            check(prefix, "/v10/v1", None);
            check(prefix, "/v", None);
            check(prefix, "/V1", None);
        }
        check("/a/b", "/a/b/c", Some("/c"));
        check("/a/b", "/a/bc", None);
    }

    #[test]
    fn the_root_is_a_prefix_of_every_path() {
        for prefix in ["", "/"] {
            check(prefix, "/", Some("/"));
            check(prefix, "/v1", Some("/v1"));
            check(prefix, "*", None);
        }
    }
}
