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
    match plain_number(bytes, start) {
        Some(end) => Ok(end),
        None => any_number(bytes, start, seen),
    }
}

/// Past a number without an exponent that ends within 23 bytes, as nearly all in frames do. One
/// bit for each byte says where the digits are, so that no branch depends on a number's length.
#[inline]
fn plain_number(bytes: &[u8], start: usize) -> Option<usize> {
    let window = bytes.get(start..)?.first_chunk::<24>()?;
    let mut digits = 0;
    for (index, word) in window.as_chunks::<8>().0.iter().enumerate() {
        digits |= digit_bits(u64::from_le_bytes(*word)) << (8 * index);
    }
    let run = |from: usize| (digits >> from).trailing_ones() as usize;
    let minus = usize::from(window.first() == Some(&b'-'));
    let whole = run(minus);
    let mut end = minus + whole;
    if whole == 0 || whole > 1 && window.get(minus) == Some(&b'0') {
        return None;
    }
    if window.get(end) == Some(&b'.') {
        let fraction = run(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    matches!(window.get(end), Some(b',' | b']' | b'}' | b' ')).then_some(start + end)
}

/// Bit `i`: whether byte `i` of the word, the lowest first, is a digit.
#[inline]
fn digit_bits(word: u64) -> u32 {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    const REST: u64 = u64::from_ne_bytes([0x76; 8]);
    // Each byte's lowest bit goes to its place in the highest byte; no other product gets there.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    // A digit's byte becomes 0 to 9; adding 0x76 sets the high bit of all that is above.
    let value = word ^ ZEROS;
    let digits = !((value & LOW).wrapping_add(REST) | value) & !LOW;
    ((digits >> 7).wrapping_mul(GATHER) >> 56) as u32
}

/// Past a number of any form.
fn any_number(bytes: &[u8], start: usize, seen: &mut Seen) -> Result<usize, Fault> {
    let whole = start + usize::from(bytes.get(start) == Some(&b'-'));
    if whole > start && bytes.get(whole) == Some(&b'I') {
        seen.non_finite = true;
        return literal(bytes, start, b"-Infinity");
    }
    let mut at = digits(bytes, whole)?;
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

/// Past one digit or more.
fn digits(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let rest = bytes.get(start..).unwrap_or_default();
    let run = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.first() {
        _ if run > 0 => Ok(start + run),
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Torn),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_a_digit_or_not_whatever_stands_beside_it() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                for beside in [b'0', b'9', b'/', b':', 0x00, 0xff] {
                    let mut word = [beside; 8];
                    word[place] = byte;
                    let bit = digit_bits(u64::from_le_bytes(word)) >> place & 1;
                    assert_eq!(bit == 1, byte.is_ascii_digit(), "{word:?} {place}");
                }
            }
        }
    }

    #[test]
    fn the_short_way_ends_numbers_where_the_long_way_does() {
        let parts = [
            "", "-", "0", "7", "12345678", ".", ".5", "e5", ",", "]", " ", "x", "I",
        ];
        for first in parts {
            for second in parts {
                for third in parts {
                    for fourth in parts {
                        let text =
                            format!("{first}{second}{third}{fourth}, 1, 2, 3, 4, 5, 6, 7, 8, 9");
                        let text = text.as_bytes();
                        let long = any_number(text, 0, &mut Seen::default());
                        if let Some(end) = plain_number(text, 0) {
                            assert_eq!(long, Ok(end), "{:?}", String::from_utf8_lossy(text));
                        }
                    }
                }
            }
        }
    }
}
