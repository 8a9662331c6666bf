//! One file of records: its name, and what is known of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::format::Beginning;
use super::walk::{Found, Walk, begin};

/// Where a record begins: segment, and offset in it. The order is that of writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// Records by their route's name.
pub(crate) type ByRoute = BTreeMap<Arc<str>, u64>;

/// A segment that is read from, and perhaps written to.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) salt: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where its records begin.
    pub(crate) begin: u64,
    /// How far it is written.
    pub(crate) end: u64,
    /// Records in it that were not read yet.
    pub(crate) unread: ByRoute,
}

/// A segment as it was found, and what is in it.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) segment: Segment,
    /// The destination, as its beginning says; `None` where that is damaged.
    pub(crate) name: Option<Vec<u8>>,
    /// Places that hold no record, the torn end included.
    pub(crate) gaps: u64,
    /// When the oldest record was offered, in milliseconds since 1970.
    pub(crate) oldest_ms: Option<u64>,
}

/// The file name of a segment. The salt is part of what its checksums are made of.
pub(crate) fn file_name(id: u64, salt: u32) -> String {
    format!("{id:020}-{salt:08x}.seg")
}

/// Id and salt from a file name; `None` for other files.
pub(crate) fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (id, salt) = name.strip_suffix(".seg")?.split_once('-')?;
    let plain = id.len() == 20 && salt.len() == 8;
    let parsed = (id.parse().ok()?, u32::from_str_radix(salt, 16).ok()?);
    (plain && file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// Counts what is in a segment from `from` on, without reading bodies. `None`: it is of another
/// version, and none of ours.
pub(crate) fn scan(
    disk: &dyn Disk,
    path: &Path,
    (id, salt): (u64, u32),
    from: u64,
    skip: &[Position],
) -> io::Result<Option<Scanned>> {
    let file = disk.open(path)?;
    let end = file.len()?;
    let (name, begin) = match begin(&*file)? {
        Beginning::Known { name, bytes } => (Some(name), bytes as u64),
        Beginning::Foreign => return Ok(None),
        // Its records may be sound all the same.
        Beginning::Damaged => (None, 0),
    };
    let mut walk = Walk::new(Arc::clone(&file), salt, from.max(begin));
    let mut unread = ByRoute::new();
    let (mut gaps, mut oldest_ms) = (0, None);
    loop {
        match walk.next(end)? {
            Found::Record { at, head } => {
                let offered = head.meta.offered_ms;
                oldest_ms = Some(oldest_ms.map_or(offered, |oldest: u64| oldest.min(offered)));
                let position = Position {
                    segment: id,
                    offset: at,
                };
                if !skip.contains(&position) {
                    *unread.entry(head.meta.route).or_default() += 1;
                }
            }
            Found::Gap { .. } => gaps += 1,
            Found::End => break,
        }
    }
    let segment = Segment {
        id,
        salt,
        file,
        begin,
        end,
        unread,
    };
    Ok(Some(Scanned {
        segment,
        name,
        gaps,
        oldest_ms,
    }))
}

/// The segments of a folder in their order: path, id, salt and size.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(PathBuf, u64, u32, u64)>> {
    let mut segments: Vec<_> = disk
        .list(folder)?
        .into_iter()
        .filter_map(|(name, bytes)| {
            let (id, salt) = parse_name(&name)?;
            Some((folder.join(name), id, salt, bytes))
        })
        .collect();
    segments.sort_by_key(|(_, id, ..)| *id);
    Ok(segments)
}
