//! Connections on hyper's `conn` API. A pooling client would hide connection set-up from the clock.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::trust::alpn;
use super::{Error, Http, Result, Scheme, Target, Trust};

/// Opens connections to one target, whose host name it has resolved once.
#[derive(Clone)]
pub struct Connector {
    host: String,
    addrs: Arc<[SocketAddr]>,
    http: Http,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    /// Resolves the target's host name.
    ///
    /// # Errors
    /// When the host cannot be resolved, or the target is `https` and `trust` is `None`.
    pub async fn resolve(target: &Target, http: Http, trust: Option<&Trust>) -> Result<Self> {
        let broken = |reason| Error::Url {
            url: target.to_string(),
            reason,
        };
        let tls = match (target.scheme, trust) {
            (Scheme::Http, _) => None,
            (Scheme::Https, None) => {
                return Err(broken("https requires a file of certificate authorities"));
            }
            (Scheme::Https, Some(trust)) => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|_| broken("the host is not a name that a certificate can contain"))?;
                Some((TlsConnector::from(trust.config(http)), name))
            }
        };
        let host = &target.host;
        let unresolved = |source| Error::Resolve {
            host: host.clone(),
            source,
        };
        let addrs = lookup_host((host.as_str(), target.port)).await;
        Ok(Self {
            host: host.clone(),
            addrs: addrs.map_err(unresolved)?.collect(),
            http,
            tls,
        })
    }

    /// The addresses that [`Connector::connect`] tries, in this order. It uses no others.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The HTTP version of its connections.
    #[must_use]
    pub fn http(&self) -> Http {
        self.http
    }

    /// Opens a connection that is ready for a request.
    ///
    /// # Errors
    /// When no address accepts the connection, or the TLS or HTTP handshake fails.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = self.dial().await?;
        let Some((connector, name)) = &self.tls else {
            return Connection::open(stream, self.http).await;
        };
        let failed = |source| Error::Tls {
            host: self.host.clone(),
            source,
        };
        let stream = connector
            .connect(name.clone(), stream)
            .await
            .map_err(failed)?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if self.http == Http::Two && agreed != Some(alpn(Http::Two)) {
            return Err(failed(std::io::Error::other(
                "the server does not offer h2",
            )));
        }
        Connection::open(stream, self.http).await
    }

    async fn dial(&self) -> Result<TcpStream> {
        let mut failure = None;
        for &addr in self.addrs.iter() {
            match TcpStream::connect(addr).await {
                Ok(stream) => {
                    // Without it, some requests take 40 ms longer, which the figures then show.
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Err(source) => failure = Some(Error::Connect { addr, source }),
            }
        }
        Err(failure.unwrap_or_else(|| Error::Resolve {
            host: self.host.clone(),
            source: std::io::Error::other("no address"),
        }))
    }
}

/// One connection. An HTTP/2 connection can be shared to send requests concurrently; it closes with
/// the last handle.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    /// The task that reads and writes the socket. It stops with the last owner.
    driver: Arc<JoinSet<()>>,
}

#[derive(Debug)]
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    async fn open<S>(stream: S, http: Http) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let mut driver = JoinSet::new();
        // An error of the driver also ends the running exchange, which reports it.
        let sender = match http {
            Http::One => {
                let (sender, connection) = http1::handshake(io).await?;
                driver.spawn(async { drop(connection.await) });
                Sender::One(sender)
            }
            Http::Two => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(2 << 20)
                    .initial_connection_window_size(32 << 20)
                    .handshake(io)
                    .await?;
                driver.spawn(async { drop(connection.await) });
                Sender::Two(sender)
            }
        };
        Ok(Self {
            sender,
            driver: Arc::new(driver),
        })
    }

    /// Returns another handle to an HTTP/2 connection, or `None` for HTTP/1.1, which carries one
    /// request at a time.
    #[must_use]
    pub fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::One(_) => None,
            Sender::Two(sender) => Some(Self {
                sender: Sender::Two(sender.clone()),
                driver: Arc::clone(&self.driver),
            }),
        }
    }

    /// Waits until the connection is ready for a request.
    ///
    /// # Errors
    /// When the connection is closed. Nothing has been sent in that case.
    pub async fn ready(&mut self) -> Result<()> {
        match &mut self.sender {
            Sender::One(sender) => sender.ready().await?,
            Sender::Two(sender) => sender.ready().await?,
        }
        Ok(())
    }

    /// Sends a request and returns the response as soon as its head has arrived.
    ///
    /// # Errors
    /// When the connection ends before the head has arrived.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        Ok(match &mut self.sender {
            Sender::One(sender) => sender.send_request(request).await?,
            Sender::Two(sender) => sender.send_request(request).await?,
        })
    }
}
