//! Targets: validated URLs.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;

use super::Error;

/// The supported URL schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`, without encryption.
    Http,
    /// `https`, over TLS.
    Https,
}

/// An `http` or `https` URL with a host and without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The URL's scheme.
    pub scheme: Scheme,
    /// Host name or address; an IPv6 address has no brackets.
    pub host: String,
    /// The port; 80 or 443 if the URL contains none.
    pub port: u16,
    /// Host and port as written in the URL, for the `Host` header.
    pub authority: String,
    /// Path and query; at least `/`.
    pub path_and_query: PathAndQuery,
}

impl Target {
    /// Whether the host is `localhost` or a loopback address. Other names may still resolve to one.
    #[must_use]
    pub fn names_loopback(&self) -> bool {
        let is_loopback = |addr: IpAddr| addr.to_canonical().is_loopback();
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(is_loopback)
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let broken = |reason| Error::Url {
            url: url.to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| broken("is not a valid URL"))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(broken("must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| broken("has no host"))?;
        if authority.as_str().contains('@') {
            // The message omits the URL, which contains a password.
            return Err(Error::Url {
                url: authority.host().to_owned(),
                reason: "credentials in the URL are not supported; send a header instead",
            });
        }
        let port = match (authority.port_u16(), scheme) {
            (Some(0), _) => return Err(broken("port 0 cannot be connected to")),
            (Some(port), _) => port,
            (None, _) if authority.port().is_some() => return Err(broken("the port is invalid")),
            (None, Scheme::Http) => 80,
            (None, Scheme::Https) => 443,
        };
        let host = authority.host();
        if host.is_empty() {
            return Err(broken("has no host"));
        }
        let path_and_query = uri.path_and_query().cloned();
        Ok(Self {
            scheme,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path_and_query: path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.path_and_query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expect: Result<(&str, u16, bool), &str>) {
        let found = url
            .parse::<Target>()
            .map(|target| {
                let is_loopback = target.names_loopback();
                (target.host, target.port, is_loopback)
            })
            .map_err(|error| error.to_string());
        let expect = expect
            .map(|(host, port, is_loopback)| (host.to_owned(), port, is_loopback))
            .map_err(str::to_owned);
        assert_eq!(found, expect);
    }

    #[test]
    fn a_url_is_parsed_and_loopback_is_recognized() {
        check("http://127.0.0.1:9001/a?b", Ok(("127.0.0.1", 9001, true)));
        check("http://localhost", Ok(("localhost", 80, true)));
        check("https://[::1]/", Ok(("::1", 443, true)));
        check(
            "http://[::ffff:127.0.0.1]:1/",
            Ok(("::ffff:127.0.0.1", 1, true)),
        );
        check("http://10.0.0.1/", Ok(("10.0.0.1", 80, false)));
        check(
            "http://127.0.0.1.example.com/",
            Ok(("127.0.0.1.example.com", 80, false)),
        );
        check("http://0.0.0.0/", Ok(("0.0.0.0", 80, false)));
    }

    #[test]
    fn an_unusable_url_is_rejected_with_the_reason() {
        check(
            "ftp://a/",
            Err("`ftp://a/`: must begin with http:// or https://"),
        );
        check("/path", Err("`/path`: must begin with http:// or https://"));
        check(
            "http://a:0/",
            Err("`http://a:0/`: port 0 cannot be connected to"),
        );
        check(
            "http://me:secret@a/",
            Err("`a`: credentials in the URL are not supported; send a header instead"),
        );
        check("http://a b/", Err("`http://a b/`: is not a valid URL"));
    }
}
