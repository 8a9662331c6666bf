//! Credentials in text that is not JSON, or is not whole, by the names before them: members in
//! quotes, `name=value`, `name: value`, `<name>value`, `Bearer` and its token, and passwords in
//! URLs.

use std::ops::Range;

use super::names::{self, Kind, Place};
use super::{Counts, Mask, credential, value};

/// Values without quotes that are shorter than this, in bytes, are words.
const BARE_BYTES_MIN: usize = 4;

/// What is called `token` and is shorter is a word of a text, in bytes.
const TOKEN_BYTES_MIN: usize = 6;

/// Words that stand before a credential in `authorization` (RFC 9110, section 11.4).
const SCHEMES: [&[u8]; 5] = [b"basic", b"bearer", b"digest", b"negotiate", b"token"];

/// The longest user name and password in a URL, in bytes.
const USER_BYTES_MAX: usize = 512;

/// Which names are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Those in quotes: the text is what a person or a model said.
    Quoted,
    /// All.
    Any,
}

/// A quote, and the backslashes before it where the text is itself a string's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quote {
    mark: u8,
    escapes: usize,
}

/// The text with credentials masked; `None` where there are none.
pub(super) fn masked(
    text: &[u8],
    names: Names,
    mask: &Mask,
    counts: &mut Counts,
) -> Option<Vec<u8>> {
    let mut prose = Prose {
        text,
        mask,
        counts,
        without: Vec::new(),
        copied: 0,
    };
    let mut at = 0;
    while let Some(skip) = text.get(at..).and_then(next_sign) {
        let sign = at + skip;
        at = prose.at_sign(sign, names).unwrap_or(sign + 1).max(sign + 1);
    }
    prose.finish()
}

/// What may stand between a name and its value, or between `Bearer` and a token.
fn next_sign(text: &[u8]) -> Option<usize> {
    text.iter()
        .position(|byte| matches!(byte, b':' | b'=' | b'>' | b' '))
}

struct Prose<'a, 'm> {
    text: &'a [u8],
    mask: &'m Mask,
    counts: &'m mut Counts,
    without: Vec<u8>,
    copied: usize,
}

