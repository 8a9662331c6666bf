//! Where clients connect: sockets, TLS, and the limit of connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use offpath_config::{Certificates, Listener, ListenerTls};
use pingora::listeners::tls::Acceptor;
use pingora::server::ShutdownWatch;
use prometheus::IntCounter;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle as Runtime;
use tracing::warn;

use crate::inflight::InFlight;
use crate::workers::{Client, Workers};

/// Connections that may wait to be accepted; the kernel has a limit of its own.
const BACKLOG: u32 = 65_535;

/// A pause where accepting fails for want of file descriptors or memory.
const BREATH: Duration = Duration::from_secs(1);

/// The protocols that a TLS listener offers, the preferred one first (RFC 7301, RFC 9113).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

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
        let tls = listener.tls.as_ref().map(acceptor).transpose()?;
        Ok(Bound {
            listener: listen(listener.address)
                .with_context(|| format!("cannot listen on `{}`", listener.address))?,
            tls: tls.map(Arc::new),
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

/// From certificates that the configuration has read: pingora's own settings take paths, and panic.
fn acceptor(tls: &ListenerTls) -> anyhow::Result<Acceptor> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS12, &TLS13])?;
    let verifier = match &tls.client_ca {
        Some(trusted) => client_verifier(trusted, provider)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let (chain, key) = (tls.identity.chain.to_vec(), tls.identity.key.clone_key());
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = ALPN.map(Vec::from).to_vec();
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

fn client_verifier(
    trusted: &Certificates,
    provider: Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted.iter() {
        roots.add(certificate.clone())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(verifier.build()?)
}
