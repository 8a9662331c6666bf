//! Strings, numbers and names: where they end, eight bytes and more at a time.

use super::scan::{Fault, Seen};

/// A longer number than this, in bytes, is a fault.
const NUMBER_BYTES_MAX: usize = 4096;

/// A string of more bytes is told of: someone may want to look at it.
const LONG_BYTES: usize = 512;

/// Past the string whose opening quote is at `at`.
pub(super) fn string(bytes: &[u8], at: usize, seen: &mut Seen) -> Result<usize, Fault> {
    let begin = at;
    let mut at = at + 1;
    loop {
        at = plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => {
                seen.long |= at - begin > LONG_BYTES;
                return Ok(at + 1);
            }
            Some(b'\\') => at = escape(bytes, at + 1, seen)?,
            Some(_) => return Err(Fault::Malformed),
            None => {
                seen.long |= at - begin > LONG_BYTES;
                return Err(Fault::Torn);
            }
        }
    }
}

/// Past the bytes of a string that stand for themselves, eight at a time.
#[inline]
pub(super) fn plain(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // Exact up to the first hit, which is all that is asked: a borrow only runs upward.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(word) = word(bytes, at) {
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = quote | backslash | control;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(0x20..=0x21 | 0x23..=0x5b | 0x5d..=0xff) = bytes.get(at) {
        at += 1;
    }
    at
}

/// Past an escape whose backslash is before `at`.
fn escape(bytes: &[u8], at: usize, seen: &mut Seen) -> Result<usize, Fault> {
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
            seen.surrogates |= matches!(
                first,
                (Some(b'd' | b'D'), Some(b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F'))
            );
            Ok(at + 5)
        }
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Torn),
    }
}

/// Past the number that begins at `start`.
#[inline]
pub(super) fn number(bytes: &[u8], start: usize, seen: &mut Seen) -> Result<usize, Fault> {
    let whole = start + usize::from(bytes.get(start) == Some(&b'-'));
    let mut at = match word(bytes, whole).map_or(0, leading_digits) {
        short @ 1..=7 => whole + short,
        _ if bytes.get(whole) == Some(&b'I') => {
            seen.non_finite = true;
            return literal(bytes, start, b"-Infinity");
        }
        _ => digits(bytes, whole)?,
    };
    if at - whole > 1 && bytes.get(whole) == Some(&b'0') {
        return Err(Fault::Malformed);
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits(bytes, at + 1 + usize::from(sign))?;
    }
    if at - start > NUMBER_BYTES_MAX {
        Err(Fault::LongNumber)
    } else {
        Ok(at)
    }
}

/// Past one digit or more. Long fractions are most of a numeric frame: their lengths differ
/// from number to number, so three words are measured at once, with no branch to mispredict.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    while let Some([first, second, third]) = three_words(bytes, at) {
        let (first, second, third) = (
            leading_digits(first),
            leading_digits(second),
            leading_digits(third),
        );
        let run = first
            + if first == 8 { second } else { 0 }
            + if first + second == 16 { third } else { 0 };
        at += run;
        if run < 24 {
            return if at > start {
                Ok(at)
            } else {
                Err(Fault::Malformed)
            };
        }
    }
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    match bytes.get(at) {
        _ if at > start => Ok(at),
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Torn),
    }
}

/// How many of a word's first bytes are digits.
#[inline]
fn leading_digits(word: u64) -> usize {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    const REST: u64 = u64::from_ne_bytes([0x76; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // A digit's byte becomes 0 to 9; adding 0x76 sets the high bit of all that is above. A
    // carry runs upward only, past the first byte that is no digit.
    let value = word ^ ZEROS;
    let others = (value.wrapping_add(REST) | value) & HIGH;
    others.trailing_zeros() as usize / 8
}

/// Past `word`, which begins at `at`, if it does.
pub(super) fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, Fault> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.starts_with(word) {
        Ok(at + word.len())
    } else if word.starts_with(rest) {
        Err(Fault::Torn)
    } else {
        Err(Fault::Malformed)
    }
}

/// The eight bytes at `at`, the first lowest.
#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*eight))
}

#[inline]
fn three_words(bytes: &[u8], at: usize) -> Option<[u64; 3]> {
    let (first, rest) = bytes
        .get(at..)?
        .first_chunk::<24>()?
        .split_first_chunk::<8>()?;
    let (second, rest) = rest.split_first_chunk::<8>()?;
    let third = rest.first_chunk::<8>()?;
    Some([*first, *second, *third].map(u64::from_le_bytes))
}
