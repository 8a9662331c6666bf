//! Checks of names and text that HTTP, MLflow and metrics carry.

use std::{net::Ipv4Addr, sync::Arc};

use http::{HeaderName, HeaderValue, Method};

/// Longest name of a route, upstream or sink, in bytes: they are labels of metrics.
const NAME_BYTES_MAX: usize = 100;

/// A name, as logs and metrics can show it.
pub(crate) fn name(text: &str) -> Result<Arc<str>, String> {
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err("must be a name, without control characters or outer spaces".to_owned());
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(format!("must be at most {NAME_BYTES_MAX} bytes long"));
    }
    Ok(text.into())
}

/// Any text but the empty one.
pub(crate) fn not_empty(text: &str) -> Result<Arc<str>, String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(text.into())
}

/// A header's name (RFC 9110, section 5.1), in any case.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is not a header name"))
}

/// A header's value (RFC 9110, section 5.5). The message does not show it: it may be a credential.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text).ok();
    value
        .filter(|_| text.trim() == text)
        .ok_or_else(|| "contains a character that a header cannot carry".to_owned())
}

/// A method (RFC 9110, section 9.1). Converted to upper case, because `get` is meant as `GET`.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    Method::from_bytes(upper.as_bytes()).map_err(|_| format!("`{text}` is not a method"))
}

/// The path of a request, without query, or a pattern for one.
pub(crate) fn path(text: &str) -> Result<Arc<str>, String> {
    if !text.starts_with('/') {
        return Err("must begin with \"/\"".to_owned());
    }
    if let Some(wrong) = text
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#'))
    {
        let shown = wrong.escape_default();
        return Err(format!("contains `{shown}`, which a request path cannot"));
    }
    Ok(text.into())
}

/// As [`path`], or empty.
pub(crate) fn path_prefix(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    path(text).map(|path| path.to_string())
}

/// A DNS name (RFC 1123, section 2.1; underscores are accepted, because container networks use them),
/// in lower case. A name whose last label is a number is refused, because resolvers read it as an
/// address.
pub(crate) fn dns_name(text: &str) -> Result<Arc<str>, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let numeric_end = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > 253 || !text.split('.').all(label) || numeric_end {
        return Err(format!("`{text}` is not a host name"));
    }
    Ok(text.to_ascii_lowercase().into())
}

/// The host of a URL: a DNS name, an IPv4 address, or an IPv6 address in brackets. Returned in lower
/// case and without the brackets.
pub(crate) fn host(text: &str) -> Result<Arc<str>, String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return match inner.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(address.to_string().into()),
            Err(_) => Err(format!("`{text}` is not an IPv6 address")),
        };
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        return Ok(text.into());
    }
    dns_name(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: fn(&str) -> Result<Arc<str>, String>, rows: &[(&str, Option<&str>)]) {
        for (text, expect) in rows {
            assert_eq!(read(text).ok().as_deref(), *expect, "{text}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        let rows = [
            ("LLM.internal", Some("llm.internal")),
            ("my_service", Some("my_service")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[::1]", Some("::1")),
            ("[fe80::1", None),
            ("::1", None),
            ("300.1.1.1", None),
            ("", None),
            ("a..b", None),
            ("-a", None),
            ("a b", None),
        ];
        check(host, &rows);
    }

    #[test]
    fn names_and_paths_contain_only_valid_characters() {
        check(
            name,
            &[
                ("a b", Some("a b")),
                ("", None),
                (" a", None),
                ("a\n", None),
            ],
        );
        check(
            path,
            &[
                ("/v1", Some("/v1")),
                ("v1", None),
                ("/a?b", None),
                ("/ä", None),
            ],
        );
    }

    #[test]
    fn headers_and_methods_contain_only_valid_characters() {
        assert_eq!(header_name("X-User").unwrap(), "x-user");
        assert!(header_name("x user").is_err() && header_name("").is_err());
        assert_eq!(header_value("abc").unwrap(), "abc");
        assert!(header_value("a\nb").is_err() && header_value(" a").is_err());
        assert_eq!(method("post"), Ok(Method::POST));
        assert!(method("P T").is_err() && method("").is_err());
    }
}
