//! A simple HTTP client: one exchange at a time, every chunk with its arrival.
//!
//! Each call opens its own connection, so nothing of one call is left for the next. HTTP/1.1 or
//! HTTP/2 (prior knowledge on `http`, ALPN on `https`), certificates checked against a file of
//! authorities. It follows no redirect and undoes no content encoding. Callers that want a limit
//! on time put one around the call.

mod connection;
mod error;
mod request;
mod target;
mod trust;

pub use self::connection::{Connection, Connector};
pub use self::error::{Error, Result};
pub use self::request::Template;
pub use self::target::{Scheme, Target};
pub use self::trust::Trust;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde::Serialize;

/// A longer response body is an error.
const RESPONSE_BYTES_MAX: usize = 1 << 30;

/// The HTTP version a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Http {
    /// HTTP/1.1: one exchange at a time.
    #[default]
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2: exchanges side by side.
    #[serde(rename = "2")]
    Two,
}

/// Makes single calls. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Client {
    http: Http,
    trust: Option<Trust>,
}

/// One whole response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields, as they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The body as it was read: when, counted from the send, and what.
    pub chunks: Vec<(Duration, Bytes)>,
}

impl Client {
    /// A client that speaks `http`, and to `https` urls only with `trust`.
    #[must_use]
    pub fn new(http: Http, trust: Option<Trust>) -> Self {
        Self { http, trust }
    }

    /// GETs `url`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response> {
        self.call(Method::GET, url, headers, Bytes::new()).await
    }

    /// POSTs `body` to `url`; the content type is among `headers`, or none is sent.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Response> {
        self.call(Method::POST, url, headers, body).await
    }

    /// One request and its whole response, whatever its status.
    ///
    /// # Errors
    /// When there is no whole response: a url or header that is none, no connection, a connection
    /// that ended early, a body over 1 GiB.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response> {
        let target: Target = url.parse()?;
        let template = Template::new(&target, self.http, method, header_map(headers)?, body)?;
        let connector = Connector::resolve(&target, self.http, self.trust.as_ref()).await?;
        let mut connection = connector.connect().await?;
        let sent = Instant::now();
        let response = connection.send(template.request()).await?;
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
