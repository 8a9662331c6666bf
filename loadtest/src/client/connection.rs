//! Connections over hyper's own `conn` API: what a pool would hide from the clock stays visible.

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

/// Opens connections to one target, whose name it resolved once.
#[derive(Clone)]
pub struct Connector {
    host: String,
    addrs: Arc<[SocketAddr]>,
    http: Http,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    /// Resolves the target's host.
    ///
    /// # Errors
    /// When it has no address, or is `https` and there is no `trust`.
    pub async fn resolve(target: &Target, http: Http, trust: Option<&Trust>) -> Result<Self> {
        let broken = |reason| Error::Url {
            url: target.to_string(),
            reason,
        };
        let tls = match (target.scheme, trust) {
            (Scheme::Http, _) => None,
            (Scheme::Https, None) => return Err(broken("https needs a file of authorities")),
            (Scheme::Https, Some(trust)) => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|_| broken("no certificate can prove this host"))?;
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

    /// The addresses that [`Connector::connect`] tries, in order; no others.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The version its connections speak.
    #[must_use]
    pub fn http(&self) -> Http {
        self.http
    }

    /// Opens a connection, ready for a request.
    ///
    /// # Errors
    /// When no address takes it, or TLS or HTTP cannot be agreed on.
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
                    // A refusal costs 40 ms on some answers, which the figures then show.
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

/// One connection. HTTP/2 ones may be cloned to send side by side; it closes with the last clone.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    /// Reads and writes the socket; stops with the last owner.
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
        // A driver's error also ends the exchange under way, which reports it.
        let sender = match http {
            Http::One => {
                let (sender, connection) = http1::handshake(io).await?;
                driver.spawn(async { connection.await.unwrap_or_default() });
                Sender::One(sender)
            }
            Http::Two => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(2 << 20)
                    .initial_connection_window_size(32 << 20)
                    .handshake(io)
                    .await?;
                driver.spawn(async { connection.await.unwrap_or_default() });
                Sender::Two(sender)
            }
        };
        Ok(Self {
            sender,
            driver: Arc::new(driver),
        })
    }

    /// The same HTTP/2 connection once more; `None` for HTTP/1.1, which takes one request at a time.
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

    /// Waits until it takes a request.
    ///
    /// # Errors
    /// When it is closed: then nothing was sent.
    pub async fn ready(&mut self) -> Result<()> {
        match &mut self.sender {
            Sender::One(sender) => sender.ready().await?,
            Sender::Two(sender) => sender.ready().await?,
        }
        Ok(())
    }

    /// Sends a request and returns the head of its response.
    ///
    /// # Errors
    /// When the connection ends first.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        Ok(match &mut self.sender {
            Sender::One(sender) => sender.send_request(request).await?,
            Sender::Two(sender) => sender.send_request(request).await?,
        })
    }
}
