//! The address of a model endpoint: scheme, host and port, and nothing else.

use std::sync::Arc;

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
    /// TCP port, 1..=65535; the scheme's own (80, 443) where the YAML names none.
    pub port: u16,
    /// As the YAML has it, for logs and metrics.
    pub original: Arc<str>,
}
