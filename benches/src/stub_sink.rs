//! A sink that accepts everything at once: HTTP/1.1, one thread per connection, status 200.
//!
//! It is fast, so that a client's time is not spent waiting for it.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running sink. Its threads end with the process.
#[derive(Clone, Debug)]
pub struct StubSink {
    address: SocketAddr,
    /// The bodies received so far, if they are recorded.
    bodies: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
}

impl StubSink {
    /// Starts a sink on a free port of this machine that discards what it receives.
    ///
    /// # Errors
    /// When no port is free, or a thread cannot be started.
    pub fn start() -> Result<Self> {
        Self::listen(None)
    }

    /// Starts a sink that records the bodies it receives.
    ///
    /// # Errors
    /// When no port is free, or a thread cannot be started.
    pub fn recording() -> Result<Self> {
        Self::listen(Some(Arc::default()))
    }

    fn listen(bodies: Option<Arc<Mutex<Vec<Vec<u8>>>>>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let sink = Self { address, bodies };
        let acceptor = sink.clone();
        thread::Builder::new()
            .name("stub-sink".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let sink = acceptor.clone();
                    // The client reports a failed connection.
                    thread::spawn(move || sink.serve(stream).ok());
                }
            })?;
        Ok(sink)
    }

    /// Returns `http://ADDRESS`.
    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the bodies received so far, in order, and forgets them. A sink that does not record
    /// returns none.
    pub fn take(&self) -> Vec<Vec<u8>> {
        match &self.bodies {
            Some(bodies) => std::mem::take(&mut *bodies.lock().expect(UNPOISONED)),
            None => Vec::new(),
        }
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(1 << 18, stream.try_clone()?);
        let mut writer = stream;
        let mut body = Vec::new();
        while let Some(length) = head(&mut reader)? {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
            if let Some(bodies) = &self.bodies {
                bodies.lock().expect(UNPOISONED).push(body.clone());
            }
            writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    }
}

const UNPOISONED: &str = "no thread panics while it holds the lock";

/// Reads a request head and returns its Content-Length, or `None` at the end of the connection.
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
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
}
