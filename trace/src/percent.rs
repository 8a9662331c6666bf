//! Percent escapes undone (RFC 3986, section 2.1).

use std::borrow::Cow;

/// What a plus stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    /// A plus.
    Itself,
    /// A space, as forms write queries.
    Space,
}

/// The text without escapes. A broken escape stays as it is; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn unescaped(text: &str, plus: Plus) -> Cow<'_, str> {
    let spaced = plus == Plus::Space;
    if !text.bytes().any(|b| b == b'%' || spaced && b == b'+') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<2>().filter(|_| *byte == b'%');
        match digits.and_then(value) {
            Some(value) => {
                plain.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(if spaced && *byte == b'+' { b' ' } else { *byte });
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

fn value(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_broken_ones_stay() {
        let rows = [
            ("a", "a"),
            ("a%20b+c", "a b+c"),
            ("%C3%A4%zz%4", "ä%zz%4"),
            ("%+1%ff", "%+1\u{fffd}"),
        ];
        for (text, expect) in rows {
            assert_eq!(unescaped(text, Plus::Itself), expect);
        }
        assert_eq!(unescaped("a+%2B", Plus::Space), "a +");
    }
}
