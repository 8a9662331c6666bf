//! Certificates and keys, from PEM files.
//!
//! They are parsed and checked here, once: whoever uses them later cannot fail on a file that has
//! changed since, and the faults are reported with all others.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::field::Field;

/// More than any bundle of certificates has.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// X.509 certificates; at least one.
pub type Certificates = Arc<[CertificateDer<'static>]>;

/// A certificate chain and the private key of its leaf, checked to fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificates, leaf first.
    pub chain: Certificates,
    /// The private key; its `Debug` shows nothing of it.
    pub key: Arc<PrivateKeyDer<'static>>,
}

/// A chain and the key of its leaf, both required.
pub(crate) fn identity(cert: &Field<'_>, key: &Field<'_>) -> Option<Identity> {
    let chain = read(cert, certificates);
    let private = read(key, private_key);
    let ((cert_path, chain), (_, private)) = (chain?, private?);
    let signer = CertifiedKey::from_der(
        chain.clone(),
        private.clone_key(),
        &ring::default_provider(),
    );
    match signer {
        Ok(_) => Some(Identity {
            chain: chain.into(),
            key: Arc::new(private),
        }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let name = cert_path.display();
            key.fail(format!("is not the key of certificate `{name}`"));
            None
        }
        Err(error) => {
            cert.fail(format!("`{}`: {error}", cert_path.display()));
            None
        }
    }
}

/// Certificates to trust; `None` if the field is not set.
pub(crate) fn authorities(field: &Field<'_>) -> Option<Certificates> {
    if !field.is_set() {
        return None;
    }
    let (path, certificates) = read(field, certificates)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        if let Err(error) = roots.add(certificate.clone()) {
            field.fail(format!("`{}`: {error}", path.display()));
            return None;
        }
    }
    Some(certificates.into())
}

fn read<T>(field: &Field<'_>, parse: fn(&[u8]) -> Result<T, &'static str>) -> Option<(PathBuf, T)> {
    if !field.is_set() {
        field.fail("is required");
        return None;
    }
    let path = field.file()?;
    let parsed = content(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))
        .and_then(|pem| parse(&pem).map_err(|what| format!("`{}` {what}", path.display())));
    match parsed {
        Ok(parsed) => Some((path, parsed)),
        Err(message) => {
            field.fail(message);
            None
        }
    }
}

fn content(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("contains no PEM certificate"),
        Err(_) => Err("is not PEM"),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "contains no PEM private key")
}
