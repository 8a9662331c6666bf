//! Endpoints as pingora's peers: TLS, versions and time limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use offpath_config::{Certificates, Identity, Scheme, UpstreamHttp};
use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};

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
pub(super) fn templates(upstream: &offpath_config::Upstream, group: u64) -> Vec<Template> {
    let ca = upstream.tls.ca.as_ref().map(authorities);
    let identity = upstream.tls.client.as_ref().map(certificate);
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
    upstream.endpoints.iter().map(template).collect()
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

fn authorities(trusted: &Certificates) -> Arc<CaType> {
    let wrapped: Vec<WrappedX509> = ders(trusted)
        .map(|der| WrappedX509::new(der, parse_x509))
        .collect();
    wrapped.into()
}

fn certificate(identity: &Identity) -> Arc<CertKey> {
    let chain = ders(&identity.chain).collect();
    Arc::new(CertKey::new(chain, identity.key.secret_der().to_vec()))
}

fn ders(certificates: &Certificates) -> impl Iterator<Item = Vec<u8>> {
    certificates.iter().map(|der| der.to_vec())
}
