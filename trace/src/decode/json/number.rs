//! Numbers: where they end, and what the short ones are.

use super::scan::{Fault, Watch};
use super::token::literal;

/// A longer number than this, in bytes, is a fault.
const NUMBER_BYTES_MAX: usize = 4096;

/// Fewer digits are an integer of 64 bits for sure.
pub(super) const LONG_DIGITS: usize = 19;

/// Past the number that begins at `start`.
#[inline]
pub(super) fn number<W: Watch>(bytes: &[u8], start: usize, seen: &mut W) -> Result<usize, Fault> {
    let window = bytes.get(start..).and_then(<[u8]>::first_chunk);
    match window.and_then(Plain::of) {
        Some(plain) => {
            if plain.whole >= LONG_DIGITS {
                seen.hard();
            }
            Ok(start + plain.end)
        }
        None => any_number(bytes, start, seen),
    }
}

/// The number that begins at `start`, and where it ends; `None` for one that is long or has an
/// exponent, and for what is no number.
#[inline]
pub(super) fn decimal(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    /// What every whole number up to is a float (IEEE 754).
    const EXACT_MAX: u64 = 1 << 53;
    /// Powers of ten are floats, too, and a quotient of two floats is the nearest to the truth.
    const TENS: [u64; 9] = [
        1,
        10,
        100,
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
    ];

    let rest = bytes.get(start..)?;
    let mut short = [0; WINDOW_BYTES];
    let window = match rest.first_chunk() {
        Some(window) => window,
        None => {
            short.get_mut(..rest.len())?.copy_from_slice(rest);
            &short
        }
    };
    let plain = Plain::of(window)?;
    let scale = *TENS.get(plain.fraction)?;
    let whole = few_digits(window, plain.minus, plain.whole)?;
    let fraction = few_digits(window, plain.minus + plain.whole + 1, plain.fraction)?;
    let digits = whole * scale + fraction;
    if digits > EXACT_MAX {
        return None;
    }
    let number = digits as f64 / scale as f64;
    // Signs cannot be predicted: a branch would cost more than all of this.
    let sign = (plain.minus as u64) << 63;
    let number = f64::from_bits(number.to_bits() | sign);
    Some((number, start + plain.end))
}

/// What is looked at of a number.
const WINDOW_BYTES: usize = 24;

/// A number without an exponent that ends within 23 bytes, as nearly all in frames do.
struct Plain {
    /// 1 where there is a sign.
    minus: usize,
    /// Digits before the point.
    whole: usize,
    /// Digits behind it.
    fraction: usize,
    end: usize,
}

impl Plain {
    /// One bit for each byte says where the digits are, so that no branch depends on a number's
    /// length.
    #[inline]
    fn of(window: &[u8; WINDOW_BYTES]) -> Option<Self> {
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
        let mut fraction = 0;
        if window.get(end) == Some(&b'.') {
            fraction = run(end + 1);
            if fraction == 0 {
                return None;
            }
            end += 1 + fraction;
        }
        matches!(window.get(end), Some(b',' | b']' | b'}' | b' ')).then_some(Self {
            minus,
            whole,
            fraction,
            end,
        })
    }
}

/// Up to eight digits as a number: neighbours are put together in pairs, fours and eights.
#[inline]
fn few_digits(window: &[u8; WINDOW_BYTES], from: usize, len: usize) -> Option<u64> {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    const HUNDRED_AND_MILLION: u64 = 100 + (1_000_000 << 32);
    const ONE_AND_TEN_THOUSAND: u64 = 1 + (10_000 << 32);

    if len == 0 {
        return Some(0);
    }
    let word = u64::from_le_bytes(*window.get(from..)?.first_chunk()?);
    // The last digit moves to the highest byte, and zeros come in before the first.
    let digits = (word ^ ZEROS) << 8_usize.checked_sub(len)?.checked_mul(8)?;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let outer = (pairs & PAIRS).wrapping_mul(HUNDRED_AND_MILLION);
    let inner = (pairs >> 16 & PAIRS).wrapping_mul(ONE_AND_TEN_THOUSAND);
    Some(outer.wrapping_add(inner) >> 32)
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
fn any_number<W: Watch>(bytes: &[u8], start: usize, seen: &mut W) -> Result<usize, Fault> {
    let whole = start + usize::from(bytes.get(start) == Some(&b'-'));
    if whole > start && bytes.get(whole) == Some(&b'I') {
        seen.non_finite();
        return literal(bytes, start, b"-Infinity");
    }
    let mut at = digits(bytes, whole)?;
    if at - whole > 1 && bytes.get(whole) == Some(&b'0') {
        return Err(Fault::Malformed);
    }
    if at - whole >= LONG_DIGITS {
        seen.hard();
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::Blind;
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
                        let long = any_number(text, 0, &mut Blind);
                        if let Some(plain) = text.first_chunk().and_then(Plain::of) {
                            assert_eq!(long, Ok(plain.end), "{:?}", String::from_utf8_lossy(text));
                        }
                    }
                }
            }
        }
    }

    #[track_caller]
    fn check(text: &str, padding: &str) {
        let read = decimal(format!("{text},{padding}").as_bytes(), 0);
        let (number, end) = read.unwrap_or_else(|| panic!("{text}"));
        let expect: f64 = text.parse().unwrap();
        assert_eq!(
            (number.to_bits(), end),
            (expect.to_bits(), text.len()),
            "{text}"
        );
    }

    #[test]
    fn decimals_are_read_as_the_standard_library_reads_them() {
        let rows = [
            "0",
            "-0",
            "-0.0",
            "7",
            "12345678",
            "-87654321",
            "0.1",
            "99999999.9999999",
            "0.00000001",
            "1.10",
            "3.00000003",
        ];
        for text in rows {
            check(text, "");
            check(text, "123456789012345678901234");
        }
        for other in [
            "123456789",
            "0.123456789",
            "1e5",
            "01",
            "99999999.99999999",
            "-",
            "",
            "x",
            "NaN",
        ] {
            assert_eq!(decimal(format!("{other},").as_bytes(), 0), None, "{other}");
        }
        assert_eq!(decimal(b"12", 0), None, "more may follow");
        assert_eq!(decimal(b"12", 3), None);
    }

    proptest! {
        #[test]
        fn any_decimal_is_read_exactly(text in "-?(0|[1-9][0-9]{0,6})(\\.[0-9]{1,8})?") {
            check(&text, "");
        }
    }
}
