//! Trace and span ids, and the `traceparent` header.
//!
//! Source: W3C Trace Context, section 3.2 (<https://www.w3.org/TR/trace-context/#traceparent-header>).

use std::fmt;

/// 16 bytes, not all zero. Displays as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// 8 bytes, not all zero. Displays as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// What a `traceparent` header says: whose child the receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace that the sender takes part in.
    pub trace_id: TraceId,
    /// The sender's span.
    pub span_id: SpanId,
    /// The sender's sampling decision (bit 0 of the flags).
    pub sampled: bool,
}

impl TraceId {
    /// An id of these bits; zero, which the standard forbids, becomes one.
    pub fn from_random(bits: u128) -> Self {
        Self(bits.max(1).to_be_bytes())
    }

    /// The id's bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// An id of these bits; zero, which the standard forbids, becomes one.
    pub fn from_random(bits: u64) -> Self {
        Self(bits.max(1).to_be_bytes())
    }

    /// The id's bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl TraceContext {
    /// Reads a `traceparent` value. `None` for anything that section 3.2.2 calls invalid;
    /// a later version is read by its first four fields, as section 3.2.4 asks.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (head, rest) = value.split_at_checked(55)?;
        let version = parse_hex::<1>(head.get(..2)?)?;
        let dashes = [2, 35, 52].iter().all(|at| head.get(*at) == Some(&b'-'));
        let tail_fits = match version {
            [0xff] => false,
            [0x00] => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        if !dashes || !tail_fits {
            return None;
        }
        let trace_id = parse_hex::<16>(head.get(3..35)?)?;
        let span_id = parse_hex::<8>(head.get(36..52)?)?;
        let [flags] = parse_hex::<1>(head.get(53..55)?)?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            sampled: flags & 1 == 1,
        })
    }
}

/// Lower-case hex only: the standard forbids capitals in these fields.
fn parse_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(bytes)
}

impl fmt::Display for TraceContext {
    /// The header's value, version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id.fmt(f)?;
        f.write_str("-")?;
        self.span_id.fmt(f)?;
        f.write_str(if self.sampled { "-01" } else { "-00" })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, &mut [0; 32], f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, &mut [0; 16], f)
    }
}

/// All digits at once, as this is done on the request path; `digits` is twice as long.
fn write_hex(bytes: &[u8], digits: &mut [u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    hex::encode_to_slice(bytes, digits).map_err(|_| fmt::Error)?;
    f.write_str(str::from_utf8(digits).map_err(|_| fmt::Error)?)
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[track_caller]
    fn check(value: &str, valid: bool) {
        assert_eq!(
            TraceContext::parse(value.as_bytes()).is_some(),
            valid,
            "{value}"
        );
    }

    #[test]
    fn a_valid_header_round_trips() {
        let parsed = TraceContext::parse(GOOD.as_bytes()).unwrap();
        assert!(parsed.sampled);
        assert_eq!(parsed.to_string(), GOOD);
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(
            TraceContext::parse(unsampled.as_bytes())
                .unwrap()
                .to_string(),
            unsampled
        );
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        check(GOOD, true);
        check("", false);
        check(&GOOD[..54], false);
        check(&GOOD.to_uppercase(), false);
        check(&GOOD.replace('-', "_"), false);
        check(&format!("{GOOD}-extra"), false);
        check(&GOOD.replacen("00-", "01-", 1), true);
        check(&format!("{}-extra", GOOD.replacen("00-", "01-", 1)), true);
        check(&format!("{}extra", GOOD.replacen("00-", "01-", 1)), false);
        check(&GOOD.replacen("00-", "ff-", 1), false);
        check(
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            false,
        );
        check(
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            false,
        );
        check(
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            false,
        );
    }

    #[test]
    fn random_zero_is_never_an_id() {
        assert_eq!(TraceId::from_random(0).to_string(), format!("{:032x}", 1));
        assert_eq!(SpanId::from_random(0).to_string(), format!("{:016x}", 1));
    }
}
