//! Sinks behind TLS.

use std::io::Write;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::stub::{Stub, status};
use super::support::{Export, with_sinks};
use crate::DestinationState;

/// A CA's PEM file, and a server whose certificate it signed for 127.0.0.1.
fn server() -> (tempfile::NamedTempFile, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();
    let mut file = tempfile::Builder::new().suffix(".pem").tempfile().unwrap();
    file.write_all(ca.pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (file, TlsAcceptor::from(Arc::new(config)))
}

#[test]
fn a_sink_is_trusted_by_its_own_ca() {
    let (ca, tls) = server();
    let stub = Stub::start_with(Some(tls), |_| status(200));
    let export = Export::open(&with_sinks(&format!(
        "mlflow: {{type: mlflow, tracking_uri: \"https://{}\", ca: {}}}",
        stub.address,
        ca.path().display()
    )));
    export.offer(1, "{}");
    export.wait(|sinks| sinks[0].exported == 1);
}

#[test]
fn a_sink_of_an_unknown_ca_is_sent_nothing() {
    let ((other, _), (_, tls)) = (server(), server());
    let stub = Stub::start_with(Some(tls), |_| status(200));
    let export = Export::open(&with_sinks(&format!(
        "mlflow: {{type: mlflow, tracking_uri: \"https://{}\", ca: {}}}",
        stub.address,
        other.path().display()
    )));
    export.offer(1, "{}");
    export.wait(|_| export.handle.status().destinations[0].failures > 0);
    let destination = export.handle.status().destinations.remove(0);
    assert_eq!(destination.state, DestinationState::Down);
    let error = destination.last_error.unwrap();
    assert!(error.contains("certificate"), "{error}");
    assert!(stub.seen().is_empty());
}
