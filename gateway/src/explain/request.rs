//! The request that is asked about, as its head would reach the proxy.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Uri};
use offpath_trace::without_credentials;
use pingora::http::RequestHeader;

/// Fields beyond this many are refused, as pingora would.
const FIELDS_MAX: usize = 256;

/// A request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) head: RequestHeader,
    /// `None`: nothing is known of it.
    pub(super) body: Option<Bytes>,
}

impl Asked {
    /// `url` is a URL, whose host then is the request's, or begins with its path. A field is
    /// `name: value`.
    pub(super) fn new(
        method: &str,
        url: &str,
        fields: &[String],
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Self> {
        let method = method.to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes())
            .with_context(|| format!("`{method}` is not a method"))?;
        let uri: Uri = url
            .parse()
            .with_context(|| format!("`{}` is not a URL", without_credentials(url)))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if !path.starts_with('/') || fields.len() > FIELDS_MAX {
            bail!("a request's path begins with `/`, and it has at most {FIELDS_MAX} fields");
        }
        let mut head = RequestHeader::build(method, path.as_bytes(), Some(fields.len()))
            .context("the request cannot be built")?;
        for field in fields {
            let (name, value) = field.split_once(':').with_context(|| {
                let field = without_credentials(field);
                format!("`{field}` is not a field, as `name: value`")
            })?;
            let wrong = || format!("`{}` is not a header field", without_credentials(field));
            let name: HeaderName = name.trim().parse().with_context(wrong)?;
            let value: HeaderValue = value.trim().parse().with_context(wrong)?;
            head.append_header(name, value).with_context(wrong)?;
        }
        if let Some(authority) = uri.authority()
            && !head.headers.contains_key(HOST)
        {
            head.insert_header(HOST, authority.as_str())
                .context("the URL's host cannot be a header")?;
        }
        let body = body.map(Bytes::from);
        Ok(Self { head, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, field: &str) -> anyhow::Result<Asked> {
        Asked::new("post", url, &[field.to_owned()], None)
    }

    #[test]
    fn a_url_gives_host_and_path() {
        let asked = asked("https://api.example:8443/v1/chat?x=1", "X-Task:  billing ").unwrap();
        assert_eq!(asked.head.method, Method::POST);
        assert_eq!(asked.head.uri, "/v1/chat?x=1");
        assert_eq!(asked.head.headers["host"], "api.example:8443");
        assert_eq!(asked.head.headers["x-task"], "billing");
    }

    #[test]
    fn a_host_header_goes_before_the_urls() {
        let asked = asked("http://127.0.0.1:8080", "Host: api.example").unwrap();
        assert_eq!(asked.head.headers["host"], "api.example");
        assert_eq!(asked.head.uri, "/");
    }

    #[test]
    fn what_no_client_sends_is_refused() {
        for (url, field) in [
            ("a b", "x: y"),
            ("/x", "no colon"),
            ("/x", "b ad: y"),
            ("*", "x: y"),
        ] {
            assert!(asked(url, field).is_err(), "{url} {field}");
        }
        assert!(Asked::new("P T", "/", &[], None).is_err());
    }
}
