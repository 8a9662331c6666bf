//! Requests that are prepared once and sent many times.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;

use super::target::Scheme;
use super::{Error, Http, Result, Target};

/// A request in the form that its HTTP version requires: HTTP/1.1 has the host in a header field,
/// HTTP/2 in the URI.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl PreparedRequest {
    /// Prepares a request to `target`. A `host` field in `headers` replaces the target's authority.
    ///
    /// # Errors
    /// When that `host` is not a valid authority.
    pub fn new(
        target: &Target,
        http: Http,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Self> {
        let broken = || Error::Header("host".to_owned());
        let host = match headers.remove(header::HOST) {
            Some(host) => host,
            None => HeaderValue::try_from(&target.authority).map_err(|_| broken())?,
        };
        let uri = match http {
            Http::One => {
                let uri = Uri::from(target.path_and_query.clone());
                headers.insert(header::HOST, host);
                uri
            }
            Http::Two => {
                let authority = Authority::try_from(host.as_bytes()).map_err(|_| broken())?;
                absolute(target.scheme, authority, target.path_and_query.clone())
            }
        };
        Ok(Self {
            method,
            uri,
            headers,
            body,
        })
    }

    /// Returns a copy to send; the body is shared.
    #[must_use]
    pub fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// The body's length in bytes.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }
}

fn absolute(scheme: Scheme, authority: Authority, path_and_query: PathAndQuery) -> Uri {
    let scheme = match scheme {
        Scheme::Http => http::uri::Scheme::HTTP,
        Scheme::Https => http::uri::Scheme::HTTPS,
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).expect("a scheme, an authority and a path make a uri")
}
