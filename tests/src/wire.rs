//! HTTP/1.1 to the byte, for either end of a connection.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::within;

/// One connection: writes what it is told to, reads what comes, checks nothing.
pub struct Wire {
    stream: Box<dyn Transport>,
    unread: BytesMut,
}

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A message's head as it came.
#[derive(Clone, Debug)]
pub struct Head {
    /// All of it, the empty line included.
    pub raw: Bytes,
    /// Request line or status line.
    pub line: String,
    /// Names (their case kept) and values, in order.
    pub fields: Vec<(String, String)>,
}

impl Wire {
    /// Connects to a listener.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("something listens");
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Speaks over an open stream.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let stream = Box::new(stream);
        let unread = BytesMut::new();
        Self { stream, unread }
    }

    /// Writes; an error means that the other end left, which its reading shows.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if self.stream.write_all(bytes.as_ref()).await.is_ok() {
            self.stream.flush().await.ok();
        }
    }

    /// The next message's head; `None`: the other end closed before it.
    pub async fn try_head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let raw = self.unread.split_to(end + 4).freeze();
                return Some(Head::parse(raw));
            }
            if !self.fill().await {
                assert!(self.unread.is_empty(), "a torn head: {:?}", self.unread);
                return None;
            }
        }
    }

    /// The next message's head.
    pub async fn head(&mut self) -> Head {
        self.try_head().await.expect("a head comes")
    }

    /// Exactly so many bytes.
    pub async fn exact(&mut self, count: usize) -> Bytes {
        while self.unread.len() < count {
            let more = self.fill().await;
            assert!(more, "closed after {} of {count} bytes", self.unread.len());
        }
        self.unread.split_to(count).freeze()
    }

    /// What came next, in whatever size; `None`: closed.
    pub async fn piece(&mut self) -> Option<Bytes> {
        if self.unread.is_empty() && !self.fill().await {
            return None;
        }
        Some(self.unread.split().freeze())
    }

    /// All until the other end closes.
    pub async fn rest(&mut self) -> Bytes {
        while self.fill().await {}
        self.unread.split().freeze()
    }

    /// One chunk of a chunked body (RFC 9112, section 7.1); empty: the last. `None`: closed.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                let line = self.unread.split_to(end + 2);
                let size = std::str::from_utf8(&line[..end]).expect("a size is ASCII");
                let size = size.split(';').next().unwrap_or_default();
                let size = usize::from_str_radix(size, 16).expect("a size is hexadecimal");
                let data = self.exact(size).await;
                assert_eq!(&self.exact(2).await[..], b"\r\n");
                return Some(data);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The whole body that belongs to a head.
    pub async fn body(&mut self, head: &Head) -> Bytes {
        if head.field("transfer-encoding").is_some() {
            let mut body = BytesMut::new();
            loop {
                let chunk = self.chunk().await.expect("the body has its last chunk");
                if chunk.is_empty() {
                    return body.freeze();
                }
                body.extend_from_slice(&chunk);
            }
        }
        match head.field("content-length") {
            Some(length) => self.exact(length.parse().unwrap()).await,
            None if head.line.starts_with("HTTP/") => self.rest().await,
            None => Bytes::new(),
        }
    }

    /// A whole answer to a whole request.
    pub async fn exchange(&mut self, request: impl AsRef<[u8]>) -> (Head, Bytes) {
        self.send(request).await;
        let head = self.head().await;
        let body = self.body(&head).await;
        (head, body)
    }

    /// Reads once more. `false`: the other end closed.
    async fn fill(&mut self) -> bool {
        self.unread.reserve(64 * 1024);
        let read = self.stream.read_buf(&mut self.unread);
        let read = within("bytes on a connection", read).await;
        // A reset is an end like any other.
        read.is_ok_and(|count| count > 0)
    }
}

impl Head {
    fn parse(raw: Bytes) -> Self {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.trim_end().split("\r\n").map(str::to_owned);
        let line = lines.next().unwrap_or_default();
        let field = |line: String| {
            let (name, value) = line.split_once(':').expect("a field has a colon");
            (name.to_owned(), value.trim().to_owned())
        };
        let fields = lines.map(field).collect();
        Self { raw, line, fields }
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let code = self.line.split(' ').nth(1).expect("a status line");
        code.parse().expect("a status is a number")
    }

    /// The first value under a name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values under a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |field| field.0.eq_ignore_ascii_case(name))
            .map(|field| field.1.as_str())
    }
}

/// GET a path on a connection of its own: status and body.
pub async fn ask(address: SocketAddr, path: &str) -> Option<(u16, Bytes)> {
    let mut wire = Wire::over(TcpStream::connect(address).await.ok()?);
    let ask = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    wire.send(ask).await;
    let head = wire.try_head().await?;
    let body = wire.body(&head).await;
    Some((head.status(), body))
}

/// A body in the chunked coding, cut into pieces of these sizes in turn.
pub fn chunked(body: &[u8], sizes: &[usize]) -> Bytes {
    let mut coded = BytesMut::with_capacity(body.len() + body.len() / 8 + 16);
    let mut rest = body;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(rest.len().min(*size));
        coded.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        coded.extend_from_slice(piece);
        coded.extend_from_slice(b"\r\n");
        rest = after;
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded.freeze()
}

/// So many bytes of which no two neighbourhoods are alike: a lost, doubled or moved piece shows.
pub fn pattern(count: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    Bytes::from(bytes)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
