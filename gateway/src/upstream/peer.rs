//! Endpoints as pingora's peers: TLS, versions and time limits.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offpath_config::{ClientIdentity, Scheme, UpstreamHttp};
use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate file that was fine when the configuration was checked, and is not now.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`: {source}", path.display())]
pub(crate) struct TlsError {
    path: PathBuf,
    source: rustls::pki_types::pem::Error,
}

/// All of a peer but its address.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    /// As the configuration has it.
    pub(crate) original: Arc<str>,
    /// `host[:port]` as a `Host` header has it.
    pub(crate) authority: Box<str>,
    tls: bool,
    sni: Box<str>,
    group: u64,
    identity: Option<Arc<CertKey>>,
    options: PeerOptions,
}

/// The endpoints of one upstream. `group` keeps its pooled connections apart from those of
/// other upstreams, which may trust other certificates.
pub(super) fn templates(
    upstream: &offpath_config::Upstream,
    group: u64,
) -> Result<Vec<Template>, TlsError> {
    let ca = upstream.tls.ca.as_deref().map(authorities).transpose()?;
    let identity = upstream.tls.client.as_ref().map(certificate).transpose()?;
    let template = |endpoint: &offpath_config::Endpoint| {
        let tls = endpoint.scheme == Scheme::Https;
        let mut options = PeerOptions::new();
        options.connection_timeout = Some(upstream.timeouts.connect);
        options.total_connection_timeout = Some(upstream.timeouts.connect);
        options.read_timeout = Some(upstream.timeouts.read);
        options.write_timeout = Some(upstream.timeouts.write);
        options.idle_timeout = Some(upstream.timeouts.keepalive_idle);
        options.ca = ca.clone();
        options.alpn = match (upstream.http, tls) {
            (UpstreamHttp::Http2, _) => ALPN::H2,
            (UpstreamHttp::Auto, true) => ALPN::H2H1,
            (UpstreamHttp::Auto, false) | (UpstreamHttp::Http1, _) => ALPN::H1,
        };
        Template {
            host: Arc::clone(&endpoint.host),
            port: endpoint.port,
            original: Arc::clone(&endpoint.original),
            authority: authority(endpoint),
            tls,
            sni: if tls {
                upstream.sni(endpoint).into()
            } else {
                "".into()
            },
            group,
            identity: identity.clone(),
            options,
        }
    };
    Ok(upstream.endpoints.iter().map(template).collect())
}

impl Template {
    /// The address, where the configuration gives one and no name.
    pub(super) fn literal_address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }

    /// The peer at this address.
    pub(super) fn peer(&self, address: SocketAddr) -> HttpPeer {
        // An empty name would turn verification off: `sni` is never empty on a TLS peer.
        debug_assert!(!self.tls || !self.sni.is_empty());
        let mut peer = HttpPeer::new(address, self.tls, self.sni.to_string());
        peer.group_key = self.group;
        peer.client_cert_key = self.identity.clone();
        peer.options = self.options.clone();
        peer
    }
}

fn authority(endpoint: &offpath_config::Endpoint) -> Box<str> {
    let host = &endpoint.host;
    let name = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_string()
    };
    match (endpoint.scheme, endpoint.port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => name.into(),
        (_, port) => format!("{name}:{port}").into(),
    }
}

fn authorities(path: &Path) -> Result<Arc<CaType>, TlsError> {
    let certificates = chain(path)?.into_iter();
    let wrapped: Vec<WrappedX509> = certificates
        .map(|der| WrappedX509::new(der, parse_x509))
        .collect();
    Ok(wrapped.into())
}

fn certificate(identity: &ClientIdentity) -> Result<Arc<CertKey>, TlsError> {
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|source| TlsError {
        path: identity.key.clone(),
        source,
    })?;
    Ok(Arc::new(CertKey::new(
        chain(&identity.cert)?,
        key.secret_der().to_vec(),
    )))
}

/// DER certificates; at least one.
fn chain(path: &Path) -> Result<Vec<Vec<u8>>, TlsError> {
    let failed = |source| TlsError {
        path: path.to_owned(),
        source,
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let all: Result<Vec<_>, _> = certificates
        .map(|der| der.map(|der| der.to_vec()))
        .collect();
    let all = all.map_err(failed)?;
    if all.is_empty() {
        return Err(failed(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(all)
}
