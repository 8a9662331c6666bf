//! A client's socket. What its task writes in one turn leaves in one piece.
//!
//! pingora writes the head and the body of a response one after the other. Where each leaves at
//! once, that is two system calls, two packets, and two wake-ups of the client. Where they wait
//! for more, as in pingora's own buffer, a head waits for a slow model's first byte. Here small
//! writes wait for the end of the task's turn: by the time it waits for anything, all that it
//! wrote is on its way.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, l4,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Writes that are larger than this together are not copied, but sent with what waits.
const HELD_MAX: usize = 4096;

/// How much is read to tell HTTP/2 from HTTP/1; it is what pingora reads a head with.
const AHEAD: usize = 4096;

/// A client says its first words within this time.
const FIRST_WORDS: Duration = Duration::from_secs(60);

/// A client's connection, as pingora reads and writes it.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    read: OwnedReadHalf,
    /// Looked at, and not read yet.
    ahead: BytesMut,
    writer: Turns,
    fd: RawFd,
    digest: Arc<SocketDigest>,
}

/// The end of a task's turn, where what the socket holds is sent.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Mutex<Writer>>);

#[derive(Debug)]
struct Writer {
    /// `None`: the socket is closed.
    half: Option<OwnedWriteHalf>,
    held: BytesMut,
    /// Only a task in its turn may leave something behind: its end is what sends it.
    in_turn: bool,
    /// What went wrong at a turn's end; the result of what is asked for next.
    failed: Option<io::Error>,
}

impl ClientSocket {
    /// Of a connection that was accepted from this address.
    pub(crate) fn new(stream: TcpStream, client: SocketAddr) -> Self {
        let fd = stream.as_raw_fd();
        let digest = SocketDigest::from_raw_fd(fd);
        // Set once: this is the only place.
        let address = l4::socket::SocketAddr::Inet(client);
        digest.peer_addr.set(Some(address)).ok();
        let (read, half) = stream.into_split();
        let writer = Writer {
            half: Some(half),
            held: BytesMut::new(),
            in_turn: false,
            failed: None,
        };
        Self {
            read,
            ahead: BytesMut::new(),
            writer: Turns(Arc::new(Mutex::new(writer))),
            fd,
            digest: Arc::new(digest),
        }
    }

    /// To run the task with that has the socket.
    pub(crate) fn turns(&self) -> Turns {
        self.writer.clone()
    }
}

impl Turns {
    /// Runs a task that writes to the socket, and sends at the end of each of its turns what it
    /// left behind.
    pub(crate) async fn run<T>(self, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        poll_fn(|turn| {
            self.0.lock().in_turn = true;
            let result = task.as_mut().poll(turn);
            self.0.lock().end_turn(turn);
            result
        })
        .await
    }
}

impl Writer {
    fn end_turn(&mut self, turn: &mut Context<'_>) {
        self.in_turn = false;
        // Where the socket takes no more, the task is woken up when it does: another turn ends.
        if let Poll::Ready(Err(error)) = self.poll_send(turn) {
            self.failed = Some(error);
        }
    }

    /// Sends what is held.
    fn poll_send(&mut self, turn: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let sent = match open(&mut self.half)?.poll_write(turn, &self.held) {
                Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(sent) => sent,
                Poll::Pending => return Poll::Pending,
            };
            match sent {
                Ok(sent) => self.held.advance(sent),
                Err(error) => {
                    self.held.clear();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is held, and tells of a turn's end that could not.
    fn poll_flush(&mut self, turn: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.failed.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => self.poll_send(turn),
        }
    }

    /// Holds a small write, sends a larger one behind what is held.
    fn poll_write(
        &mut self,
        turn: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if self.in_turn && self.held.len() + length <= HELD_MAX {
            parts
                .iter()
                .for_each(|part| self.held.extend_from_slice(part));
            return Poll::Ready(Ok(length));
        }
        if self.held.is_empty() {
            return open(&mut self.half)?.poll_write_vectored(turn, parts);
        }
        let first = parts.iter().find(|part| !part.is_empty());
        let both = [
            IoSlice::new(&self.held),
            IoSlice::new(first.map_or(&[], |part| part)),
        ];
        let sent = ready!(open(&mut self.half)?.poll_write_vectored(turn, &both))?;
        let waited = sent.min(self.held.len());
        self.held.advance(waited);
        if sent > waited {
            return Poll::Ready(Ok(sent - waited));
        }
        // Not even all that was held: the socket is full.
        ready!(self.poll_send(turn))?;
        open(&mut self.half)?.poll_write_vectored(turn, parts)
    }
}

fn open(half: &mut Option<OwnedWriteHalf>) -> io::Result<Pin<&mut OwnedWriteHalf>> {
    half.as_mut()
        .map(Pin::new)
        .ok_or_else(|| io::ErrorKind::NotConnected.into())
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        turn: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.read).poll_read(turn, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(count));
        if self.ahead.is_empty() {
            // Lets go of its memory.
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        turn: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(turn, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        turn: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer.0.lock().poll_write(turn, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, turn: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.0.lock().poll_flush(turn)
    }

    fn poll_shutdown(self: Pin<&mut Self>, turn: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut writer = self.writer.0.lock();
        ready!(writer.poll_flush(turn))?;
        open(&mut writer.half)?.poll_shutdown(turn)
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        let mut writer = self.writer.0.lock();
        // The task's last turn: what does not fit the socket now is lost with it.
        let held = std::mem::take(&mut writer.held);
        if let Some(half) = writer.half.take()
            && !held.is_empty()
        {
            half.try_write(&held).ok();
        }
    }
}

#[async_trait]
impl Peek for ClientSocket {
    /// Fills `buf`, or its beginning where the first bytes are others than HTTP/2's preface, which
    /// is what pingora looks for: a request of HTTP/1.0 can be shorter than that.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        self.ahead.reserve(AHEAD);
        while self.ahead.len() < buf.len() && PREFACE.starts_with(&self.ahead) {
            let read = self.read.read_buf(&mut self.ahead);
            if tokio::time::timeout(FIRST_WORDS, read).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        buf.iter_mut()
            .zip(&self.ahead)
            .for_each(|(to, from)| *to = *from);
        Ok(true)
    }
}

#[async_trait]
impl Shutdown for ClientSocket {
    async fn shutdown(&mut self) {
        // A client that is gone already needs no farewell.
        AsyncWriteExt::shutdown(self).await.ok();
    }
}

impl UniqueID for ClientSocket {
    fn id(&self) -> UniqueIDType {
        self.fd
    }
}

impl Ssl for ClientSocket {}

impl GetTimingDigest for ClientSocket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientSocket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientSocket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

#[cfg(test)]
mod tests;
