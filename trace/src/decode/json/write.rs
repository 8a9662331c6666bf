//! Text to JSON strings, and escapes that no reader can use made readable.

use super::token;

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len() + text.len() / 16 + 2);
    push_quoted(&mut json, text);
    String::from_utf8(json).unwrap_or_default()
}

/// Appends `text` as a JSON string.
pub(crate) fn push_quoted(json: &mut Vec<u8>, text: &str) {
    json.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest.split_at(token::plain(rest, 0));
        json.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else {
            break;
        };
        match byte {
            b'"' => json.extend_from_slice(b"\\\""),
            b'\\' => json.extend_from_slice(b"\\\\"),
            b'\n' => json.extend_from_slice(b"\\n"),
            b'\r' => json.extend_from_slice(b"\\r"),
            b'\t' => json.extend_from_slice(b"\\t"),
            control => {
                let digit = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied();
                json.extend_from_slice(b"\\u00");
                json.extend(digit(control >> 4));
                json.extend(digit(control & 15));
            }
        }
        rest = tail;
    }
    json.push(b'"');
}

/// JSON text with each unpaired surrogate escape replaced by that of U+FFFD; `None` where there
/// is none. MLflow reads `"\ud83d"` into a string that no database takes, and refuses the batch.
pub(crate) fn mend_surrogates(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(skip) = json.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += skip;
        match surrogate(json, at) {
            None => at += 2,
            Some(0xd800..=0xdbff) if surrogate(json, at + 6).is_some_and(|low| low >= 0xdc00) => {
                at += 12;
            }
            Some(_) => {
                let copy = mended.get_or_insert_with(|| json.to_vec());
                if let Some(digits) = copy.get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                at += 6;
            }
        }
    }
    mended
}

/// JSON text with U+FFFD in place of each NUL; `None` where there is none. PostgreSQL has no text
/// with a NUL: an MLflow server on it answers 500 to a batch in which a preview would hold one.
pub(crate) fn without_nul(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(skip) = json.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += skip;
        if json.get(at..at + 6) != Some(b"\\u0000") {
            at += 2;
            continue;
        }
        let copy = mended.get_or_insert_with(|| json.to_vec());
        if let Some(digits) = copy.get_mut(at + 2..at + 6) {
            digits.copy_from_slice(b"fffd");
        }
        at += 6;
    }
    mended
}

/// The surrogate that is escaped at `at`, if one is.
fn surrogate(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xd800..=0xdfff).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_quoting() {
        let text: String = (0..0x300)
            .filter_map(char::from_u32)
            .chain("😀\u{2028}".chars())
            .collect();
        assert_eq!(
            serde_json::from_str::<String>(&quoted(&text)).unwrap(),
            text
        );
        assert_eq!(quoted(""), "\"\"");
    }

    #[track_caller]
    fn check(json: &str, mended: Option<&str>) {
        let got = mend_surrogates(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(got.as_deref(), mended, "{json}");
    }

    #[test]
    fn only_what_means_nul_is_replaced() {
        for (json, expect) in [
            (r#"["\\u0000","\u0001"]"#, None),
            (r#""\u0000\\\u0000""#, Some(r#""\ufffd\\\ufffd""#)),
        ] {
            let got = without_nul(json.as_bytes());
            let got = got.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(got.as_deref(), expect, "{json}");
        }
    }

    #[test]
    fn only_unpaired_surrogates_are_replaced() {
        check(r#""plain \n \u00e9""#, None);
        check(r#""\ud83d\ude00""#, None);
        check(r#""\uD83D\uDE00""#, None);
        check(r#""\\ud83d""#, None);
        check(r#""\ud83d""#, Some(r#""\ufffd""#));
        check(r#""\ude00\ud83d""#, Some(r#""\ufffd\ufffd""#));
        check(r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#));
        check(r#""\ud83dx""#, Some(r#""\ufffdx""#));
    }
}
