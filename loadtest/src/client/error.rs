//! The reasons why a call may have no complete response.

use std::io;
use std::net::SocketAddr;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why there is no complete response. `Display` prints this level only; `source` returns
/// the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used.
    #[error("`{url}`: {reason}")]
    Url {
        /// The URL as given; only its host if it contains credentials.
        url: String,
        /// The reason why it cannot be used.
        reason: &'static str,
    },
    /// A header field is invalid. The message omits its value, which may be a secret.
    #[error("header `{0}` has an invalid name or value")]
    Header(String),
    /// The file of certificate authorities cannot be used.
    #[error("cannot read certificate authorities from `{path}`: {reason}")]
    Trust {
        /// The path of the file.
        path: String,
        /// The reason why it cannot be used.
        reason: String,
    },
    /// A schedule referred to a request that does not exist.
    #[error("there is no request {0}")]
    Missing(usize),
    /// The host name cannot be resolved.
    #[error("cannot resolve `{host}`")]
    Resolve {
        /// The host name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The connection was refused, or the address is unreachable.
    #[error("cannot connect to `{addr}`")]
    Connect {
        /// The address of the last attempt.
        addr: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The TLS handshake failed, or did not negotiate the requested HTTP version.
    #[error("TLS handshake with `{host}` failed")]
    Tls {
        /// The host name that the certificate must be valid for.
        host: String,
        /// The error of the TLS library.
        source: io::Error,
    },
    /// The connection ended, or the stream was reset, before the response was complete.
    #[error("the connection ended before the response was complete")]
    Cut(#[source] hyper::Error),
    /// The server sent bytes that are not HTTP.
    #[error("the response is not valid HTTP")]
    Protocol(#[source] hyper::Error),
    /// The response body is longer than this limit in bytes.
    #[error("the response body is longer than {0} bytes")]
    TooLarge(usize),
}

impl Error {
    /// The category under which the error is counted: `connect`, `tls`, `cut`, `protocol`, or
    /// `request` if nothing was sent.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } | Self::Header(_) | Self::Trust { .. } | Self::Missing(_) => "request",
            Self::Resolve { .. } | Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Cut(_) => "cut",
            Self::Protocol(_) | Self::TooLarge(_) => "protocol",
        }
    }
}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Protocol(error)
        } else {
            Self::Cut(error)
        }
    }
}
