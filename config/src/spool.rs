//! `export.spool`: kept traces on disk, while a sink lags and across restarts.

use std::path::PathBuf;

use crate::{
    field::Field,
    kind::{self, Type},
};

/// A smaller quota has no room for a segment of every destination.
const BYTES_MIN: usize = 1 << 20;

/// Where traces wait on disk, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// The folder, used by one process alone.
    pub path: PathBuf,
    /// Maximum size of all segments in bytes; each destination has an equal share.
    pub max_bytes: usize,
    /// Which traces go there.
    pub when: SpoolWhen,
}

/// Which traces go to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolWhen {
    /// Those of a destination that is unavailable or too slow.
    Overflow,
    /// All of them, before they are sent.
    Always,
}

/// `None` if no folder is named, and for `never`.
pub(crate) fn read(field: &Field<'_>) -> Option<Spool> {
    let map = field.map();
    let path = map
        .key(
            "path",
            "Folder for traces on disk, used by one process alone.",
        )
        .otherwise("traces wait in memory alone")
        .example("spool")
        .place(Type::File);
    let max_bytes = map
        .key("max_bytes", "Maximum size of the traces on disk, of which each destination has an equal share; at least 1MiB.")
        .or("1GiB", kind::size().ensure(|bytes| *bytes >= BYTES_MIN, "must be at least 1MiB"));
    let when_key = map.key("when", "Whether traces go to disk when a sink lags (`overflow`), before they are sent (`always`), or not at all (`never`).");
    let when_field = when_key.field();
    let words = [
        ("overflow", Some(SpoolWhen::Overflow)),
        ("always", Some(SpoolWhen::Always)),
        ("never", None),
    ];
    let when = when_key.or("overflow", kind::words(&words));
    map.key(
        "when_full",
        "Policy for a full folder; so far, the newest trace is dropped.",
    )
    .or("drop_newest", kind::only("drop_newest"));
    if when == Some(SpoolWhen::Always) && !path.is_set() {
        when_field.fail("needs a folder: set `path`");
    }
    Some(Spool {
        path: path.file()?,
        max_bytes,
        when: when?,
    })
}
