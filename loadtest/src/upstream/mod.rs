//! A model endpoint for tests. It serves HTTP/1.1 and h2c (prior knowledge) on one port, or both
//! versions over TLS.
//!
//! | route | response |
//! | --- | --- |
//! | `POST /v1/chat/completions` | an OpenAI chat completion, complete or as server-sent events |
//! | `POST /invocations` | MLflow's scoring protocol: one number per row |
//! | `POST /echo` | the request body with its content type |
//! | `GET /ping`, `/health`, `/version` | the health checks of MLflow's scoring server |
//!
//! Equal requests get equal responses: texts, ids and times depend only on the request, so that a
//! response through a proxy can be compared with a direct one. A request sets its timing and faults
//! with knobs, which are headers, or query keys without the `x-`. A [`Behaviour`] determines those
//! that a request does not set:
//!
//! | knob | default | meaning |
//! | --- | --- | --- |
//! | `x-delay-us` | 0 | time from the request's last byte to the response head |
//! | `x-spin-us` | 0 | CPU time spent before the response head, as by a slow filter |
//! | `x-tokens` | 32 | tokens in a chat response (`max_tokens` may lower it) |
//! | `x-gap-us` | 2000 | time between two events of a stream; event n is due n gaps after the head |
//! | `x-status` | | respond with this status and a JSON error |
//! | `x-stall-ms` | | pause after the first piece of the body (a complete body is split in two) |
//! | `x-cut-after` | | close the connection after this many body bytes (HTTP/2: reset the stream) |
//!
//! An [`Alarm`] keeps the instants, which count from the head: a late event does not delay the next.

mod behaviour;
mod body;
mod ceiling;
mod chat;
mod distribution;
mod knobs;
mod reply;
mod scoring;
mod service;
mod table_shape;
mod tls;

pub use self::behaviour::{Behaviour, CutFault, ErrorFault, StallFault};
pub use self::ceiling::{Ceiling, CeilingRate, ceiling};
pub use self::distribution::Distribution;
pub use self::tls::{Identity, IdentityError};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::behaviour::KnobSampler;
use crate::alarm::Alarm;

/// Maximum number of open connections. Further ones are closed at once.
const CONNECTIONS_MAX: usize = 20_000;
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// A running endpoint. It stops, and closes its connections, when dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    scheme: &'static str,
    /// Aborts the accept loop, and with it every connection, on drop.
    _accepting: JoinSet<()>,
}

impl Server {
    /// Starts an endpoint on `addr`; port 0 picks a free port.
    ///
    /// # Errors
    /// When the address cannot be bound, or the timer thread cannot be started.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        Self::start_with(addr, Behaviour::default(), None).await
    }

    /// Starts an endpoint with the given behaviour, over TLS if there is an `identity`.
    ///
    /// # Errors
    /// When the address cannot be bound, or the timer thread cannot be started.
    pub async fn start_with(
        addr: SocketAddr,
        behaviour: Behaviour,
        identity: Option<Identity>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let scheme = if identity.is_some() { "https" } else { "http" };
        let endpoint = Arc::new(Endpoint {
            alarm: Alarm::start()?,
            sampler: KnobSampler::new(behaviour),
            tls: identity.map(|identity| identity.acceptor()),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, endpoint));
        Ok(Self {
            addr,
            scheme,
            _accepting: accepting,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns `http://ADDRESS` or `https://ADDRESS` followed by `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr)
    }
}

/// State shared by all connections.
struct Endpoint {
    alarm: Alarm,
    sampler: KnobSampler,
    tls: Option<TlsAcceptor>,
}

async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(connected(stream, Arc::clone(&endpoint)));
                }
                Ok(_) => {}
                // Usually the process has no free descriptors; some will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connected(stream: TcpStream, endpoint: Arc<Endpoint>) {
    stream.set_nodelay(true).ok();
    let Some(tls) = &endpoint.tls else {
        return serve(stream, endpoint).await;
    };
    // The client reports a handshake that fails or never ends.
    let handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await;
    if let Ok(Ok(stream)) = handshake {
        serve(stream, endpoint).await;
    }
}

async fn serve<S>(stream: S, endpoint: Arc<Endpoint>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_concurrent_streams(10_000)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20);
    let service = service_fn(move |request| {
        let endpoint = Arc::clone(&endpoint);
        async move { service::answer(request, endpoint.alarm.clone(), &endpoint.sampler).await }
    });
    // A disconnected client and an injected cut both end here as an expected error.
    builder
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

#[cfg(test)]
mod tests;
