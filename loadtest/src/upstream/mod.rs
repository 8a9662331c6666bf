//! A model endpoint to test against: HTTP/1.1 and h2c (prior knowledge) on one port, or both over
//! TLS.
//!
//! | route | answer |
//! | --- | --- |
//! | `POST /v1/chat/completions` | OpenAI's chat completion, whole or as server-sent events |
//! | `POST /invocations` | MLflow's scoring protocol: one number per row |
//! | `POST /echo` | the request's body under its own content type |
//! | `GET /ping`, `/health`, `/version` | as MLflow's scoring server |
//!
//! Equal requests get equal bytes: texts, ids and times are functions of the request, so that an
//! answer through a proxy can be compared with one without. Timing and faults are knobs of each
//! request (a header, or a query key without the `x-`); what a request does not ask for, a
//! [`Behaviour`] draws:
//!
//! | knob | default | meaning |
//! | --- | --- | --- |
//! | `x-delay-us` | 0 | from the request's last byte to the response's head |
//! | `x-spin-us` | 0 | time on a core before the response's head, as a slow filter takes it |
//! | `x-tokens` | 32 | tokens of a chat's answer (`max_tokens` may make it fewer) |
//! | `x-gap-us` | 2000 | between two events of a stream; event n leaves at head + n gaps |
//! | `x-status` | | answer that status with a JSON error |
//! | `x-stall-ms` | | silence after the body's first piece (a whole body is cut in two for it) |
//! | `x-cut-after` | | close the connection after that many body bytes (HTTP/2: reset the stream) |
//!
//! Instants are kept by [`Alarm`], absolute from the head: a late event does not move the next.

mod behaviour;
mod body;
mod ceiling;
mod chat;
mod distribution;
mod frame;
mod knobs;
mod reply;
mod scoring;
mod service;
mod tls;

pub use self::behaviour::Behaviour;
pub use self::ceiling::{Ceiling, ceiling};
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

use self::behaviour::Draws;
use crate::alarm::Alarm;

/// Further connections are closed unanswered.
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
    /// Listens on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be bound, or no thread can be had for the timing.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        Self::start_with(addr, Behaviour::default(), None).await
    }

    /// The same, with a behaviour of its own, and over TLS where it has an identity.
    ///
    /// # Errors
    /// As [`Server::start`].
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
            draws: Draws::new(behaviour),
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

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDRESS`, or `https://ADDRESS`, followed by `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr)
    }
}

/// What all connections share.
struct Endpoint {
    alarm: Alarm,
    draws: Draws,
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
                // Out of descriptors, mostly: wait for some to be given back.
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
    // A handshake that fails, or never ends, is the client's to report.
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
        async move { service::answer(request, endpoint.alarm.clone(), &endpoint.draws).await }
    });
    // The client's departure and an asked-for cut both end here as an error; neither is news.
    builder
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

#[cfg(test)]
mod tests;
