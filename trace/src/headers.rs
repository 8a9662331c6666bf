//! Header fields, in one piece of memory of their exact size.
//!
//! A header map's values are cut from the buffer that they were read into, and keep all of it: with
//! pingora 4 KiB a message, and its table is more than a kilobyte beside that. A kept exchange
//! waits for its encoder, so it holds what was said and nothing else.

use std::fmt;

use http::HeaderMap;

/// What stands before each field: the lengths of its name and of its value.
const LENGTHS: usize = 2 * size_of::<u32>();

/// The header fields of one message, in their order. Names are in lower case.
#[derive(Default)]
pub struct Headers(Box<[u8]>);

impl Headers {
    /// A field's value, the first where there are several.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The same, where it is visible ASCII.
    pub fn text(&self, name: impl AsRef<str>) -> Option<&str> {
        self.get(name).and_then(visible)
    }

    /// The values of all fields of this name.
    pub fn all(&self, name: impl AsRef<str>) -> impl Iterator<Item = &[u8]> {
        self.iter()
            .filter(move |(one, _)| *one == name.as_ref().as_bytes())
            .map(|(_, value)| value)
    }

    /// Whether there is such a field.
    pub fn contains(&self, name: impl AsRef<str>) -> bool {
        self.get(name).is_some()
    }

    /// What they take in memory, in bytes.
    pub fn memory(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let name_len = length(&mut rest)?;
            let value_len = length(&mut rest)?;
            let (name, value);
            (name, rest) = rest.split_at_checked(name_len)?;
            (value, rest) = rest.split_at_checked(value_len)?;
            Some((name, value))
        })
    }
}

/// A value's text, where it is visible ASCII.
pub(crate) fn visible(value: &[u8]) -> Option<&str> {
    let is_visible = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    value
        .iter()
        .all(is_visible)
        .then(|| std::str::from_utf8(value).ok())
        .flatten()
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (length, after) = rest.split_first_chunk()?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Self {
        let fields = || {
            map.iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
        };
        let lengths = fields().map(|(name, value)| LENGTHS + name.len() + value.len());
        // Their exact size: no second allocation, here or below.
        let mut packed = Vec::with_capacity(lengths.sum());
        fields().for_each(|(name, value)| put(&mut packed, name, value));
        Self(packed.into())
    }
}

impl<'a, V: AsRef<[u8]>> Extend<(&'a str, V)> for Headers {
    fn extend<I: IntoIterator<Item = (&'a str, V)>>(&mut self, fields: I) {
        let mut packed = std::mem::take(&mut self.0).into_vec();
        let fields = fields.into_iter();
        fields.for_each(|(name, value)| put(&mut packed, name, value.as_ref()));
        self.0 = packed.into();
    }
}

impl<'a, V: AsRef<[u8]>> FromIterator<(&'a str, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, V)>>(fields: I) -> Self {
        let mut headers = Self::default();
        headers.extend(fields);
        headers
    }
}

fn put(packed: &mut Vec<u8>, name: &str, value: &[u8]) {
    // A field of 4 GiB is past every limit of a head.
    if let (Ok(name_len), Ok(value_len)) = (name.len().try_into(), value.len().try_into()) {
        packed.extend_from_slice(&u32::to_le_bytes(name_len));
        packed.extend_from_slice(&u32::to_le_bytes(value_len));
        packed.extend_from_slice(name.as_bytes());
        packed.extend_from_slice(value);
    }
}

/// Names alone: among the values are credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| String::from_utf8_lossy(name));
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_map_says_its_packed_form_says(
            fields in prop::collection::vec(("[a-c]{1,2}", "[ -~\u{e9}]{0,20}"), 0..12),
        ) {
            let parsed = fields.iter().map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
            });
            let map: HeaderMap = parsed.collect();
            let packed = Headers::from(&map);
            for name in ["a", "b", "c", "aa", "ab", "zz"] {
                let first = map.get(name);
                prop_assert_eq!(packed.get(name), first.map(HeaderValue::as_bytes));
                prop_assert_eq!(packed.text(name), first.and_then(|value| value.to_str().ok()));
                let all: Vec<_> = map.get_all(name).iter().map(HeaderValue::as_bytes).collect();
                prop_assert_eq!(packed.all(name).collect::<Vec<_>>(), all);
                prop_assert_eq!(packed.contains(name), map.contains_key(name));
            }
        }
    }

    #[test]
    fn a_value_is_not_printed() {
        let mut map = HeaderMap::new();
        map.insert("authorization", HeaderValue::from_static("Bearer s3cret"));
        let printed = format!("{:?}", Headers::from(&map));
        assert_eq!(printed, r#"["authorization"]"#);
    }
}
