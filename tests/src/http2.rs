//! HTTP/2 for either end, through hyper: prior knowledge (h2c) or ALPN over TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::{Authority, within};

/// A body of either kind.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A whole body.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that is sent piece by piece, and trailers if wanted. Dropped before its end: cut.
pub fn streamed() -> (Sender<Bytes>, Body) {
    let (sender, body) = Channel::<Bytes>::new(1);
    (sender, body.boxed_unsync())
}

/// A body that `driver` sends, which runs as the body is read.
pub fn driven<R>(driver: impl FnOnce(Sender<Bytes>) -> R) -> Body
where
    R: Future<Output = ()> + Send + 'static,
{
    let (sender, body) = streamed();
    let driver = Some(Box::pin(driver(sender)));
    Driven { driver, body }.boxed_unsync()
}

struct Driven<R> {
    driver: Option<Pin<Box<R>>>,
    body: Body,
}

impl<R: Future<Output = ()>> http_body::Body for Driven<R> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(context).is_ready()
        {
            self.driver = None;
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}

/// The next piece of a body; `None` at its end. Trailers are no piece.
pub async fn piece(body: &mut Incoming) -> Option<Bytes> {
    let frame = within("a piece of a body", body.frame()).await?;
    frame.expect("the stream is whole").into_data().ok()
}

/// All of a body, and its trailers.
pub async fn collect(body: Incoming) -> (Bytes, Option<HeaderMap>) {
    let collected = within("a whole body", body.collect()).await;
    let collected = collected.expect("the stream is whole");
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

/// A connection to the gateway.
pub struct Client {
    send: SendRequest<Body>,
    _connection: JoinSet<()>,
}

impl Client {
    /// Prior knowledge.
    pub async fn plain(address: SocketAddr) -> Self {
        Self::over(connect(address).await).await
    }

    /// The same, where a stream takes no more bytes than these before they are read.
    pub async fn with_window(address: SocketAddr, bytes: u32) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(bytes);
        Self::built(&builder, connect(address).await).await
    }

    /// ALPN over TLS, as `localhost`.
    pub async fn tls(address: SocketAddr, authority: &Authority) -> Self {
        let stream = connect(address).await;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = authority.connector(&[b"h2"]).connect(name, stream).await;
        let stream = stream.expect("the certificate is trusted");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::built(&Builder::new(TokioExecutor::new()), stream).await
    }

    async fn built(
        builder: &Builder<TokioExecutor>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let handshake = builder.handshake(TokioIo::new(stream));
        let (send, connection) = within("an HTTP/2 handshake", handshake).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        Self {
            send,
            _connection: tasks,
        }
    }

    /// Sends a request and waits for the response's head.
    pub async fn send(
        &mut self,
        request: http::Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        within("a response's head", self.send.send_request(request)).await
    }

    /// Whether the other end has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.send.is_closed()
    }
}

/// An endpoint that speaks HTTP/2 only. Stops on drop.
pub struct Upstream {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Upstream {
    /// h2c; `answer` makes a response of each request.
    pub async fn plain<A, R>(answer: A) -> Self
    where
        A: Fn(http::Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::serve(None, answer).await
    }

    /// h2 over TLS, under that authority's certificate for `localhost`.
    pub async fn tls<A, R>(authority: &Authority, answer: A) -> Self
    where
        A: Fn(http::Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::serve(Some(authority.acceptor(&[b"h2"])), answer).await
    }

    async fn serve<A, R>(tls: Option<TlsAcceptor>, answer: A) -> Self
    where
        A: Fn(http::Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let answer = Arc::clone(&answer);
                match tls.clone() {
                    None => drop(connections.spawn(connection(stream, answer))),
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            connections.spawn(connection(stream, answer));
                        }
                    }
                }
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    /// The endpoint as the configuration has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The endpoint by name and with TLS.
    pub fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await;
    let stream = stream.expect("something listens");
    stream.set_nodelay(true).unwrap();
    stream
}

async fn connection<A, R>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    answer: Arc<A>,
) where
    A: Fn(http::Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = answer(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // The gateway may leave first.
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}
