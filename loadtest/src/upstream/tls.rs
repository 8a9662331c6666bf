//! The certificate and key of an endpoint.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate chain with its key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    config: Arc<ServerConfig>,
}

/// The reason why a certificate or a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {reason}")]
pub struct IdentityError {
    path: String,
    reason: String,
}

impl Identity {
    /// Reads a PEM file with the certificate chain, the endpoint's own certificate first, and a PEM
    /// file with its key. The endpoint offers HTTP/2 and HTTP/1.1 by ALPN.
    ///
    /// # Errors
    /// When a file cannot be read, or the key does not belong to the certificate.
    pub fn from_pem_files(certificates: &Path, key: &Path) -> Result<Self, IdentityError> {
        let broken = |path: &Path, reason: String| IdentityError {
            path: path.display().to_string(),
            reason,
        };
        let in_certificates = |error: &dyn ToString| broken(certificates, error.to_string());
        let chain = CertificateDer::pem_file_iter(certificates)
            .and_then(Iterator::collect)
            .map_err(|error| in_certificates(&error))?;
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|error| broken(key, error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for every version that rustls enables")
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| in_certificates(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}