impl Prose<'_, '_> {
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 {
            return None;
        }
        let rest = self.text.get(self.copied..).unwrap_or_default();
        self.without.extend_from_slice(rest);
        Some(self.without)
    }

    /// Looks at what stands before and behind a sign. Gives where to go on, if that is not behind it.
    fn at_sign(&mut self, sign: usize, names: Names) -> Option<usize> {
        let any = names == Names::Any;
        match self.text.get(sign)? {
            b' ' => return any.then(|| self.authorization(sign)).flatten(),
            b':' if any && self.text.get(sign + 1..sign + 3) == Some(b"//") => {
                return self.user(sign + 3);
            }
            _ => {}
        }
        let (name, quote) = self.name(sign)?;
        if quote.is_none() && !any {
            return None;
        }
        // A parameter of a URL has the names of one.
        let before = sign
            .checked_sub(name.len() + 1)
            .and_then(|at| self.text.get(at));
        let place = match (quote, before) {
            (None, Some(b'?' | b'&')) => Place::Head,
            _ => Place::Member,
        };
        let name = std::str::from_utf8(name).ok()?;
        let kind = names::kind(name, place)?;
        let line = name.to_ascii_lowercase().ends_with("cookie");
        let mut at = sign + 1;
        // `=>` of Ruby and PHP.
        if self.text.get(at) == Some(&b'>') {
            at += 1;
        }
        let at = at + spaces(self.text.get(at..)?);
        match (kind, self.text.get(at)?) {
            (Kind::Credential | Kind::OwnHeaders, b'{' | b'[') if quote.is_some() => {
                self.container(at, quote)
            }
            // Whose headers they are cannot be seen here.
            (Kind::Headers, b'{') if any && quote.is_some() => self.container(at, quote),
            (Kind::Headers | Kind::OwnHeaders, _) => None,
            (Kind::Credential | Kind::Token, _) => {
                let value = self.value(sign, at, quote, line)?;
                let bare = value.start == at && self.text.get(at) != Some(&b'"');
                (any || !bare).then(|| self.replace(value, kind)).flatten()
            }
        }
    }

    /// The name before a sign, and the quote that closes it.
    fn name(&self, sign: usize) -> Option<(&[u8], Option<Quote>)> {
        let before = self.text.get(..sign)?.trim_ascii_end();
        let Some(mark) = before.last().filter(|byte| matches!(byte, b'"' | b'\'')) else {
            let name = names::before(before, before.len());
            return (!name.is_empty()).then_some((name, None));
        };
        let before = before.get(..before.len() - 1)?;
        let escapes = before
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        let name = names::before(before, before.len() - escapes);
        let quote = Quote {
            mark: *mark,
            escapes,
        };
        (!name.is_empty()).then_some((name, Some(quote)))
    }

    /// Where the value at `at` is, between its quotes where it has some. `line`: it may have several
    /// words.
    fn value(
        &self,
        sign: usize,
        at: usize,
        name: Option<Quote>,
        line: bool,
    ) -> Option<Range<usize>> {
        let rest = self.text.get(at..)?;
        let escapes = rest.iter().take_while(|byte| **byte == b'\\').count();
        if let Some(mark @ (b'"' | b'\'')) = rest.get(escapes) {
            // Of a name in quotes the value is in the same ones.
            if name.is_some_and(|name| name.escapes != escapes) {
                return None;
            }
            let quote = Quote {
                mark: *mark,
                escapes,
            };
            let begin = at + escapes + 1;
            return Some(begin..begin + quote.closes(self.text.get(begin..)?));
        }
        if name.is_some() {
            return None;
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>&,;{}[]()\\".contains(byte);
        let ends_line = |byte: &u8| byte.is_ascii_control() || b"\"'<>\\".contains(byte);
        let up_to = |ends: &dyn Fn(&u8) -> bool| rest.iter().position(ends).unwrap_or(rest.len());
        let mut len = up_to(&ends);
        let word = rest.get(..len)?;
        let scheme = SCHEMES
            .iter()
            .any(|scheme| word.eq_ignore_ascii_case(scheme));
        if line || scheme {
            len = up_to(&ends_line);
        }
        // Of `password: see below` no word is one.
        let told =
            line || self.text.get(sign) == Some(&b'=') || !word.iter().all(u8::is_ascii_lowercase);
        (told && (line || len >= BARE_BYTES_MIN)).then_some(at..at + len)
    }

    fn container(&mut self, at: usize, quote: Option<Quote>) -> Option<usize> {
        if quote.is_some_and(|quote| quote.escapes > 0) {
            // No reader of JSON reads it: up to the bracket that may close it.
            let rest = self.text.get(at..)?;
            let len = memchr::memchr2(b'}', b']', rest).map_or(rest.len(), |end| end + 1);
            return self.replace(at..at + len, Kind::Credential);
        }
        if credential::is_schema(self.text.get(at..)?, false) {
            return None;
        }
        let (end, json) = credential::whole(self.text, at, self.mask, self.counts);
        self.without
            .extend_from_slice(self.text.get(self.copied..at)?);
        self.without.extend_from_slice(&json);
        self.copied = end;
        Some(end)
    }

    /// A token behind `Bearer` or a pair behind `Basic`.
    fn authorization(&mut self, space: usize) -> Option<usize> {
        let scheme = names::before(self.text, space);
        if !scheme.eq_ignore_ascii_case(b"bearer") && !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let at = space + spaces(self.text.get(space..)?);
        let rest = self.text.get(at..)?;
        let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-._~+/=|".contains(byte);
        let len = rest.iter().take_while(belongs).count();
        let word = rest.get(..len)?;
        // The end of a sentence is none of a token.
        let word = word.strip_suffix(b".").unwrap_or(word);
        let (scheme, token) = (
            std::str::from_utf8(scheme).ok()?,
            std::str::from_utf8(word).ok()?,
        );
        // A word of small letters is one of a sentence.
        let told = !word.iter().all(u8::is_ascii_lowercase);
        (told && value::is_authorization(scheme, token))
            .then(|| self.replace(at..at + word.len(), Kind::Credential))
            .flatten()
    }

    /// A user name and a password in a URL, behind its `//`.
    fn user(&mut self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        let rest = rest.get(..USER_BYTES_MAX.min(rest.len()))?;
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"/?#\"'<>\\".contains(byte);
        let authority = rest.get(..rest.iter().position(ends).unwrap_or(rest.len()))?;
        let len = memchr::memrchr(b'@', authority)?;
        (len > 0)
            .then(|| self.replace(at..at + len, Kind::Credential))
            .flatten()
    }

    /// Masks a value, unless that says nothing, or is one of a text's pieces. Gives where it ends.
    fn replace(&mut self, range: Range<usize>, kind: Kind) -> Option<usize> {
        let value = String::from_utf8_lossy(self.text.get(range.clone())?);
        let masked = value.is_empty() || self.mask.is_one(&value) || range.start < self.copied;
        if masked || kind == Kind::Token && !is_token(&value) {
            return None;
        }
        self.counts.add_credential();
        self.without
            .extend_from_slice(self.text.get(self.copied..range.start)?);
        self.without
            .extend_from_slice(self.mask.of(&value).as_bytes());
        self.copied = range.end;
        Some(range.end)
    }
}

