//! Certificates of a test's own authority.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An authority, and one certificate under it for `localhost`. Its files go with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    leaf: rcgen::Certificate,
    key: KeyPair,
    folder: TempDir,
}

impl Authority {
    /// A new one, which nobody else trusts.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name, pem: String| std::fs::write(folder.path().join(name), pem).unwrap();
        write("ca.pem", issuer.pem());
        write("cert.pem", leaf.pem());
        write("key.pem", key.serialize_pem());
        Self {
            issuer,
            leaf,
            key,
            folder,
        }
    }

    /// File of the authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// File of the certificate for `localhost`.
    pub fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// File of its key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// A server's side, under the certificate for `localhost`.
    pub fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        self.acceptor_for(WebPkiClientVerifier::no_client_auth(), protocols)
    }

    /// The same, for clients alone that have a certificate under `clients`.
    pub fn demanding_acceptor(&self, clients: &Self, protocols: &[&[u8]]) -> TlsAcceptor {
        let roots = Arc::new(clients.roots());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        self.acceptor_for(verifier.build().unwrap(), protocols)
    }

    fn acceptor_for(
        &self,
        verifier: Arc<dyn ClientCertVerifier>,
        protocols: &[&[u8]],
    ) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain(), self.private_key())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client's side that trusts this authority alone.
    pub fn connector(&self, protocols: &[&[u8]]) -> TlsConnector {
        let config = self.trusting().with_no_client_auth();
        connector(config, protocols)
    }

    /// The same, which shows the certificate that `client` has.
    pub fn connector_as(&self, client: &Self, protocols: &[&[u8]]) -> TlsConnector {
        let config = self
            .trusting()
            .with_client_auth_cert(client.chain(), client.private_key())
            .unwrap();
        connector(config, protocols)
    }

    fn trusting(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.der().clone()]
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn connector(mut config: ClientConfig, protocols: &[&[u8]]) -> TlsConnector {
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}
