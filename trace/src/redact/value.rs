//! Texts that carry a credential whatever they are called: the words of an `authorization` field,
//! and URLs with a password, or with a query that has one.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::percent::{self, Plus};

use super::{Counts, Mask, names};

/// Shorter words behind `Bearer` are no token, in bytes.
const TOKEN_BYTES_MIN: usize = 6;

/// What may be said of `Bearer` itself.
const WORDS: [&str; 4] = ["authentication", "authorization", "credentials", "scheme"];

/// A whole text without its credential; `None` where it holds none.
pub(super) fn masked(text: &str, mask: &Mask, counts: &mut Counts) -> Option<String> {
    let scheme = text.split(' ').next().unwrap_or_default();
    if let Some(rest) = text.get(scheme.len()..).map(str::trim)
        && is_authorization(scheme, rest)
    {
        counts.add_credential();
        return Some(format!("{scheme} {}", mask.of(rest)));
    }
    url(text, mask, counts)
}

/// Whether two words are `Bearer` and a token (RFC 6750, section 2.1), or `Basic` and a name and
/// a password in base64 (RFC 7617).
pub(super) fn is_authorization(scheme: &str, rest: &str) -> bool {
    if scheme.eq_ignore_ascii_case("bearer") {
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=|:".contains(&byte);
        return rest.len() >= TOKEN_BYTES_MIN
            && rest.bytes().all(belongs)
            && !WORDS.contains(&rest);
    }
    let pair = || STANDARD.decode(rest).is_ok_and(|pair| pair.contains(&b':'));
    scheme.eq_ignore_ascii_case("basic") && pair()
}

/// A URL without its password and the credentials in its query; `None` where it has none, and for
/// what is no URL.
fn url(text: &str, mask: &Mask, counts: &mut Counts) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(is_scheme) || text.contains(char::is_whitespace) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let tail = rest.get(authority.len()..).unwrap_or_default();
    let user = authority
        .rsplit_once('@')
        .filter(|(user, _)| !user.is_empty());
    let query = tail.find(['?', '#']).and_then(|at| {
        let (path, query) = tail.split_at(at);
        let query = query_with(query, mask, counts)?;
        Some(format!("{path}{query}"))
    });
    let host = user.map(|(user, host)| {
        counts.add_credential();
        format!("{}@{host}", mask.of(user))
    });
    if host.is_none() && query.is_none() {
        return None;
    }
    let host = host.as_deref().unwrap_or(authority);
    Some(format!(
        "{scheme}://{host}{}",
        query.as_deref().unwrap_or(tail)
    ))
}

/// A query without the values of credential-like parameters; `None` where it has none. Parameters
/// are apart by `&` or `;`, and may stand in a fragment, where OAuth answers with them.
pub(crate) fn query_with(query: &str, mask: &Mask, counts: &mut Counts) -> Option<String> {
    let mut masked = String::new();
    let mut copied = 0;
    for range in parameters(query) {
        let parameter = query.get(range.clone()).unwrap_or_default();
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let Some(without) = parameter_without(name, value, mask) else {
            continue;
        };
        counts.add_credential();
        let value_at = range.start + name.len() + 1;
        masked.push_str(query.get(copied..value_at).unwrap_or_default());
        masked.push_str(&without);
        copied = range.end;
    }
    if copied == 0 {
        return None;
    }
    masked.push_str(query.get(copied..).unwrap_or_default());
    Some(masked)
}

/// What stands for a parameter's value, if that is a credential, or holds one.
fn parameter_without(name: &str, value: &str, mask: &Mask) -> Option<String> {
    if value.is_empty() || mask.is_one(value) {
        return None;
    }
    // Escapes are undone, so that `api%5fkey` hides nothing.
    let is_secret = names::is_in_head(&percent::unescaped(name, Plus::Itself)) || {
        // A URL or JSON in a parameter is escaped as a whole: so is what stands for it.
        let value = percent::unescaped(value, Plus::Space);
        holds(&value, mask)
    };
    is_secret.then(|| mask.of(&percent::unescaped(value, Plus::Itself)))
}

