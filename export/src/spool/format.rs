//! The bytes of a segment. Sans-io.
//!
//! ```text
//! segment  magic "OFPSPOOL" · version u16 · name length u16 · name · crc32c u32, then records
//! record   marker u32 · meta length u16 · 0 u16 · body length u32 · body crc32c u32
//!          · head crc32c u32 · meta · body
//! meta     trace id 16 bytes · time of the offer, ms since 1970, u64 · route's name
//! ```
//!
//! Numbers are little-endian. The name says for which destination the records are, as JSON. The
//! head's checksum covers the 16 bytes before it and the meta, so that records can be counted by
//! route without reading bodies. Both checksums of a record begin with the segment's salt,
//! which stands in its file name: what looks like a record inside a body, or was left on the
//! device by another file, is not taken for one.

use std::sync::Arc;

use offpath_trace::TraceId;

/// What every segment begins with.
pub(crate) const MAGIC: &[u8; 8] = b"OFPSPOOL";
/// The format that this version writes, and the only one that it reads.
pub(crate) const VERSION: u16 = 1;
/// What every record begins with: no UTF-8 text holds it.
pub(crate) const MARKER: [u8; 4] = [0xFE, 0xD1, b'r', 0xFF];

/// Bytes of a record's head before its meta.
pub(crate) const HEAD_BYTES: usize = 20;
/// Bytes of meta before the route's name.
const META_FIXED_BYTES: usize = 24;
/// Longest meta: a route's name has 100 bytes at most.
pub(crate) const META_BYTES_MAX: usize = 1024;
/// Longest name of a destination, as JSON.
pub(crate) const NAME_BYTES_MAX: usize = 16 << 10;
/// Magic, version, name length.
pub(crate) const SEGMENT_FIXED_BYTES: usize = 12;

/// What a record says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) trace_id: TraceId,
    /// When it was offered, in milliseconds since 1970.
    pub(crate) offered_ms: u64,
    pub(crate) route: Arc<str>,
}

/// A record's head, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) meta: Meta,
    pub(crate) meta_bytes: usize,
    pub(crate) body_bytes: u32,
    pub(crate) body_crc: u32,
}

/// What stands at the beginning of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A segment of this version; records begin here. The name may be anything.
    Known { name: Vec<u8>, bytes: usize },
    /// A segment of another version.
    Foreign,
    /// No segment's beginning.
    Damaged,
}

/// The beginning of a segment for the destination of this name.
pub(crate) fn beginning(name: &[u8]) -> Vec<u8> {
    debug_assert!(name.len() <= NAME_BYTES_MAX, "names are bounded");
    let mut bytes = Vec::with_capacity(SEGMENT_FIXED_BYTES + name.len() + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let name_bytes = u16::try_from(name.len()).unwrap_or(0);
    bytes.extend_from_slice(&name_bytes.to_le_bytes());
    bytes.extend_from_slice(name);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads the beginning of a segment from its first bytes.
pub(crate) fn read_beginning(bytes: &[u8]) -> Beginning {
    let read = || {
        let version = u16::from_le_bytes(array(bytes, 8)?);
        let name_bytes = usize::from(u16::from_le_bytes(array(bytes, 10)?));
        let end = SEGMENT_FIXED_BYTES + name_bytes;
        let crc = u32::from_le_bytes(array(bytes, end)?);
        let sound = bytes.starts_with(MAGIC) && crc32c::crc32c(bytes.get(..end)?) == crc;
        let name = bytes.get(SEGMENT_FIXED_BYTES..end)?.to_vec();
        sound.then_some((version, name, end + 4))
    };
    match read() {
        Some((VERSION, name, bytes)) => Beginning::Known { name, bytes },
        Some(_) => Beginning::Foreign,
        None => Beginning::Damaged,
    }
}

/// Head and meta of a record with this body; `None` where it is longer than a record can be.
pub(crate) fn head(salt: u32, meta: &Meta, body: &[u8]) -> Option<Vec<u8>> {
    let route = meta.route.as_bytes();
    let meta_bytes = META_FIXED_BYTES + route.len();
    if meta_bytes > META_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES + meta_bytes);
    bytes.extend_from_slice(&MARKER);
    bytes.extend_from_slice(&u16::try_from(meta_bytes).ok()?.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c_append(salt, body).to_le_bytes());
    let mut tail = Vec::with_capacity(meta_bytes);
    tail.extend_from_slice(meta.trace_id.as_bytes());
    tail.extend_from_slice(&meta.offered_ms.to_le_bytes());
    tail.extend_from_slice(route);
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(salt, &bytes), &tail);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&tail);
    Some(bytes)
}

