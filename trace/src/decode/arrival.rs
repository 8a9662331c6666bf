//! When a byte of a body came, its content coding undone: with the chunk that brought it.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use crate::{Body, Chunk, Headers};

use super::encoding::{codings, decoder};

/// When the chunk came that brought the byte before `end` of the plain text. `None` where one
/// coding lies on another, and where there is no such byte.
pub(super) fn of(headers: &Headers, body: &Body, end: usize) -> Option<Duration> {
    let mut chunks = Chunks::of(body);
    let coding = match codings(headers)?.as_slice() {
        [] => {
            let mut passed = 0;
            let brings = |chunk: &&Chunk| {
                passed += chunk.bytes.len();
                passed >= end
            };
            return body.chunks.iter().find(brings).map(|chunk| chunk.at);
        }
        [coding] => *coding,
        _ => return None,
    };
    let first = body.chunks.iter().flat_map(|chunk| &chunk.bytes);
    let first: Vec<u8> = first.copied().take(2).collect();
    // All at once, or a decoder asks for the next chunk with output still in its hands.
    let mut plain = vec![0; end];
    let read =
        decoder(coding, &first, &mut chunks).and_then(|mut read| read.read_exact(&mut plain));
    read.ok().map(|()| chunks.at)
}

/// Reads chunks one after the other, and knows when the last that was asked for came.
struct Chunks<'a> {
    current: &'a [u8],
    at: Duration,
    rest: std::slice::Iter<'a, Chunk>,
}

impl<'a> Chunks<'a> {
    fn of(body: &'a Body) -> Self {
        Self {
            current: &[],
            at: Duration::ZERO,
            rest: body.chunks.iter(),
        }
    }
}

impl BufRead for Chunks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty()
            && let Some(chunk) = self.rest.next()
        {
            self.current = &chunk.bytes;
            self.at = chunk.at;
        }
        Ok(self.current)
    }

    fn consume(&mut self, bytes: usize) {
        self.current = self.current.get(bytes..).unwrap_or_default();
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(to)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;

    use super::*;

    /// Three parts, each in a chunk of its own that came at its number of seconds.
    fn flushed(coding: &str) -> Vec<Vec<u8>> {
        let parts = ["data: one\n\n", "data: two\n\n", "data: three\n\n"];
        fn each<W: Write>(
            mut encoder: W,
            parts: [&str; 3],
            mut take: impl FnMut(&mut W) -> Vec<u8>,
        ) -> Vec<Vec<u8>> {
            let part = |part: &str| {
                encoder.write_all(part.as_bytes()).unwrap();
                encoder.flush().unwrap();
                take(&mut encoder)
            };
            parts.map(part).to_vec()
        }
        let level = Compression::fast();
        match coding {
            "gzip" => each(
                flate2::write::GzEncoder::new(Vec::new(), level),
                parts,
                |e| std::mem::take(e.get_mut()),
            ),
            "deflate" => each(
                flate2::write::ZlibEncoder::new(Vec::new(), level),
                parts,
                |e| std::mem::take(e.get_mut()),
            ),
            "br" => each(
                brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20),
                parts,
                |e| std::mem::take(e.get_mut()),
            ),
            "zstd" => each(zstd::Encoder::new(Vec::new(), 3).unwrap(), parts, |e| {
                std::mem::take(e.get_mut())
            }),
            _ => parts.map(|part| part.as_bytes().to_vec()).to_vec(),
        }
    }

    #[test]
    fn each_byte_came_with_its_chunk() {
        for coding in ["gzip", "deflate", "br", "zstd", "identity"] {
            let headers = [("content-encoding", coding)].into_iter().collect();
            let chunk = |(at, bytes): (u64, Vec<u8>)| Chunk {
                at: Duration::from_secs(at),
                bytes: bytes.into(),
            };
            let body = Body {
                chunks: (1..).zip(flushed(coding)).map(chunk).collect(),
                bytes: 0,
                truncated: false,
            };
            let came = |end| of(&headers, &body, end).map(|at| at.as_secs());
            let ends = [1, 11, 12, 22, 23, 35, 36].map(came);
            let expect = [Some(1), Some(1), Some(2), Some(2), Some(3), Some(3), None];
            assert_eq!(ends, expect, "{coding}");
        }
    }
}
