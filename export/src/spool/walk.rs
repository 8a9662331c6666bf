//! Walks over the records of one segment, whatever state it is in.
//!
//! What is no record is skipped up to the next one, and told as a gap. Memory is one window.

use std::io;
use std::sync::Arc;

use super::disk::{DiskFile, read_up_to};
use super::format::{
    self, Beginning, HEAD_BYTES, Head, MARKER, META_BYTES_MAX, NAME_BYTES_MAX, SEGMENT_FIXED_BYTES,
};

/// Bytes looked through at one time for the next record.
const WINDOW_BYTES: usize = 64 << 10;
/// Bytes read for a head at first: enough for usual names of routes.
const HEAD_GUESS_BYTES: usize = 192;

/// A place in a segment, from which on records are looked for.
#[derive(Debug)]
pub(crate) struct Walk {
    file: Arc<dyn DiskFile>,
    salt: u32,
    at: u64,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record whose head is sound and whose body has its length.
    Record { at: u64, head: Head },
    /// So many bytes that belong to no record.
    Gap { bytes: u64 },
    /// Nothing more.
    End,
}

/// The name in a segment's beginning, where it is sound, and where records begin.
pub(crate) fn begin(file: &dyn DiskFile) -> io::Result<Beginning> {
    let mut bytes = vec![0; SEGMENT_FIXED_BYTES + NAME_BYTES_MAX + 4];
    let filled = read_up_to(file, &mut bytes, 0)?;
    bytes.truncate(filled);
    Ok(format::read_beginning(&bytes))
}

impl Walk {
    pub(crate) fn new(file: Arc<dyn DiskFile>, salt: u32, at: u64) -> Self {
        Self { file, salt, at }
    }

    /// Where the next look begins.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next record or gap before `end`.
    pub(crate) fn next(&mut self, end: u64) -> io::Result<Found> {
        if self.at >= end {
            return Ok(Found::End);
        }
        if let Some(head) = self.head_at(self.at, end)? {
            let at = self.at;
            self.at += head.record_bytes();
            return Ok(Found::Record { at, head });
        }
        let from = self.at;
        self.at = self.next_head(from + 1, end)?;
        Ok(Found::Gap {
            bytes: self.at - from,
        })
    }

    /// A record's body; `None` where it is not what its head says.
    pub(crate) fn body(&self, at: u64, head: &Head) -> io::Result<Option<Vec<u8>>> {
        let mut body = vec![0; usize::try_from(head.body_bytes).unwrap_or(usize::MAX)];
        let filled = read_up_to(&*self.file, &mut body, at + head.bytes())?;
        Ok((filled == body.len() && head.fits(self.salt, &body)).then_some(body))
    }

    fn head_at(&self, at: u64, end: u64) -> io::Result<Option<Head>> {
        let room = usize::try_from(end - at).unwrap_or(usize::MAX);
        let mut bytes = [0; HEAD_BYTES + META_BYTES_MAX];
        let whole = bytes.len();
        for guess in [HEAD_GUESS_BYTES, whole] {
            let Some(part) = bytes.get_mut(..guess.min(room)) else {
                break;
            };
            let filled = read_up_to(&*self.file, part, at)?;
            let part = part.get(..filled).unwrap_or_default();
            if let Some(head) = format::read_head(self.salt, part) {
                return Ok((head.record_bytes() <= end - at).then_some(head));
            }
            if !part.starts_with(&MARKER) || filled < guess {
                break;
            }
        }
        Ok(None)
    }

    /// Where the next sound head begins, from `from` on; `end` where there is none.
    fn next_head(&self, from: u64, end: u64) -> io::Result<u64> {
        let mut window = vec![0; WINDOW_BYTES];
        let mut at = from;
        while at < end {
            let room = usize::try_from(end - at).unwrap_or(usize::MAX);
            let part = window.get_mut(..room.min(WINDOW_BYTES)).unwrap_or_default();
            let filled = read_up_to(&*self.file, part, at)?;
            let part = part.get(..filled).unwrap_or_default();
            for (index, _) in part
                .windows(MARKER.len())
                .enumerate()
                .filter(|(_, bytes)| *bytes == MARKER)
            {
                let candidate = at + index as u64;
                if self.head_at(candidate, end)?.is_some() {
                    return Ok(candidate);
                }
            }
            if filled < MARKER.len() {
                break;
            }
            // A marker may lie across two windows.
            at += (filled - MARKER.len() + 1) as u64;
        }
        Ok(end)
    }
}
