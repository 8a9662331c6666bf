//! The HTTP client of a sink, and what an answer's status means.
//!
//! Promises: answers are read up to a limit; redirects are not followed (a POST would become a
//! GET); proxies from the environment are not used, because only the configuration decides
//! where traces go; certificates are always verified.

use std::error::Error;
use std::time::Duration;

use ::http::header::{DATE, RETRY_AFTER};
use ::http::{HeaderMap, HeaderName, StatusCode};
use offpath_config::{Certificates, MlflowAuth, Secret, SinkHeader};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};
use rustls::crypto::CryptoProvider;

use super::private::Private;
use crate::retry::{Answer, retry_after};

/// Bytes of an answer that are read.
const REPLY_BYTES_MAX: usize = 64 << 10;
/// Characters of a sink's own words that reach the log and `/status`.
const WORDS_CHARS_MAX: usize = 300;
/// A connection that takes longer counts as failed, whatever the sink's timeout.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Why no client could be made for a sink.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its address.
    #[error("`{0}` is not a URL")]
    Url(String),
    /// TLS, or the certificates to trust.
    #[error("cannot set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// How a request shows who sends it.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    None,
    Bearer(Secret),
    Basic { username: String, password: Secret },
}

/// An answer, read as far as it is of interest.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
    private: Private,
}

pub(crate) fn url(text: &str) -> Result<Url, ClientError> {
    Url::parse(text).map_err(|_| ClientError::Url(text.to_owned()))
}

pub(crate) fn headers(headers: &[SinkHeader]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for header in headers {
        map.append(header.name.clone(), header.value.clone());
    }
    map
}

/// A client for one sink. The certificates of `ca` are trusted instead of the system's; a plain
/// sink needs none, and must not fail where the system has none.
pub(crate) fn client(
    url: &Url,
    ca: Option<&Certificates>,
    timeout: Duration,
) -> Result<Client, ClientError> {
    if CryptoProvider::get_default().is_none() {
        // An error says that another part of the process was faster: then there is one.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    }
    let builder = Client::builder()
        .user_agent(concat!("offpath/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .connect_timeout(timeout.min(CONNECT_MAX))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let builder = match ca {
        Some(trusted) => builder.tls_certs_only(certificates(trusted)?),
        None if url.scheme() == "http" => builder.tls_certs_only([]),
        None => builder,
    };
    Ok(builder.build()?)
}

fn certificates(trusted: &Certificates) -> Result<Vec<Certificate>, reqwest::Error> {
    trusted
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect()
}

/// Sends a request. What keeps an answer from coming is itself an answer: try again.
pub(crate) async fn call(request: RequestBuilder, private: &Private) -> Result<Reply, Answer> {
    let unanswered = |error: reqwest::Error| Answer::Busy {
        after: None,
        words: chain(&error.without_url()),
    };
    let mut response = request.send().await.map_err(unanswered)?;
    let field = |name: HeaderName| response.headers().get(name)?.to_str().ok();
    let retry_after = field(RETRY_AFTER).and_then(|value| retry_after(value, field(DATE)));
    let status = response.status();
    // Where it breaks off, the status alone still says whether the batch was taken.
    let body = read(&mut response).await.unwrap_or_default();
    Ok(Reply {
        status,
        body,
        retry_after,
        private: private.clone(),
    })
}

async fn read(response: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = REPLY_BYTES_MAX - body.len();
        body.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

impl Reply {
    /// What the status asks for.
    ///
    /// A refusal is put down to the batch only where the batch can be at fault. Redirects, 401,
    /// 403, 404 and their like are not: cutting the batch would send the same trouble once per
    /// trace, and drop what a corrected setting would have saved.
    pub(crate) fn into_answer(self) -> Answer {
        let words = self.words();
        match self.status.as_u16() {
            200..300 => Answer::Taken,
            408 | 425 | 429 | 500..600 => Answer::Busy {
                after: self.retry_after,
                words,
            },
            100..=399 | 401 | 403..=405 | 407 | 415 | 421 | 426 => Answer::Denied { words },
            _ => Answer::Refused { words },
        }
    }

    /// Status and body in one bounded line, without credentials.
    pub(crate) fn words(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        // Before it is cut: half a credential is one.
        let body = bounded(&self.private.hide(body.trim()));
        let colon = if body.is_empty() { "" } else { ": " };
        format!("{}{colon}{body}", self.status)
    }
}

impl Auth {
    pub(crate) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Bearer(token) => request.bearer_auth(token.expose()),
            Self::Basic { username, password } => {
                request.basic_auth(username, Some(password.expose()))
            }
        }
    }
}

impl From<&MlflowAuth> for Auth {
    fn from(auth: &MlflowAuth) -> Self {
        match auth.clone() {
            MlflowAuth::None => Self::None,
            MlflowAuth::Token(token) => Self::Bearer(token),
            MlflowAuth::Basic { username, password } => Self::Basic { username, password },
        }
    }
}

/// An error and its causes in one bounded line.
fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    bounded(&words)
}

/// Strangers' words, short and on one line.
fn bounded(words: &str) -> String {
    let printable = |char: char| if char.is_control() { ' ' } else { char };
    words.chars().map(printable).take(WORDS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: &u16, expect: fn(&Answer) -> bool) {
        let status = StatusCode::from_u16(*status).unwrap();
        let answer = Reply {
            status,
            body: Vec::new(),
            retry_after: None,
            private: Private::default(),
        }
        .into_answer();
        assert!(expect(&answer), "{status}: {answer:?}");
    }

    #[test]
    fn a_status_asks_for_what_its_cause_needs() {
        let busy = |answer: &Answer| matches!(answer, Answer::Busy { .. });
        let denied = |answer: &Answer| matches!(answer, Answer::Denied { .. });
        let refused = |answer: &Answer| matches!(answer, Answer::Refused { .. });
        [200, 202, 204]
            .iter()
            .for_each(|status| check(status, |answer| *answer == Answer::Taken));
        [408, 429, 500, 501, 502, 503, 504]
            .iter()
            .for_each(|status| check(status, busy));
        [301, 307, 401, 403, 404, 405]
            .iter()
            .for_each(|status| check(status, denied));
        [400, 409, 413, 422]
            .iter()
            .for_each(|status| check(status, refused));
    }

    #[test]
    fn a_sinks_words_are_short_and_on_one_line() {
        let body = format!("a\nb\u{1b}[31m{}", "x".repeat(9000)).into_bytes();
        let reply = Reply {
            status: StatusCode::BAD_REQUEST,
            body,
            retry_after: None,
            private: Private::default(),
        };
        let words = reply.words();
        assert!(words.starts_with("400 Bad Request: a b [31mxxx"), "{words}");
        assert!(
            words.len() < 400 && !words.chars().any(char::is_control),
            "{words}"
        );
    }
}
