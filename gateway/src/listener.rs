//! Where clients connect: sockets, TLS, and the limit of connections.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use offpath_config::{Listener, ListenerTls};
use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::server::ShutdownWatch;
use prometheus::IntCounter;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle as Runtime;
use tracing::warn;

use crate::inflight::InFlight;
use crate::workers::{Client, Workers};

/// Connections that may wait to be accepted; the kernel has a limit of its own.
const BACKLOG: u32 = 65_535;

/// A pause where accepting fails for want of file descriptors or memory.
const BREATH: Duration = Duration::from_secs(1);

/// An address that clients connect to.
pub(crate) struct Bound {
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
}

/// How many connections may be open.
#[derive(Clone)]
pub(crate) struct Limit {
    pub(crate) open: InFlight,
    pub(crate) most: usize,
    pub(crate) refused: IntCounter,
}

/// Takes the addresses, on the runtime that is to accept.
pub(crate) fn bind(listeners: &[Listener], runtime: &Runtime) -> anyhow::Result<Vec<Bound>> {
    let _runtime = runtime.enter();
    let bound = |listener: &Listener| {
        let tls = listener.tls.as_ref().map(tls_settings).transpose()?;
        Ok(Bound {
            listener: listen(listener.address)
                .with_context(|| format!("cannot listen on `{}`", listener.address))?,
            tls: tls.map(|settings| Arc::new(settings.build())),
        })
    };
    listeners.iter().map(bound).collect()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Bound {
    /// Hands connections to the workers until the watch tells to stop. One past the limit is
    /// closed and counted.
    pub(crate) async fn accept(
        self,
        workers: Arc<Workers>,
        limit: Limit,
        mut shutdown: ShutdownWatch,
    ) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = shutdown.changed() => return,
            };
            let handed = accepted.and_then(|(socket, address)| Ok((socket.into_std()?, address)));
            match handed {
                Ok((socket, address)) => match limit.open.enter_below(limit.most) {
                    None => limit.refused.inc(),
                    Some(open) => {
                        let tls = self.tls.clone();
                        let client = Client {
                            socket,
                            address,
                            tls,
                            open,
                        };
                        workers.serve(client, &shutdown);
                    }
                },
                // The client is gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warn!(%error, "A connection cannot be accepted.");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

fn tls_settings(tls: &ListenerTls) -> anyhow::Result<TlsSettings> {
    let mut settings =
        TlsSettings::intermediate(&tls.cert.to_string_lossy(), &tls.key.to_string_lossy())?;
    settings.enable_h2();
    if let Some(ca) = &tls.client_ca {
        let roots = Arc::new(roots(ca)?);
        settings.set_client_cert_verifier(WebPkiClientVerifier::builder(roots).build()?);
    }
    Ok(settings)
}

fn roots(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        store.add(certificate?)?;
    }
    Ok(store)
}
