//! What can keep a call from having a whole response.

use std::io;
use std::net::SocketAddr;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no whole response. `Display` is one level; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The url cannot be called.
    #[error("`{url}`: {reason}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header field cannot be sent; its value is not repeated, it may be a secret.
    #[error("header `{0}` has a name or a value that http does not allow")]
    Header(String),
    /// The file of certificate authorities cannot be used.
    #[error("cannot read certificate authorities from `{path}`: {reason}")]
    Trust {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A schedule named a request that there is none of.
    #[error("there is no request {0}")]
    Missing(usize),
    /// The host has no address.
    #[error("cannot resolve `{host}`")]
    Resolve {
        /// The host.
        host: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// No connection: refused, unreachable.
    #[error("cannot connect to `{addr}`")]
    Connect {
        /// Where to.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Connected, but no TLS session, or not one for the version asked for.
    #[error("tls handshake with `{host}` failed")]
    Tls {
        /// The name that was to be proved.
        host: String,
        /// What rustls said.
        source: io::Error,
    },
    /// The connection ended, or the stream was reset, before the response was whole.
    #[error("the connection ended before the response was whole")]
    Cut(#[source] hyper::Error),
    /// What came was not HTTP.
    #[error("the response is not valid http")]
    Protocol(#[source] hyper::Error),
    /// The response body is over the limit, in bytes.
    #[error("the response body is over {0} bytes")]
    TooLarge(usize),
}

impl Error {
    /// A word for counting: `connect`, `tls`, `cut`, `protocol`, or `request` for what was wrong
    /// before anything was sent.
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
