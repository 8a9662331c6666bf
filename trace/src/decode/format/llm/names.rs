//! Members of a body by name, and the short texts in them.

use crate::decode::body::Document;
use crate::decode::json::Raw;
use crate::decode::text;

use super::Piece;

/// Names that a message gives (models, ids, finish reasons) are cut to this many bytes.
const NAME_BYTES_MAX: usize = 256;

/// Members of one object, by name.
#[derive(Debug, Default)]
pub(in crate::decode::format) struct Fields<'a>(Vec<(&'a [u8], Raw<'a>)>);

impl<'a> Fields<'a> {
    /// Of a body that is JSON, or begins as JSON: those that are whole. A list of one object
    /// stands for it.
    pub(in crate::decode::format) fn of(document: &'a Document) -> Self {
        let Some(outline) = document.outline() else {
            return Self::default();
        };
        let list = Raw(document.bytes.trim_ascii()).elements().next();
        match list {
            Some(only) => Self::of_object(only),
            None => Self(outline.whole_members(&document.bytes).collect()),
        }
    }

    /// Of one object.
    pub(in crate::decode::format) fn of_object(object: Raw<'a>) -> Self {
        Self(object.entries().collect())
    }

    /// Of a stream's piece.
    pub(super) fn of_piece(piece: &Piece<'a>) -> Self {
        Self(piece.entries.clone())
    }

    /// The member of this name.
    pub(in crate::decode::format) fn get(&self, name: &str) -> Option<Raw<'a>> {
        let found = |(key, value): &(&[u8], Raw<'a>)| (*key == name.as_bytes()).then_some(*value);
        self.0.iter().find_map(found)
    }

    /// Returns all of them, keys as written.
    pub(in crate::decode::format) fn members(&self) -> &[(&'a [u8], Raw<'a>)] {
        &self.0
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Raw<'a>)> {
        self.0.iter().copied()
    }
}

/// Returns the object that [`Fields::of`] reads, as it is written.
pub(super) fn object(document: &Document) -> Raw<'_> {
    let whole = Raw(document.bytes.trim_ascii());
    whole.elements().next().unwrap_or(whole)
}

/// A short string; an empty one names nothing.
pub(in crate::decode::format) fn name(raw: Raw<'_>) -> Option<String> {
    let name = raw.text()?;
    (!name.is_empty()).then(|| text::cut(&name, NAME_BYTES_MAX).to_owned())
}

/// A number or such, as written.
pub(in crate::decode::format) fn scalar(raw: Raw<'_>) -> String {
    text::cut(&String::from_utf8_lossy(raw.0), NAME_BYTES_MAX).to_owned()
}
