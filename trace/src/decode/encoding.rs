//! Content codings opened (RFC 9110, section 8.4), whatever the bytes.
//!
//! Never more than the cap comes out, so a bomb costs what its cap costs. A coding that lies or
//! ends early gives what could be opened, or the bytes as they came.

use std::io::{self, BufRead, Read};

use bytes::Bytes;
use http::header;

use crate::Headers;
use crate::headers::visible;

use super::defect::{Defect, Notes};

/// More codings than this on one body are not opened: one is common, two a mistake somewhere.
const CODINGS_MAX: usize = 4;

/// Largest zstd window, as a power of two: 8 MiB, all that RFC 9659 allows in HTTP. The
/// format itself allows terabytes.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A body without its content codings.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) bytes: Bytes,
    /// Whether the bytes stop before the body does.
    pub(super) cut: bool,
    /// Whether the bytes are still encoded.
    pub(super) encoded: bool,
}

/// One that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Opens `bytes` as `content-encoding` says; `cut` says that the body went on after them.
pub(super) fn open(
    headers: &Headers,
    bytes: Bytes,
    cut: bool,
    bytes_max: usize,
    notes: &mut Notes,
) -> Opened {
    let mut opened = Opened {
        bytes,
        cut,
        encoded: false,
    };
    if !headers.contains(header::CONTENT_ENCODING) || opened.bytes.is_empty() {
        return opened;
    }
    let Some(codings) = codings(headers) else {
        notes.note(Defect::UnknownContentEncoding);
        return Opened {
            encoded: true,
            ..opened
        };
    };
    for coding in codings.into_iter().rev() {
        let mut plain = Vec::new();
        let ended = unpack(coding, &opened.bytes, bytes_max, &mut plain);
        if ended.is_err() && !opened.cut {
            notes.note(Defect::BadContentEncoding);
        }
        // Hardly anything that was really packed is UTF-8, but a bare deflate stream and brotli
        // read some way into any bytes.
        let lie = std::str::from_utf8(&opened.bytes).is_ok();
        if ended.is_err() && (plain.is_empty() || lie) {
            opened.encoded = !lie;
            return opened;
        }
        opened.cut |= ended.is_err();
        if plain.len() > bytes_max {
            plain.truncate(bytes_max);
            opened.cut = true;
            notes.note(Defect::OutputCap);
        }
        opened.bytes = Bytes::from(plain);
    }
    opened
}

/// The codings in the order in which they were applied; `None` if one is not known.
pub(super) fn codings(headers: &Headers) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.all(header::CONTENT_ENCODING) {
        for name in visible(value)?.split(',') {
            let coding = match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => return None,
            };
            codings.push(coding);
        }
    }
    (codings.len() <= CODINGS_MAX).then_some(codings)
}

/// Fills `plain` with at most one byte more than `bytes_max`, up to the end or the first error.
fn unpack(coding: Coding, packed: &[u8], bytes_max: usize, plain: &mut Vec<u8>) -> io::Result<()> {
    let decoder = decoder(coding, packed, packed)?;
    decoder.take(bytes_max as u64 + 1).read_to_end(plain)?;
    Ok(())
}

/// Opens one coding of what `packed` reads, and `first` begins as.
pub(super) fn decoder<'a>(
    coding: Coding,
    first: &[u8],
    packed: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    /// What brotli reads at a time.
    const BROTLI_BUFFER_BYTES: usize = 4096;

    Ok(match coding {
        Coding::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Coding::Deflate if is_zlib(first) => Box::new(flate2::bufread::ZlibDecoder::new(packed)),
        Coding::Deflate => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
        Coding::Brotli => Box::new(brotli::Decompressor::new(packed, BROTLI_BUFFER_BYTES)),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// Whether a zlib header (RFC 1950) stands before the deflate stream, as RFC 9110 asks; some
/// servers send the bare stream.
fn is_zlib(packed: &[u8]) -> bool {
    match packed {
        [method, flags, ..] => {
            method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;

    use super::*;

    const PLAIN: &[u8] =
        br#"{"model":"m","messages":[{"role":"user","content":"hello hello hello"}]}"#;
    const MAX: usize = 1 << 20;

    fn pack(coding: &str, plain: &[u8]) -> Vec<u8> {
        let level = Compression::fast();
        match coding {
            "gzip" | "x-gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            "raw" => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            "br" => {
                let mut packed = Vec::new();
                brotli::CompressorWriter::new(&mut packed, 4096, 5, 20)
                    .write_all(plain)
                    .unwrap();
                packed
            }
            _ => zstd::encode_all(plain, 3).unwrap(),
        }
    }

    fn opened(encoding: &str, packed: Vec<u8>, cut: bool, max: usize) -> (Opened, Vec<Defect>) {
        let headers = [("content-encoding", encoding)].into_iter().collect();
        let mut notes = Notes::default();
        let opened = open(&headers, Bytes::from(packed), cut, max, &mut notes);
        (opened, notes.into_defects())
    }

    #[track_caller]
    fn check(encoding: &str, packed: Vec<u8>, plain: &[u8], expect: &[Defect]) {
        let (opened, notes) = opened(encoding, packed, false, MAX);
        assert_eq!(opened.bytes, plain, "{encoding}");
        assert_eq!(notes, expect, "{encoding}");
    }

    #[test]
    fn every_coding_is_opened() {
        for coding in ["gzip", "x-gzip", "deflate", "br", "zstd"] {
            check(coding, pack(coding, PLAIN), PLAIN, &[]);
        }
        check("deflate", pack("raw", PLAIN), PLAIN, &[]);
        check("GZIP", pack("gzip", PLAIN), PLAIN, &[]);
        check("identity", PLAIN.to_vec(), PLAIN, &[]);
        check(
            "gzip, identity, br",
            pack("br", &pack("gzip", PLAIN)),
            PLAIN,
            &[],
        );
        check(
            "gzip",
            [pack("gzip", PLAIN), pack("gzip", PLAIN)].concat(),
            &PLAIN.repeat(2),
            &[],
        );
    }

    #[test]
    fn a_lying_encoding_gives_the_bytes_as_they_came() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            check(coding, PLAIN.to_vec(), PLAIN, &[Defect::BadContentEncoding]);
        }
        check(
            "rot13",
            PLAIN.to_vec(),
            PLAIN,
            &[Defect::UnknownContentEncoding],
        );
        check(
            "br,br,br,br,br",
            PLAIN.to_vec(),
            PLAIN,
            &[Defect::UnknownContentEncoding],
        );
    }

    #[test]
    fn a_torn_encoding_gives_a_prefix() {
        let plain: Vec<u8> = (0..60_000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let mut packed = pack(coding, &plain);
            packed.truncate(packed.len() * 3 / 4);
            let (torn, notes) = opened(coding, packed.clone(), false, MAX);
            assert!(torn.cut && plain.starts_with(&torn.bytes), "{coding}");
            assert_eq!(notes, [Defect::BadContentEncoding], "{coding}");
            let (cut, notes) = opened(coding, packed, true, MAX);
            assert_eq!((cut.bytes, notes), (torn.bytes, vec![]), "{coding}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let plain = vec![0; 64 << 20];
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let (opened, notes) = opened(coding, pack(coding, &plain), false, 1000);
            assert_eq!((opened.bytes.len(), opened.cut), (1000, true), "{coding}");
            assert_eq!(notes, [Defect::OutputCap], "{coding}");
        }
    }
}
