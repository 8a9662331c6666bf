//! `export.spool`: kept traces on disk, for sinks that lag and processes that die.

use std::path::PathBuf;

use crate::{field::Field, units};

/// Below this a quota could not hold a segment of every destination.
const BYTES_MIN: usize = 1 << 20;

/// Where traces wait on disk, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// The folder, for one process alone.
    pub path: PathBuf,
    /// Bytes of all segments at most; each destination has an equal share.
    pub max_bytes: usize,
    /// Which traces go there.
    pub when: SpoolWhen,
}

/// Which traces go to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolWhen {
    /// Those of a destination that does not take them, or not fast enough.
    Overflow,
    /// All of them, before they are sent.
    Always,
}

/// `None` where no folder is named, and for `never`.
pub(crate) fn read(field: &Field<'_>) -> Option<Spool> {
    let map = field.map();
    let path = map.field("path");
    let when_field = map.field("when");
    let words = [
        ("overflow", Some(SpoolWhen::Overflow)),
        ("always", Some(SpoolWhen::Always)),
        ("never", None),
    ];
    let when = when_field.choice(Some(SpoolWhen::Overflow), &words);
    let max_bytes = map.field("max_bytes").or(1 << 30, quota);
    map.field("when_full").not_yet("drop_newest");
    if when == Some(SpoolWhen::Always) && !path.is_set() {
        when_field.fail("needs a folder: set `path`");
    }
    let path = path.file()?;
    Some(Spool {
        path,
        max_bytes,
        when: when?,
    })
}

fn quota(text: &str) -> Result<usize, String> {
    match units::bytes(text)? {
        bytes if bytes >= BYTES_MIN => Ok(bytes),
        _ => Err("must be at least 1MiB".to_owned()),
    }
}
