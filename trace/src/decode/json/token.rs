//! Strings and names: where they end, sixteen bytes at a time.

use wide::u8x16;

use super::scan::{Fault, Watch};

/// A string of more bytes is told of: someone may want to look at it.
const LONG_BYTES: usize = 512;

/// Past the string whose opening quote is at `at`.
pub(super) fn string<W: Watch>(bytes: &[u8], at: usize, seen: &mut W) -> Result<usize, Fault> {
    let begin = at;
    let mut at = at + 1;
    loop {
        at = plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => {
                if at - begin > LONG_BYTES {
                    seen.long();
                }
                return Ok(at + 1);
            }
            Some(b'\\') => {
                seen.escape(bytes, at);
                at = escape(bytes, at + 1, seen)?;
            }
            Some(_) => return Err(Fault::Malformed),
            None => {
                if at - begin > LONG_BYTES {
                    seen.long();
                }
                return Err(Fault::Torn);
            }
        }
    }
}

/// Past the bytes of a string that stand for themselves, sixteen at a time.
#[inline]
pub(super) fn plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(lane) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let lane = u8x16::new(*lane);
        let is = |byte| lane.simd_eq(u8x16::splat(byte));
        let control = lane.min(u8x16::splat(0x1f)).simd_eq(lane);
        let hits = (is(b'"') | is(b'\\') | control).to_bitmask();
        if hits != 0 {
            return at + hits.trailing_zeros() as usize;
        }
        at += 16;
    }
    while let Some(0x20..=0x21 | 0x23..=0x5b | 0x5d..=0xff) = bytes.get(at) {
        at += 1;
    }
    at
}

/// Past an escape whose backslash is before `at`.
fn escape<W: Watch>(bytes: &[u8], at: usize, seen: &mut W) -> Result<usize, Fault> {
    match bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => {
            for digit in at + 1..at + 5 {
                match bytes.get(digit) {
                    Some(byte) if byte.is_ascii_hexdigit() => {}
                    Some(_) => return Err(Fault::Malformed),
                    None => return Err(Fault::Torn),
                }
            }
            let first = (bytes.get(at + 1), bytes.get(at + 2));
            if bytes.get(at + 1..at + 5) == Some(b"0000") {
                seen.hard();
            }
            if matches!(
                first,
                (Some(b'd' | b'D'), Some(b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F'))
            ) {
                seen.surrogate();
            }
            Ok(at + 5)
        }
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Torn),
    }
}

/// Past `word`, which begins at `at`, if it does.
#[inline]
pub(super) fn literal<const LEN: usize>(
    bytes: &[u8],
    at: usize,
    word: &[u8; LEN],
) -> Result<usize, Fault> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.first_chunk() == Some(word) {
        Ok(at + LEN)
    } else if word.starts_with(rest) {
        Err(Fault::Torn)
    } else {
        Err(Fault::Malformed)
    }
}
