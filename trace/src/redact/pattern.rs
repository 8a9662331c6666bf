//! What addresses, cards and numbers look like in a text.

use std::ops::Range;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::RuleError;

/// A compiled expression may take this many bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The longest match of [`IBAN`].
const ACCOUNT_BYTES_MAX: usize = 64;

/// A pattern that is masked in any text, compiled.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) name: Arc<str>,
    regex: Regex,
    /// What of a match is one.
    refine: Refine,
    /// Without one of these in a text there is no match.
    needles: &'static [&'static str],
    /// Whether a number of JSON may be a match.
    pub(super) numbers: bool,
}

/// Finds in a match what passes a check.
type Refine = fn(&str, Range<usize>) -> Vec<Range<usize>>;

/// What can stand in an address unquoted, on both sides.
const EMAIL: &str = r#"[^\s@"'<>()\[\]{},;:\\|=&?/]+(?:@|%40)(?:[^\s@"'<>()\[\]{},;:\\|=&?/.]+\.)+[^\s@"'<>()\[\]{},;:\\|=&?/.\d]{2,}"#;

/// Thirteen digits and more, with single spaces or dashes between.
const CREDIT_CARD: &str = r"[0-9](?:[ \-]?[0-9]){12,}";

/// International with a plus, or in groups as people write them.
const PHONE: &str = r"\+[0-9]{1,3}(?:[ ./\-]?\(?[0-9]{1,4}\)?){2,6}[0-9]|\([0-9]{2,5}\)[ \-]?[0-9]{3,}(?:[ \-][0-9]{2,})*|\b[0-9]{3}[ .\-][0-9]{3}[ .\-][0-9]{4}\b|\b0[0-9]{1,4}[ /\-][0-9]{3,}(?:[ \-][0-9]{2,})*\b";

const IBAN: &str = r"\b[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}\b";

impl Pattern {
    /// The names of the built-in patterns.
    pub const NAMES: [&'static str; 4] = ["email", "credit_card", "phone", "iban"];

    /// The built-in pattern of this name.
    ///
    /// # Errors
    /// No pattern of [`Self::NAMES`] has this name.
    pub fn named(name: &str) -> Result<Self, RuleError> {
        let (regex, refine, numbers) = match name {
            "email" => (EMAIL, whole as Refine, false),
            "credit_card" => (CREDIT_CARD, cards as Refine, true),
            "phone" => (PHONE, whole as Refine, false),
            "iban" => (IBAN, account as Refine, false),
            _ => return Err(RuleError::Pattern(name.to_owned())),
        };
        Self::compile(name, regex, refine, numbers)
    }

    /// A regular expression in the syntax of the `regex` crate. `name` is the one in the counters.
    ///
    /// # Errors
    /// The expression is invalid, needs more than 1 MiB, or matches the empty text.
    pub fn custom(name: &str, regex: &str) -> Result<Self, RuleError> {
        Self::compile(name, regex, whole, true)
    }

    fn compile(name: &str, regex: &str, refine: Refine, numbers: bool) -> Result<Self, RuleError> {
        let compiled = RegexBuilder::new(regex).size_limit(REGEX_BYTES_MAX).build();
        let compiled = compiled.map_err(|error| {
            // The last line is the reason; those before it repeat the expression.
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default().trim();
            let last = last.strip_prefix("error: ").unwrap_or(last);
            RuleError::Regex(regex.to_owned(), last.to_owned())
        })?;
        if compiled.is_match("") {
            return Err(RuleError::Empty(regex.to_owned()));
        }
        Ok(Self {
            name: name.into(),
            regex: compiled,
            refine,
            needles: if regex == EMAIL { &["@", "%40"] } else { &[] },
            numbers,
        })
    }

    /// Where the pattern is in a text.
    pub(super) fn find_all(&self, text: &str) -> Vec<Range<usize>> {
        let has =
            |needle: &&str| memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
        if !self.needles.is_empty() && !self.needles.iter().any(has) {
            return Vec::new();
        }
        let mut all = Vec::new();
        let mut from = 0;
        while let Some(found) = self.regex.find_at(text, from) {
            let refined = (self.refine)(text, found.range());
            // What is no account may end where one begins; a run of digits ends where it ends.
            from = match refined.last() {
                Some(last) => last.end,
                None if found.len() <= ACCOUNT_BYTES_MAX => found.start() + 4,
                None => found.end(),
            };
            all.extend(refined);
            from = text.ceil_char_boundary(from);
        }
        all
    }
}

/// All of a match.
fn whole(_: &str, range: Range<usize>) -> Vec<Range<usize>> {
    vec![range]
}

/// The numbers of cards in a run of digits: whole groups of 13 to 19 digits together, whose
/// first names a network and whose last is their check digit (ISO/IEC 7812).
fn cards(text: &str, run: Range<usize>) -> Vec<Range<usize>> {
    let before = text.get(..run.start).and_then(|text| text.bytes().last());
    let after = text.get(run.end..).and_then(|text| text.bytes().next());
    let part = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if part(before) || part(after) || before == Some(b'.') {
        return Vec::new();
    }
    let inner = text.get(run.clone()).unwrap_or_default();
    let mut groups = Vec::new();
    let mut at = run.start;
    for group in inner.split([' ', '-']) {
        groups.push(at..at + group.len());
        at += group.len() + 1;
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    for (index, first) in groups.iter().enumerate() {
        if found.last().is_some_and(|last| last.end > first.start) {
            continue;
        }
        let mut digits = 0;
        for last in groups.iter().skip(index) {
            digits += last.len();
            let range = first.start..last.end;
            if digits > 19 {
                break;
            }
            if digits >= 13 && is_card(text.get(range.clone()).unwrap_or_default()) {
                found.push(range);
                break;
            }
        }
    }
    found
}

fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|letter| letter.to_digit(10))
        .collect();
    let doubled = |digit: u32| digit * 2 - if digit > 4 { 9 } else { 0 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { doubled(*digit) } else { *digit })
        .sum();
    matches!(digits.first(), Some(2..=6)) && sum.is_multiple_of(10)
}

