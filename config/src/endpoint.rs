//! The address of a model endpoint: scheme, host and port, and nothing else.

use std::{net::IpAddr, sync::Arc};

use crate::{check, units};

/// Whether a connection to an endpoint is plain or TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS, always verified.
    Https,
}

/// One address of an upstream, from `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// DNS name in lower case, or an IP address; IPv6 without brackets, ready for the resolver.
    pub host: Arc<str>,
    /// TCP port, 1..=65535; the scheme's default (80, 443) if the YAML has none.
    pub port: u16,
    /// The text from the YAML, for logs and metrics.
    pub original: Arc<str>,
}

impl Endpoint {
    /// Whether the host is an IP address, so that there is no name to verify a certificate against.
    pub fn is_ip(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

/// An endpoint's URL: nothing may follow the port but a slash.
pub(crate) fn parse(text: &str) -> Result<Endpoint, String> {
    let (endpoint, path) = url(text)?;
    if !matches!(path, "" | "/") {
        return Err(format!(
            "`{path}` is not part of an endpoint: use `path.add_prefix` for a path"
        ));
    }
    Ok(endpoint)
}

/// The URL of a sink, with a path if it has one, and without a trailing slash.
pub(crate) fn sink_url(text: &str) -> Result<String, String> {
    let (_, path) = url(text)?;
    if !path.is_empty() {
        check::path(path)?;
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Scheme, host and port, and the rest of the URL. Credentials are refused, and not shown.
fn url(text: &str) -> Result<(Endpoint, &str), String> {
    let shape = "must be a URL, `http://host:port` or `https://host:port`";
    if text.starts_with("${") {
        // Other variables were replaced before.
        return Err(format!("{shape}; a variable is written `${{env:NAME}}`"));
    }
    let (scheme, rest) = text.split_once("://").ok_or(shape)?;
    let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (Scheme::Http, 80),
        "https" => (Scheme::Https, 443),
        _ => return Err(shape.to_owned()),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("must not contain credentials".to_owned());
    }
    // The colons of an IPv6 address are inside its brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, units::port(port)?),
        _ => (authority, default_port),
    };
    let endpoint = Endpoint {
        scheme,
        host: check::host(host)?,
        port,
        original: text.into(),
    };
    Ok((endpoint, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, scheme: Scheme, host: &str, port: u16) {
        let endpoint = parse(text).unwrap();
        let got = (endpoint.scheme, &*endpoint.host, endpoint.port);
        assert_eq!(got, (scheme, host, port));
        assert_eq!(&*endpoint.original, text);
    }

    #[test]
    fn endpoints_have_a_scheme_a_host_and_a_port() {
        check("http://a", Scheme::Http, "a", 80);
        check("https://LLM.internal/", Scheme::Https, "llm.internal", 443);
        check("HTTP://127.0.0.1:8000", Scheme::Http, "127.0.0.1", 8000);
        check("https://[::1]:8443", Scheme::Https, "::1", 8443);
        check("http://[::1]", Scheme::Http, "::1", 80);
    }

    #[test]
    fn other_urls_and_addresses_are_refused() {
        let bad = [
            "",
            "a:80",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:65536",
            "http://a:",
            "http://a/v1",
            "http://a?x",
            "http://a#x",
            "http://u:p@a",
            "http://::1",
            "http://a b",
            "http://[::1",
            "unix:///run/s",
        ];
        for text in bad {
            assert!(parse(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn urls_of_sinks_may_have_a_path_and_errors_show_no_credentials() {
        assert_eq!(sink_url("http://a:1/ml/").as_deref(), Ok("http://a:1/ml"));
        assert!(sink_url("http://a/?q").is_err());
        assert!(
            !sink_url("http://u:hunter2@a")
                .unwrap_err()
                .contains("hunter2")
        );
    }
}