/// Reads head and meta of a record from its first bytes; `None` where they are none, or cut.
pub(crate) fn read_head(salt: u32, bytes: &[u8]) -> Option<Head> {
    if !bytes.starts_with(&MARKER) {
        return None;
    }
    let meta_bytes = usize::from(u16::from_le_bytes(array(bytes, 4)?));
    if !(META_FIXED_BYTES..=META_BYTES_MAX).contains(&meta_bytes) {
        return None;
    }
    let meta = bytes.get(HEAD_BYTES..HEAD_BYTES + meta_bytes)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(salt, bytes.get(..16)?), meta);
    if crc != u32::from_le_bytes(array(bytes, 16)?) {
        return None;
    }
    Some(Head {
        meta: Meta {
            trace_id: TraceId::from_random(u128::from_be_bytes(array(meta, 0)?)),
            offered_ms: u64::from_le_bytes(array(meta, 16)?),
            route: std::str::from_utf8(meta.get(META_FIXED_BYTES..)?)
                .ok()?
                .into(),
        },
        meta_bytes,
        body_bytes: u32::from_le_bytes(array(bytes, 8)?),
        body_crc: u32::from_le_bytes(array(bytes, 12)?),
    })
}

impl Head {
    /// Bytes from the record's beginning to its body.
    pub(crate) fn bytes(&self) -> u64 {
        (HEAD_BYTES + self.meta_bytes) as u64
    }

    /// Bytes of the whole record.
    pub(crate) fn record_bytes(&self) -> u64 {
        self.bytes() + u64::from(self.body_bytes)
    }

    /// Whether this is the record's body.
    pub(crate) fn fits(&self, salt: u32, body: &[u8]) -> bool {
        crc32c::crc32c_append(salt, body) == self.body_crc
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meta() -> Meta {
        Meta {
            trace_id: TraceId::from_random(7),
            offered_ms: 1_700_000_000_000,
            route: "chät".into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = head(9, &meta(), b"body").unwrap();
        let read = read_head(9, &bytes).unwrap();
        assert_eq!((&read.meta, read.body_bytes), (&meta(), 4));
        assert!(read.fits(9, b"body") && !read.fits(9, b"bodY"));
        assert_eq!(read.bytes(), bytes.len() as u64);
        let name = br#"{"sink":"mlflow"}"#;
        let begun = beginning(name);
        let expect = Beginning::Known {
            name: name.to_vec(),
            bytes: begun.len(),
        };
        assert_eq!(read_beginning(&begun), expect);
    }

    #[test]
    fn another_version_is_foreign_and_not_damaged() {
        let mut begun = beginning(b"n");
        begun[8] = 2;
        assert_eq!(read_beginning(&begun), Beginning::Damaged);
        let end = begun.len() - 4;
        let crc = crc32c::crc32c(&begun[..end]).to_le_bytes();
        begun[end..].copy_from_slice(&crc);
        assert_eq!(read_beginning(&begun), Beginning::Foreign);
    }

    #[test]
    fn a_record_of_another_segment_is_none() {
        let bytes = head(9, &meta(), b"body").unwrap();
        assert_eq!(read_head(10, &bytes), None);
    }

    proptest! {
        #[test]
        fn no_flipped_bit_and_no_cut_goes_unnoticed(bit in 0_usize..400, cut in 0_usize..50) {
            let sound = head(9, &meta(), b"body").unwrap();
            let mut bytes = sound.clone();
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
                prop_assert_eq!(read_head(9, &bytes), None);
            }
            if cut < sound.len() {
                prop_assert_eq!(read_head(9, &sound[..cut]), None);
            }
        }

        #[test]
        fn whatever_stands_there_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(read_head(0, &bytes), None);
            prop_assert_eq!(read_beginning(&bytes), Beginning::Damaged);
        }
    }
}
