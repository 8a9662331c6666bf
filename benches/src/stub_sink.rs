//! A sink that takes everything at once: HTTP/1.1, a thread per connection, 200 without a body.
//!
//! Fast, so that what a client spends on it is the client's own.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running sink; its threads end with the process.
#[derive(Clone, Debug)]
pub struct StubSink {
    address: SocketAddr,
    taken: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
}

impl StubSink {
    /// Listens on a free port of this machine and forgets what it takes.
    pub fn start() -> Result<Self> {
        Self::listen(None)
    }

    /// Keeps the bodies that it takes.
    pub fn recording() -> Result<Self> {
        Self::listen(Some(Arc::default()))
    }

    fn listen(taken: Option<Arc<Mutex<Vec<Vec<u8>>>>>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let sink = Self { address, taken };
        let acceptor = sink.clone();
        thread::Builder::new()
            .name("stub-sink".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let sink = acceptor.clone();
                    // A connection that fails is its client's to notice.
                    thread::spawn(move || sink.serve(stream).ok());
                }
            })?;
        Ok(sink)
    }

    /// `http://ADDRESS`.
    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bodies taken so far, in order; they are given away.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let taken = self.taken.as_ref().and_then(|taken| taken.lock().ok());
        taken
            .map(|mut taken| std::mem::take(&mut *taken))
            .unwrap_or_default()
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(1 << 18, stream.try_clone()?);
        let mut writer = stream;
        let mut body = Vec::new();
        while let Some(length) = head(&mut reader)? {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
            if let Some(Ok(mut taken)) = self.taken.as_ref().map(|taken| taken.lock()) {
                taken.push(body.clone());
            }
            writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    }
}

/// Reads a head and gives its Content-Length; `None` at the connection's end.
fn head(reader: &mut impl BufRead) -> Result<Option<usize>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}
