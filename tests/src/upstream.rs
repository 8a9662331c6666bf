//! Model endpoints that misbehave on purpose, over HTTP/1.1 to the byte.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::{Authority, Head, Wire, eventually};

/// A scripted endpoint. Stops, connections and all, on drop.
pub struct Upstream {
    address: SocketAddr,
    seen: Seen,
    _tasks: JoinSet<()>,
}

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body, chunks joined.
    pub body: Bytes,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
}

type Seen = Arc<Mutex<Vec<Request>>>;

impl Upstream {
    /// Runs `script` for each connection; its number, from 0, comes with it.
    pub async fn script<F, R>(script: F) -> Self
    where
        F: Fn(usize, Wire) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::script_at(anywhere(), script).await
    }

    /// The same, at an address.
    pub async fn script_at<F, R>(address: SocketAddr, script: F) -> Self
    where
        F: Fn(usize, Wire) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::serve(address, None, Seen::default(), script).await
    }

    /// Answers each request with its own body and content type.
    pub async fn echo() -> Self {
        Self::requests(None, |request| {
            let kind = request.head.field("content-type").unwrap_or("text/plain");
            let length = request.body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
            );
            [head.as_bytes(), &request.body].concat()
        })
        .await
    }

    /// Answers each request with these bytes, and keeps the connection.
    pub async fn answering(response: impl AsRef<[u8]>) -> Self {
        let response = response.as_ref().to_vec();
        Self::requests(None, move |_| response.clone()).await
    }

    /// Answers each request with the bytes that `answer` makes of it, and keeps the connection.
    pub async fn replying<A>(answer: A) -> Self
    where
        A: Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    {
        Self::requests(None, answer).await
    }

    /// The same, over TLS under a certificate of that authority for `localhost`.
    pub async fn answering_tls(response: &str, authority: &Authority) -> Self {
        let response = response.as_bytes().to_vec();
        let acceptor = authority.acceptor(&[b"http/1.1"]);
        Self::requests(Some(acceptor), move |_| response.clone()).await
    }

    /// The same, for clients alone that have a certificate under `clients`.
    pub async fn answering_mutual_tls(
        response: &str,
        authority: &Authority,
        clients: &Authority,
    ) -> Self {
        let response = response.as_bytes().to_vec();
        let acceptor = authority.demanding_acceptor(clients, &[b"http/1.1"]);
        Self::requests(Some(acceptor), move |_| response.clone()).await
    }

    /// Reads each request and never answers.
    pub async fn hanging() -> Self {
        Self::script(|_, mut wire| async move { drop(wire.rest().await) }).await
    }

    /// Writes the beginning of its answer, `half` of 99 bytes, and no more.
    pub async fn stuck_halfway() -> Self {
        Self::script(|_, mut wire| async move {
            wire.head().await;
            wire.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 99\r\n\r\nhalf",
            )
            .await;
            wire.rest().await;
        })
        .await
    }

    /// Reads a request, writes these bytes, and closes.
    pub async fn dying_after(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self::script(move |_, mut wire| {
            let bytes = bytes.clone();
            async move {
                let head = wire.head().await;
                wire.body(&head).await;
                wire.send(bytes).await;
            }
        })
        .await
    }

    /// What `answer` makes of each request; requests are recorded before they are answered.
    async fn requests<A>(tls: Option<TlsAcceptor>, answer: A) -> Self
    where
        A: Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    {
        let seen = Seen::default();
        let (record, answer) = (Arc::clone(&seen), Arc::new(answer));
        Self::serve(anywhere(), tls, seen, move |connection, mut wire| {
            let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
            async move {
                while let Some(head) = wire.try_head().await {
                    let body = wire.body(&head).await;
                    let request = Request {
                        head,
                        body,
                        connection,
                    };
                    let response = answer(&request);
                    record.lock().unwrap().push(request);
                    wire.send(response).await;
                }
            }
        })
        .await
    }

    async fn serve<F, R>(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        seen: Seen,
        script: F,
    ) -> Self
    where
        F: Fn(usize, Wire) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            let number = AtomicUsize::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let number = number.fetch_add(1, SeqCst);
                match &tls {
                    None => drop(connections.spawn(script(number, Wire::over(stream)))),
                    Some(acceptor) => {
                        // A refused certificate ends here; its client tells of it.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            connections.spawn(script(number, wire(stream)));
                        }
                    }
                }
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint as the configuration has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The endpoint by name and with TLS.
    pub fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The first request, once it came.
    pub async fn first(&self) -> Request {
        eventually("a request at the upstream", async || {
            self.seen().first().cloned()
        })
        .await
    }
}

fn wire(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Wire {
    Wire::over(stream)
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}
