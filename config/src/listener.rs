//! `listeners`: where clients connect.

use std::{net::SocketAddr, path::PathBuf};

/// An address that takes requests. A plain one speaks HTTP/1.1 and h2c, one with TLS offers h2 by ALPN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it is bound; the port is never 0.
    pub address: SocketAddr,
    /// TLS, where it is wanted.
    pub tls: Option<ListenerTls>,
}

/// The files of a TLS listener. They were read and parsed, and the key fits the certificate:
/// pingora panics on a pair that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// PEM certificate chain, leaf first.
    pub cert: PathBuf,
    /// PEM private key of the leaf.
    pub key: PathBuf,
    /// PEM certificates that a client's certificate must chain to; `None`: clients show none.
    pub client_ca: Option<PathBuf>,
}