/// An account's number at the beginning of a match, which may go on with words: by its check
/// digits (ISO 7064, mod 97).
fn account(text: &str, found: Range<usize>) -> Vec<Range<usize>> {
    Vec::from_iter(account_in(text, found))
}

fn account_in(text: &str, found: Range<usize>) -> Option<Range<usize>> {
    /// Norway's are the shortest.
    const LETTERS_MIN: usize = 15;

    let inner = text.get(found.clone()).unwrap_or_default();
    let plain: Vec<u8> = inner.bytes().filter(|byte| *byte != b' ').collect();
    for letters in (LETTERS_MIN..=plain.len()).rev() {
        if !plain.get(..letters).is_some_and(is_account) {
            continue;
        }
        let mut left = letters;
        let len = inner.bytes().take_while(|byte| {
            let more = left > 0;
            left -= usize::from(more && *byte != b' ');
            more
        });
        let end = found.start + len.count();
        let next = text.get(end..).and_then(|text| text.bytes().next());
        if !next.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return Some(found.start..end);
        }
    }
    None
}

fn is_account(plain: &[u8]) -> bool {
    let (head, rest) = plain.split_at(plain.len().min(4));
    let mut left = 0;
    for letter in rest.iter().chain(head) {
        let Some(value) = char::from(*letter).to_digit(36) else {
            return false;
        };
        left = (left * if value > 9 { 100 } else { 10 } + value) % 97;
    }
    left == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, expect: &[&str]) {
        let pattern = Pattern::named(name).unwrap();
        let found = pattern.find_all(text).into_iter();
        let found: Vec<_> = found.map(|range| &text[range]).collect();
        assert_eq!(found, expect, "{name}: {text}");
    }

    #[test]
    fn addresses_are_found() {
        check("email", "q=a.b%40example.org&x=1", &["a.b%40example.org"]);
        check(
            "email",
            "to a.b+c@mail.example.org, now",
            &["a.b+c@mail.example.org"],
        );
        check("email", "jürgen@müller.de", &["jürgen@müller.de"]);
        check("email", "a@b, @decorator, x@y.", &[]);
    }

    #[test]
    fn cards_are_found_by_their_check_digit() {
        check("credit_card", "4111111111111111", &["4111111111111111"]);
        check(
            "credit_card",
            "no 4111-1111-1111-1111.",
            &["4111-1111-1111-1111"],
        );
        check(
            "credit_card",
            "5500 0000 0000 0004",
            &["5500 0000 0000 0004"],
        );
        check(
            "credit_card",
            "340000000000009 6011000000000004",
            &["340000000000009", "6011000000000004"],
        );
        check("credit_card", "4111111111111112", &[]);
        check(
            "credit_card",
            "0.4111111111111111 1700000000000 a4111111111111111",
            &[],
        );
    }

    #[test]
    fn phones_are_found_as_people_write_them() {
        for text in [
            "+49 221 4710 123",
            "+1 (555) 123-4567",
            "+442071838750",
            "(555) 123-4567",
            "555-123-4567",
            "0221 4710123",
        ] {
            check("phone", text, &[text]);
        }
        check("phone", "2024-05-01 12:30, 10.0.0.1, 1.5e10, 12 34", &[]);
    }

    #[test]
    fn accounts_are_found_by_their_check_digits() {
        check(
            "iban",
            "DE89370400440532013000",
            &["DE89370400440532013000"],
        );
        check(
            "iban",
            "to GB29 NWBK 6016 1331 9268 19 please",
            &["GB29 NWBK 6016 1331 9268 19"],
        );
        check("iban", "DE89370400440532013001", &[]);
    }
}