fn holds(value: &str, mask: &Mask) -> bool {
    /// Parameters within parameters: an attack, not a URL.
    const LEVELS_MAX: usize = 4;

    if value.matches("://").count() > LEVELS_MAX {
        return true;
    }
    let unheard = &mut Counts::default();
    masked(value, mask, unheard).is_some()
        || super::prose::masked(value.as_bytes(), super::prose::Names::Quoted, mask, unheard)
            .is_some()
}

/// Where the parameters of a query are.
fn parameters(query: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    query.split(['?', '&', ';', '#']).map(move |parameter| {
        let range = at..at + parameter.len();
        at = range.end + 1;
        range
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_query(query: &str, expect: Option<&str>) {
        let got = query_with(query, &Mask::default(), &mut Counts::default());
        assert_eq!(got.as_deref(), expect, "{query}");
    }

    #[test]
    fn values_of_credential_like_parameters_are_masked() {
        check_query("api-version=2024-06-01&x=1&model=gpt-4o&max_tokens=5", None);
        check_query("key=AIza&alt=sse", Some("key=[REDACTED]&alt=sse"));
        check_query(
            "a=b&API-KEY=s&api%5Fkey=t;apiKey=u",
            Some("a=b&API-KEY=[REDACTED]&api%5Fkey=[REDACTED];apiKey=[REDACTED]"),
        );
        check_query(
            "sig=a=b==&token&monkey=1",
            Some("sig=[REDACTED]&token&monkey=1"),
        );
        check_query(
            "X-Amz-Signature=abc&%zz=1&=&",
            Some("X-Amz-Signature=[REDACTED]&%zz=1&=&"),
        );
        check_query("pageToken=abc&next_page_token=d", None);
        check_query("token=", None);
    }

    #[test]
    fn a_parameter_that_holds_a_credential_is_one() {
        let url = "to=https%3A%2F%2Fu%3Ap%40host%2F&n=1";
        check_query(url, Some("to=[REDACTED]&n=1"));
        let url = "to=https%3A%2F%2Fhost%2F%3Fapi_key%3DS";
        check_query(url, Some("to=[REDACTED]"));
        let json = "config=%7B%22apiKey%22%3A%22S%22%7D";
        check_query(json, Some("config=[REDACTED]"));
        check_query("to=https%3A%2F%2Fhost%2F%3Fa%3DS&f=%7B%22a%22%3A1%7D", None);
    }

    #[test]
    fn parameters_within_parameters_take_no_long_time() {
        let deep = format!("to={}", "https://h?to=".repeat(10_000));
        let escaped = format!("to={}", "https%3A%2F%2Fh%3Fto%3D".repeat(10_000));
        for query in [deep, escaped] {
            query_with(&query, &Mask::default(), &mut Counts::default());
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let got = masked(text, &Mask::default(), &mut Counts::default());
        assert_eq!(got.as_deref(), expect, "{text}");
    }

    #[test]
    fn urls_lose_their_passwords_and_signatures_alone() {
        check(
            "https://u:p@host:8443/x?a=1",
            Some("https://[REDACTED]@host:8443/x?a=1"),
        );
        check("postgres://u:p@db/x", Some("postgres://[REDACTED]@db/x"));
        check(
            "https://b.s3.amazonaws.com/x.png?X-Amz-Date=1&X-Amz-Signature=S#f",
            Some("https://b.s3.amazonaws.com/x.png?X-Amz-Date=1&X-Amz-Signature=[REDACTED]#f"),
        );
        check(
            "https://host/cb#access_token=S&x=1",
            Some("https://host/cb#access_token=[REDACTED]&x=1"),
        );
        for plain in [
            "https://host/x?page=2#top",
            "https://host/@user",
            "mail to a@b",
            "see https://u:p@host",
            "://u@x",
        ] {
            check(plain, None);
        }
    }

    #[test]
    fn the_words_of_authorization_are_known() {
        check("Bearer SECRETX", Some("Bearer [REDACTED]"));
        check("bearer abc.def-ghi", Some("bearer [REDACTED]"));
        check("Basic dXNlcjpwYXNz", Some("Basic [REDACTED]"));
        for plain in [
            "Bearer authentication",
            "Bearer token",
            "Bearer of good news",
            "Basic information",
            "Basic usage",
            "basic",
            "",
        ] {
            check(plain, None);
        }
    }
}
