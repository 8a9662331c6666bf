//! `upstreams`: the model endpoints behind offpath, and how they are spoken to.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::Endpoint;

/// A model endpoint with one address or several.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Unique; what routes name.
    pub name: Arc<str>,
    /// At least one; several are taken in turn.
    pub endpoints: Vec<Endpoint>,
    /// The `Host` header sent.
    pub host: HostHeader,
    /// What becomes of the request path.
    pub path: PathRewrite,
    /// The version spoken.
    pub http: UpstreamHttp,
    /// For `https://` endpoints; all `None` otherwise.
    pub tls: UpstreamTls,
    /// How long offpath waits.
    pub timeouts: Timeouts,
    /// Whether a request goes out again when a reused connection died before any response byte.
    pub retry_stale_connection: bool,
}

impl Upstream {
    /// The name that the endpoint's certificate must have, and that SNI carries. Never empty,
    /// because pingora takes an empty one for "do not verify".
    pub fn sni<'a>(&'a self, endpoint: &'a Endpoint) -> &'a str {
        self.tls.sni.as_deref().unwrap_or(&endpoint.host)
    }
}

/// The `Host` header (`:authority` on h2) that the upstream sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// The endpoint's own, with its port where it is not the scheme's.
    Upstream,
    /// This one: `name` or `name:port`.
    Name(Arc<str>),
}

/// Rewriting of the request path: first strip, then add. The query stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRewrite {
    /// Taken off where the path begins with it; empty or beginning with `/`.
    pub strip_prefix: String,
    /// Put in front; empty or beginning with `/`.
    pub add_prefix: String,
}

/// The HTTP version spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHttp {
    /// By ALPN on `https://`, HTTP/1.1 on `http://`.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; h2c on `http://`, for gRPC.
    Http2,
}

/// TLS towards an upstream. The certificate is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM certificates to trust instead of the system's; parsed.
    pub ca: Option<PathBuf>,
    /// The server name, in place of the endpoint's; always there where an endpoint is an IP address.
    pub sni: Option<Arc<str>>,
    /// What offpath shows when the upstream asks who it is.
    pub client: Option<ClientIdentity>,
}

/// A client certificate and its key: read, parsed, and fitting each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM certificate chain, leaf first (`client_cert`).
    pub cert: PathBuf,
    /// PEM private key of the leaf (`client_key`).
    pub key: PathBuf,
}

/// How long offpath waits for an upstream; none is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS until connected.
    pub connect: Duration,
    /// The longest silence of the upstream, before the first byte too.
    pub read: Duration,
    /// The longest time in which the upstream takes no byte.
    pub write: Duration,
    /// How long an idle connection is kept for reuse; shorter than the upstream's own patience.
    pub keepalive_idle: Duration,
}
