//! A folder with certificates, and configurations read from it.

use std::fs;

use tempfile::TempDir;

use crate::{Config, ConfigErrors, Env};

pub(super) const FULL: &str = include_str!("../../tests/data/full.yaml");
pub(super) const MINIMAL: &str = include_str!("../../tests/data/minimal.yaml");

/// `server.pem` with `server.key`, `client.pem` with `client.key`, `other.key`, `ca.pem`; `text.pem` and `garbage.pem`, which
/// hold no certificate.
pub(super) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let server = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("server.pem", server.cert.pem());
    write("server.key", server.signing_key.serialize_pem());
    write("other.key", other.serialize_pem());
    write("ca.pem", server.cert.pem());
    write("client.pem", server.cert.pem());
    write("client.key", server.signing_key.serialize_pem());
    write("text.pem", "no certificate\n".to_owned());
    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    write("garbage.pem", garbage.to_owned());
    folder
}

/// The environment variables of the full example.
pub(super) fn full_env() -> Env {
    Env::from_iter([
        ("STAGE", "production"),
        ("MLFLOW_PASS", "hunter2"),
        ("COLLECTOR_TOKEN", "hunter3"),
    ])
}

/// Parses a text as `offpath.yaml`, in a folder of its own with certificates.
pub(super) fn parse(text: &str, env: &Env) -> Result<Config, ConfigErrors> {
    let folder = folder();
    let file = folder.path().join("offpath.yaml");
    Config::parse(text, file.to_str().unwrap(), env).map_err(|mut errors| {
        errors.file = "offpath.yaml".to_owned();
        errors
    })
}
