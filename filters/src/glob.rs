//! Path patterns: `*` is any run within a segment, `**` any run with `/` in it too.
//!
//! Matching takes no memory, and at most the square of the path's length in steps, whatever
//! the client sends: it goes back to the latest star of each kind only.

/// Whether the whole of `path` fits `pattern`.
pub(crate) fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    let (mut at, mut on) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut deep: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(at..).unwrap_or_default();
        if rest.starts_with(b"**") {
            at += 2;
            deep = Some((at, on));
            star = None;
            continue;
        }
        match (rest.first(), path.get(on)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, on));
            }
            (Some(want), Some(have)) if want == have => {
                at += 1;
                on += 1;
            }
            _ => {
                // Let the latest star take one byte more, the segment's before the path's.
                let within = star.filter(|(_, taken)| path.get(*taken).is_some_and(|b| *b != b'/'));
                let across = deep.filter(|(_, taken)| *taken < path.len());
                if let Some((after, taken)) = within {
                    star = Some((after, taken + 1));
                    (at, on) = (after, taken + 1);
                } else if let Some((after, taken)) = across {
                    deep = Some((after, taken + 1));
                    star = None;
                    (at, on) = (after, taken + 1);
                } else {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[track_caller]
    fn check(pattern: &str, path: &str, expect: bool) {
        assert_eq!(fits(pattern, path), expect, "{pattern} on {path}");
    }

    #[test]
    fn stars_take_what_their_kind_may() {
        check("/v1/models", "/v1/models", true);
        check("/v1/models", "/v1/models/x", false);
        check("/v1/*/infer", "/v1/resnet/infer", true);
        check("/v1/*/infer", "/v1//infer", true);
        check("/v1/*/infer", "/v1/a/b/infer", false);
        check("/v1/**/infer", "/v1/a/b/infer", true);
        check("/**", "/", true);
        check("/*", "/a/b", false);
        check("/**/chat/*", "/a/b/chat/completions", true);
        check("/**/chat/*", "/a/b/chat/x/y", false);
        check("/**/chat/*", "/chat/x/chat/y", true);
        check("/a*b*c", "/aXbYbZc", true);
        check("/a*b*c", "/aXbYb/c", false);
        check("**/infer", "/v1/a/infer", true);
        check("**b", "abab", true);
        check("**b", "aba", false);
        check("/**/a/**/b", "/x/a/b/a/c/b", true);
        check("/**a*/c", "/aab/a/ab/c", true);
        check("/**a*/c", "/aab/a/ab/d", false);
        check("*", "", true);
        check("", "", true);
        check("", "/", false);
    }

    #[test]
    fn a_hostile_path_costs_no_more_than_its_square() {
        let path = format!("/{}", "a".repeat(4_000));
        check("/a*a*a*a*a*a*a*a*a*b", &path, false);
        check("/**a**a**a**a**a**b", &path, false);
    }
}
