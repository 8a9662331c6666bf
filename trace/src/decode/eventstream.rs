//! Amazon's binary event stream (`application/vnd.amazon.eventstream`), from the whole stream.
//!
//! A frame is its length, the length of its headers, a CRC-32 of those eight bytes, the headers,
//! a payload, and a CRC-32 of all before it, numbers with the highest byte first. A header is a
//! name after its length, and a value after its type: of strings (7) two bytes of length and
//! the text.

use flate2::Crc;

/// Lengths and their checksum.
const PRELUDE_BYTES: usize = 12;

/// The checksum at a frame's end.
const CHECKSUM_BYTES: usize = 4;

/// What a frame says of itself, and what it carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// `:event-type`; empty where there is none.
    pub(crate) event: &'a [u8],
    /// `:exception-type`, or the `:error-code` of an error; empty where there is none.
    pub(crate) exception: &'a [u8],
    /// `:error-message`, the words of an error; empty where there is none.
    pub(crate) message: &'a [u8],
    /// What it carries.
    pub(crate) payload: &'a [u8],
    /// Where it ends in the stream.
    pub(crate) end: usize,
}

/// Why a frame cannot be read, nor what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A length or a checksum that cannot be.
    Malformed,
    /// The stream ends in it.
    Torn,
}

impl<'a> Frame<'a> {
    /// What kind of event, or exception, it is.
    pub(crate) fn name(&self) -> &'a [u8] {
        if self.exception.is_empty() {
            self.event
        } else {
            self.exception
        }
    }
}

/// The frames, in order, up to the first that is broken.
pub(crate) fn frames(stream: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, Broken>> {
    let mut at = 0;
    let mut broken = false;
    std::iter::from_fn(move || {
        let rest = stream
            .get(at..)
            .filter(|rest| !rest.is_empty() && !broken)?;
        let frame = frame(rest, at);
        match &frame {
            Ok(frame) => at = frame.end,
            Err(_) => broken = true,
        }
        Some(frame)
    })
}

fn frame(rest: &[u8], at: usize) -> Result<Frame<'_>, Broken> {
    let prelude = rest.get(..PRELUDE_BYTES).ok_or(Broken::Torn)?;
    let (lengths, checksum) = prelude.split_at(PRELUDE_BYTES - CHECKSUM_BYTES);
    if number(checksum) != crc(lengths) {
        return Err(Broken::Malformed);
    }
    let (total, headers) = lengths.split_at(4);
    let (total, headers) = (number(total) as usize, number(headers) as usize);
    let inner = total
        .checked_sub(PRELUDE_BYTES + CHECKSUM_BYTES)
        .filter(|inner| headers <= *inner)
        .ok_or(Broken::Malformed)?;
    let whole = rest.get(..total).ok_or(Broken::Torn)?;
    let (signed, checksum) = whole.split_at(PRELUDE_BYTES + inner);
    if number(checksum) != crc(signed) {
        return Err(Broken::Malformed);
    }
    let (headers, payload) = signed
        .get(PRELUDE_BYTES..)
        .and_then(|inner| inner.split_at_checked(headers))
        .ok_or(Broken::Malformed)?;
    let mut frame = Frame {
        event: b"",
        exception: b"",
        message: b"",
        payload,
        end: at + total,
    };
    read_headers(headers, &mut frame).ok_or(Broken::Malformed)?;
    Ok(frame)
}

/// Picks the headers that matter; `None` where they are broken.
fn read_headers<'a>(mut rest: &'a [u8], frame: &mut Frame<'a>) -> Option<()> {
    while let Some((len, tail)) = rest.split_first() {
        let (name, tail) = tail.split_at_checked(usize::from(*len))?;
        let (kind, tail) = tail.split_first()?;
        let (len, tail) = match kind {
            0 | 1 => (0, tail),
            2 => (1, tail),
            3 => (2, tail),
            4 => (4, tail),
            5 | 8 => (8, tail),
            9 => (16, tail),
            6 | 7 => {
                let (len, tail) = tail.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*len)), tail)
            }
            _ => return None,
        };
        let (value, tail) = tail.split_at_checked(len)?;
        match name {
            b":event-type" => frame.event = value,
            b":exception-type" | b":error-code" => frame.exception = value,
            b":error-message" => frame.message = value,
            _ => {}
        }
        rest = tail;
    }
    Some(())
}

/// Four bytes as a number; zero for any other count of bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_be_bytes)
}

/// The checksum that gzip has, too.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::frame_of;

    #[test]
    fn frames_come_in_order_up_to_the_first_that_is_broken() {
        let one = frame_of(&[(":event-type", "chunk"), ("x", "")], b"{}");
        let two = frame_of(&[(":exception-type", "throttled")], b"{\"message\":\"no\"}");
        let stream = [one.clone(), two].concat();
        let seen: Vec<_> = frames(&stream).map(|frame| frame.unwrap().name()).collect();
        assert_eq!(seen, [b"chunk".as_slice(), b"throttled"]);
        for end in 1..one.len() {
            let torn: Vec<_> = frames(&one[..end]).collect();
            assert_eq!(torn, [Err(Broken::Torn)], "{end}");
        }
        for at in 0..one.len() {
            let mut damaged = one.clone();
            damaged[at] ^= 0x10;
            let seen: Vec<_> = frames(&damaged).collect();
            assert_eq!(seen, [Err(Broken::Malformed)], "{at}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_malformed() {
        let mut short = vec![0, 0, 0, 15, 0, 0, 0, 0];
        short.extend_from_slice(&crc(&short).to_be_bytes());
        assert_eq!(frames(&short).collect::<Vec<_>>(), [Err(Broken::Malformed)]);
        let mut bad_header = frame_of(&[], b"\x05ab");
        bad_header[7] = 3;
        let lengths = crc(&bad_header[..8]).to_be_bytes();
        bad_header[8..12].copy_from_slice(&lengths);
        let end = bad_header.len() - 4;
        let whole = crc(&bad_header[..end]).to_be_bytes();
        bad_header[end..].copy_from_slice(&whole);
        assert_eq!(
            frames(&bad_header).collect::<Vec<_>>(),
            [Err(Broken::Malformed)]
        );
    }
}
