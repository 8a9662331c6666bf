//! One JSON value as the bytes that it is written in.

use std::borrow::Cow;

use super::number;
use super::scan::{self, Blind};
use super::token;

/// One value's text, without the white space around it.
///
/// Looking into a value that is not well formed finds what stands before the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

/// An element of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// A number of a few digits.
    Number(f64),
    /// Anything else, other numbers too.
    Other(Raw<'a>),
}

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    pub(super) fn of(first: u8) -> Self {
        match first {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::String,
            b't' | b'f' => Self::Bool,
            b'n' => Self::Null,
            _ => Self::Number,
        }
    }
}

impl<'a> Raw<'a> {
    /// What it is.
    pub(crate) fn kind(self) -> Kind {
        Kind::of(self.0.first().copied().unwrap_or(b'n'))
    }

    /// Keys as written, without quotes, and values; of anything but an object, none.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a [u8], Raw<'a>)> {
        let mut rest = Walk::new(self.0, b'{');
        std::iter::from_fn(move || rest.entry())
    }

    /// The entries of a whole object: `None` for anything else, and for one with a fault in it.
    pub(crate) fn checked_entries(self) -> Option<Vec<(&'a [u8], Raw<'a>)>> {
        let mut rest = Walk::new(self.0, b'{');
        let mut entries = Vec::with_capacity(8);
        entries.extend(std::iter::from_fn(|| rest.entry()));
        (rest.bytes.get(rest.at..)?.trim_ascii() == b"}").then_some(entries)
    }

    /// The elements; of anything but an array, none.
    pub(crate) fn elements(self) -> impl Iterator<Item = Raw<'a>> {
        let mut rest = Walk::new(self.0, b'[');
        std::iter::from_fn(move || {
            let at = rest.next()?;
            rest.value(at)
        })
    }

    /// The same, with plain numbers read on the way.
    pub(crate) fn cells(self) -> impl Iterator<Item = Cell<'a>> {
        let mut rest = Walk::new(self.0, b'[');
        std::iter::from_fn(move || {
            let at = rest.next()?;
            match number::decimal(rest.bytes, at) {
                Some((number, end)) => {
                    rest.at = end;
                    Some(Cell::Number(number))
                }
                None => rest.value(at).map(Cell::Other),
            }
        })
    }

    /// The member of this name.
    pub(crate) fn get(self, name: &str) -> Option<Raw<'a>> {
        self.entries()
            .find_map(|(key, value)| (key == name.as_bytes()).then_some(value))
    }

    /// A string between its quotes, escapes as written.
    pub(crate) fn quoted(self) -> Option<&'a [u8]> {
        self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")
    }

    /// A string's meaning; unpaired surrogates become U+FFFD.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.quoted()?;
        if !inner.contains(&b'\\') {
            return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
        }
        let mended = super::mend_surrogates(self.0);
        serde_json::from_slice::<String>(mended.as_deref().unwrap_or(self.0))
            .ok()
            .map(Cow::Owned)
    }

    /// A whole number that fits; also one written as `12.0`.
    pub(crate) fn integer(self) -> Option<i64> {
        let text = std::str::from_utf8(self.0).ok()?;
        text.strip_suffix(".0").unwrap_or(text).parse().ok()
    }

    /// A number.
    pub(crate) fn float(self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        let number: f64 = std::str::from_utf8(self.0).ok()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// `true` or `false`.
    pub(crate) fn truth(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }
}

/// A walk over the direct children of one container.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    begun: bool,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], bracket: u8) -> Self {
        let bytes = if bytes.first() == Some(&bracket) {
            bytes
        } else {
            &[]
        };
        Self {
            bytes,
            at: 1,
            begun: false,
        }
    }

    /// Where the next child begins.
    fn next(&mut self) -> Option<usize> {
        let mut at = scan::space(self.bytes, self.at);
        if self.begun {
            if self.bytes.get(at) != Some(&b',') {
                return None;
            }
            at = scan::space(self.bytes, at + 1);
        }
        self.begun = true;
        match self.bytes.get(at)? {
            b']' | b'}' => None,
            _ => Some(at),
        }
    }

    fn entry(&mut self) -> Option<(&'a [u8], Raw<'a>)> {
        let key_at = self.next()?;
        self.bytes.get(key_at).filter(|byte| **byte == b'"')?;
        let key_end = token::string(self.bytes, key_at, &mut Blind).ok()?;
        let value = self.value(scan::colon(self.bytes, key_end).ok()?)?;
        Some((self.bytes.get(key_at + 1..key_end - 1)?, value))
    }

    fn value(&mut self, at: usize) -> Option<Raw<'a>> {
        self.at = scan::value(self.bytes, at, &mut Blind).ok()?;
        self.bytes.get(at..self.at).map(Raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_come_in_order_and_stop_at_the_first_fault() {
        let raw = Raw(br#"{ "a" : 1 , "b":[ 2, "x" ,null], "c":{}, "d": tru"#);
        let keys: Vec<_> = raw.entries().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"a", b"b", b"c"]);
        let elements: Vec<_> = raw.get("b").unwrap().elements().map(|raw| raw.0).collect();
        assert_eq!(elements, [b"2".as_slice(), b"\"x\"", b"null"]);
        assert_eq!(raw.elements().count(), 0);
        assert_eq!(Raw(b"[]").elements().count(), 0);
    }

    #[test]
    fn cells_are_the_elements() {
        let raw = Raw(br#"[ 1 , -2.5,"x",1e3, [4], 5]"#);
        let other = |text: &'static str| Cell::Other(Raw(text.as_bytes()));
        let (one, less, five) = (Cell::Number(1.0), Cell::Number(-2.5), Cell::Number(5.0));
        let expect = [one, less, other("\"x\""), other("1e3"), other("[4]"), five];
        assert_eq!(raw.cells().collect::<Vec<_>>(), expect);
        assert_eq!(Raw(b"[1, 2").cells().count(), 2);
        assert_eq!(Raw(b"{}").cells().count(), 0);
    }

    #[test]
    fn only_a_whole_object_is_checked() {
        for end in 0..=WHOLE.len() {
            let checked = Raw(&WHOLE[..end]).checked_entries();
            assert_eq!(checked.is_some(), end == WHOLE.len(), "{end}");
        }
        for bad in [
            "[]",
            "{} {}",
            "{\"a\":1,}",
            "{,}",
            "{a:1}",
            "{\"a\" 1}",
            "1",
            "",
        ] {
            assert!(Raw(bad.as_bytes()).checked_entries().is_none(), "{bad}");
        }
        assert_eq!(Raw(b"{ }").checked_entries(), Some(vec![]));
    }

    const WHOLE: &[u8] = br#"{"a" : 1 , "b":[ 2, "x" ,null], "c":{} }"#;

    #[test]
    fn scalars_are_read_as_what_they_are() {
        assert_eq!(Raw(br#""a\u00e9\n""#).text().unwrap(), "aé\n");
        assert_eq!(Raw(br#""\ud83d""#).text().unwrap(), "\u{fffd}");
        assert_eq!(Raw(b"12").text(), None);
        assert_eq!(Raw(b"12.0").integer(), Some(12));
        assert_eq!(Raw(b"1e400").float(), None);
        assert_eq!(Raw(b"\"1\"").float(), None);
        assert_eq!(Raw(b"0.5").float(), Some(0.5));
        assert_eq!(Raw(b"true").truth(), Some(true));
    }
}
