//! The certificate authorities that may sign an `https` target's certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::{Error, Http};

/// A set of trusted certificate authorities. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// Reads certificates from a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read, or contains no valid certificate.
    pub fn from_pem_file(path: &Path) -> Result<Self, Error> {
        let broken = |reason: String| Error::Trust {
            path: path.display().to_string(),
            reason,
        };
        let mut roots = RootCertStore::empty();
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| broken(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| broken(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| broken(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(broken("the file contains no certificate".to_owned()));
        }
        Ok(Self {
            roots: Arc::new(roots),
        })
    }

    /// Returns a TLS configuration that offers only `http` by ALPN.
    pub(super) fn config(&self, http: Http) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for every version that rustls enables")
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn(http).to_vec()];
        Arc::new(config)
    }
}

/// The protocol's ALPN identifier (RFC 7301, section 6; RFC 9113, section 3.2).
pub(super) fn alpn(http: Http) -> &'static [u8] {
    match http {
        Http::One => b"http/1.1",
        Http::Two => b"h2",
    }
}
