//! A model endpoint to test against: HTTP/1.1 and h2c (prior knowledge) on one port.
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
//! request (a header, or a query key without the `x-`):
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

mod body;
mod chat;
mod frame;
mod knobs;
mod reply;
mod scoring;
mod service;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::alarm::Alarm;

/// Further connections are closed unanswered.
const CONNECTIONS_MAX: usize = 20_000;

/// A running endpoint. It stops, and closes its connections, when dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    /// Aborts the accept loop, and with it every connection, on drop.
    _accepting: JoinSet<()>,
}

impl Server {
    /// Listens on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be bound, or no thread can be had for the timing.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let alarm = Alarm::start()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, alarm));
        Ok(Self {
            addr,
            _accepting: accepting,
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDRESS` followed by `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

async fn accept(listener: TcpListener, alarm: Alarm) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(serve(stream, alarm.clone()));
                }
                Ok(_) => {}
                // Out of descriptors, mostly: wait for some to be given back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, alarm: Alarm) {
    stream.set_nodelay(true).ok();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_concurrent_streams(10_000)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20);
    let service = service_fn(move |request| service::answer(request, alarm.clone()));
    // The client's departure and an asked-for cut both end here as an error; neither is news.
    builder
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

#[cfg(test)]
mod tests;
