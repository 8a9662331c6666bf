//! How far a destination's records are delivered, and its accounts so far: one small file.
//!
//! Both are written together, so that a trace is either pending or settled after a crash, never
//! both. The file is a line with a checksum, then JSON. Lost or damaged, it costs the accounts
//! and has delivered records sent again, which sinks store once.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::disk::{Disk, read_small};
use super::segment::Position;

const FILE: &str = "state";
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Everything before it is delivered.
    #[serde(with = "position")]
    pub(crate) acknowledged: Position,
    /// Delivered as well.
    #[serde(with = "positions")]
    pub(crate) done: Vec<Position>,
    /// Segments before it that are not: no process could read them when its turn was.
    #[serde(default)]
    pub(crate) left: Vec<u64>,
    /// By route.
    pub(crate) accounts: BTreeMap<Arc<str>, Settled>,
}

/// One route's account at this destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// Kept for it.
    pub(crate) kept: u64,
    /// By why, as far as that is known.
    #[serde(default)]
    pub(crate) because: BTreeMap<String, u64>,
    pub(crate) exported: u64,
    /// By reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// On disk when this was written.
    pub(crate) spooled: u64,
}

impl State {
    /// Whether all of a segment is delivered.
    pub(crate) fn is_delivered(&self, segment: u64) -> bool {
        segment < self.acknowledged.segment && !self.left.contains(&segment)
    }

    /// Where the records of a segment begin that are not delivered.
    pub(crate) fn first_offset(&self, segment: u64) -> u64 {
        if segment == self.acknowledged.segment {
            self.acknowledged.offset
        } else {
            0
        }
    }

    /// What the folder's file says; `Ok(None)` where there is none.
    pub(crate) fn load(disk: &dyn Disk, folder: &Path) -> io::Result<Option<Self>> {
        let content = match read_small(disk, &folder.join(FILE), FILE_BYTES_MAX) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let read = || {
            let text = std::str::from_utf8(&content).ok()?;
            let (crc, json) = text.split_once('\n')?;
            let sound = u32::from_str_radix(crc, 16).ok()? == crc32c::crc32c(json.as_bytes());
            sound.then(|| serde_json::from_str(json).ok()).flatten()
        };
        read()
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong"))
    }

    /// What the folder's file says; where it cannot be read, that is told, and it begins anew.
    pub(crate) fn recover(disk: &dyn Disk, folder: &Path) -> io::Result<Self> {
        match Self::load(disk, folder) {
            Ok(found) => Ok(found.unwrap_or_default()),
            Err(error) => {
                warn!(
                    folder = %folder.display(), %error,
                    "The spool's accounts cannot be read; traces that are there may be sent again."
                );
                // At once: segments are numbered anew, and the old position would stand above them.
                let anew = Self::default();
                anew.save(disk, folder)?;
                Ok(anew)
            }
        }
    }

    pub(crate) fn save(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let json = serde_json::to_string(self)?;
        let text = format!("{:08x}\n{json}", crc32c::crc32c(json.as_bytes()));
        disk.replace(&folder.join(FILE), text.as_bytes())
    }
}

impl Settled {
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Both together, for routes that are told apart no more.
    pub(crate) fn add(&mut self, other: &Self) {
        self.kept += other.kept;
        self.exported += other.exported;
        self.spooled += other.spooled;
        for (sum, more) in [
            (&mut self.because, &other.because),
            (&mut self.dropped, &other.dropped),
        ] {
            for (reason, count) in more {
                *sum.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

/// As `[segment, offset]`.
mod position {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Position;

    pub(super) fn serialize<S: Serializer>(at: &Position, to: S) -> Result<S::Ok, S::Error> {
        (at.segment, at.offset).serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Position, D::Error> {
        let (segment, offset) = Deserialize::deserialize(from)?;
        Ok(Position { segment, offset })
    }
}

/// As a list of `[segment, offset]`.
mod positions {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Position;

    pub(super) fn serialize<S: Serializer>(at: &[Position], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(at.iter().map(|at| (at.segment, at.offset)))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<Position>, D::Error> {
        let pairs: Vec<(u64, u64)> = Deserialize::deserialize(from)?;
        let position = |(segment, offset)| Position { segment, offset };
        Ok(pairs.into_iter().map(position).collect())
    }
}
