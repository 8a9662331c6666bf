//! A simple HTTP client that timestamps every chunk of a response.
//!
//! Each call opens its own connection, so that no call affects the next. The client speaks HTTP/1.1
//! or HTTP/2 (prior knowledge on `http`, ALPN on `https`) and verifies certificates against a file
//! of authorities. It does not follow redirects or decode content encodings, and it sets no time
//! limit: callers wrap the call in one.

mod connection;
mod error;
mod request;
mod target;
mod trust;

pub use self::connection::{Connection, Connector};
pub use self::error::{Error, Result};
pub use self::request::PreparedRequest;
pub use self::target::{Scheme, Target};
pub use self::trust::Trust;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde::Serialize;

/// Maximum length of a response body; a longer one is an error.
const RESPONSE_BYTES_MAX: usize = 1 << 30;

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Http {
    /// HTTP/1.1, with one exchange at a time per connection.
    #[default]
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2, with concurrent exchanges on one connection.
    #[serde(rename = "2")]
    Two,
}

/// A client for single calls. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Client {
    http: Http,
    trust: Option<Trust>,
}

/// One complete response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The header fields as received.
    pub headers: HeaderMap,
    /// The complete body.
    pub body: Bytes,
    /// The chunks in which the body was read, each with its arrival time since the request was
    /// sent.
    pub chunks: Vec<(Duration, Bytes)>,
}

impl Client {
    /// Creates a client for one HTTP version. `https` URLs require `trust`.
    #[must_use]
    pub fn new(http: Http, trust: Option<Trust>) -> Self {
        Self { http, trust }
    }

    /// Sends a GET request to `url`.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response> {
        self.call(Method::GET, url, headers, Bytes::new()).await
    }

    /// Sends a POST request with `body` to `url`. No content type is sent unless `headers` has one.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Response> {
        self.call(Method::POST, url, headers, body).await
    }

    /// Sends one request and returns the complete response, whatever its status.
    ///
    /// # Errors
    /// When there is no complete response: the URL or a header is invalid, the connection failed or
    /// ended early, or the body is longer than 1 GiB.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response> {
        let target: Target = url.parse()?;
        let request = PreparedRequest::new(&target, self.http, method, header_map(headers)?, body)?;
        let connector = Connector::resolve(&target, self.http, self.trust.as_ref()).await?;
        let mut connection = connector.connect().await?;
        let sent = Instant::now();
        let response = connection.send(request.request()).await?;
        let (parts, mut incoming) = response.into_parts();
        let mut chunks = Vec::new();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if body.len() + data.len() > RESPONSE_BYTES_MAX {
                return Err(Error::TooLarge(RESPONSE_BYTES_MAX));
            }
            body.extend_from_slice(&data);
            chunks.push((sent.elapsed(), data));
        }
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body: body.freeze(),
            chunks,
        })
    }
}

fn header_map(headers: &[(&str, &str)]) -> Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let broken = || Error::Header((*name).to_owned());
        let name = HeaderName::try_from(*name).map_err(|_| broken())?;
        let value = HeaderValue::try_from(*value).map_err(|_| broken())?;
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests;
