//! Certificates and keys: that the files are there and hold what they should.
//!
//! They are parsed here because pingora panics on a certificate it cannot use.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::field::Field;

/// More than any bundle of certificates has.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A chain and the key of its leaf, both required; checked to fit each other.
pub(crate) fn identity(cert: &Field<'_>, key: &Field<'_>) -> Option<(PathBuf, PathBuf)> {
    let (cert_path, chain) = read(cert, certificates).unzip();
    let (key_path, key_der) = read(key, private_key).unzip();
    let (cert_path, key_path) = (cert_path?, key_path?);
    match CertifiedKey::from_der(chain?, key_der?, &ring::default_provider()) {
        Ok(_) => Some((cert_path, key_path)),
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

/// Certificates to trust; `None` where the field is not set.
pub(crate) fn authorities(field: &Field<'_>) -> Option<PathBuf> {
    if !field.is_set() {
        return None;
    }
    let (path, certificates) = read(field, certificates)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        if let Err(error) = roots.add(certificate) {
            field.fail(format!("`{}`: {error}", path.display()));
            return None;
        }
    }
    Some(path)
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

fn content(path: &Path) -> std::io::Result<Vec<u8>> {
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
        Ok(_) => Err("holds no PEM certificate"),
        Err(_) => Err("is not PEM"),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "holds no PEM private key")
}