/// Whether what is called `token` is more than a word.
fn is_token(value: &str) -> bool {
    value.len() >= TOKEN_BYTES_MIN
        && value.bytes().all(|byte| byte.is_ascii_graphic())
        && !value.bytes().all(|byte| byte.is_ascii_lowercase())
}

impl Quote {
    /// How much of a text stands before this quote; all, where it does not come.
    fn closes(self, text: &[u8]) -> usize {
        let mut from = 0;
        while let Some(skip) = text
            .get(from..)
            .and_then(|rest| memchr::memchr(self.mark, rest))
        {
            let at = from + skip;
            let before = text.get(..at).unwrap_or_default();
            let escapes = before
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count();
            // An odd number of them more than this quote's own belongs to the value.
            match escapes.checked_sub(self.escapes) {
                Some(more) if self.escapes == 0 && more % 2 == 0 => return at,
                Some(0) => return at - escapes,
                None => return at,
                Some(_) => from = at + 1,
            }
        }
        text.len()
    }
}

fn spaces(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let got = masked(
            text.as_bytes(),
            Names::Any,
            &Mask::default(),
            &mut Counts::default(),
        );
        let got = got.map(|text| String::from_utf8(text).unwrap());
        assert_eq!(got.as_deref(), expect, "{text}");
    }

    #[test]
    fn a_named_value_is_masked_however_it_is_written() {
        for (text, expect) in [
            (
                r#")]}',{"api_key": "S","n":1}"#,
                r#")]}',{"api_key": "[REDACTED]","n":1}"#,
            ),
            (
                "{'api_key': 'S', 'n': 1}",
                "{'api_key': '[REDACTED]', 'n': 1}",
            ),
            (r#"{\"apiKey\":\"S\"}"#, r#"{\"apiKey\":\"[REDACTED]\"}"#),
            (r#"{"password":"a\"b"}"#, r#"{"password":"[REDACTED]"}"#),
            (r#"{"password":"to the end"#, r#"{"password":"[REDACTED]"#),
            (
                r#"x {"credentials": {"user": "S", "n": 1}, "b": "c"} y"#,
                r#"x {"credentials": {"user": "[REDACTED]", "n": 1}, "b": "c"} y"#,
            ),
            ("api_key=S3CRET&x=1", "api_key=[REDACTED]&x=1"),
            ("GET /x?key=AIza1&x=1", "GET /x?key=[REDACTED]&x=1"),
            ("password: Hunter2, n: 1", "password: [REDACTED], n: 1"),
            ("<api_key>S3CRET</api_key>", "<api_key>[REDACTED]</api_key>"),
            (
                "Authorization: Bearer s.e-cret\r\nx: y",
                "Authorization: [REDACTED]\r\nx: y",
            ),
            (
                "authorization: Basic dXNlcjpwYXNz",
                "authorization: [REDACTED]",
            ),
            ("sent Bearer S3CRET.", "sent Bearer [REDACTED]."),
            ("Cookie: a=b; c=d\nx", "Cookie: [REDACTED]\nx"),
            ("https://user:pass@host/x", "https://[REDACTED]@host/x"),
            ("client_secret => \"S\"", "client_secret => \"[REDACTED]\""),
        ] {
            check(text, Some(expect));
        }
    }

    #[test]
    fn what_only_speaks_of_credentials_is_left() {
        for text in [
            "The password: it must be long. Use a token, or Bearer authentication.",
            "max_tokens=4096, temperature=0.5, bos_token: <s>",
            r#"{"password": {"type": "string"}, "token": "Hel", "max_tokens": 5}"#,
            "https://host/a@b",
            "a: b = c > d",
            "password:",
            "\"password\": 12",
            "",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn what_is_masked_is_not_masked_again() {
        check("api_key=[REDACTED]&x=1", None);
        check(r#"{"api_key": "[REDACTED]"}"#, None);
    }

    #[test]
    fn hostile_text_takes_no_long_time() {
        for part in [
            "\"api_key\": \"",
            "\"secrets\": {",
            "\\",
            "://@",
            ": ",
            "Bearer ",
            "\\\"password\\\":{",
            "'pwd':'\\",
        ] {
            let text = part.repeat(100_000);
            masked(
                text.as_bytes(),
                Names::Any,
                &Mask::default(),
                &mut Counts::default(),
            );
        }
    }
}
