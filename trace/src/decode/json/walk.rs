//! Walks over a text that may be cut: its strings and numbers one after the other, or the
//! children of one container.

use std::ops::Range;

use super::Raw;
use super::scan::{self, Blind, Fault};
use super::token;

/// A string that is a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// The key before it, as written; of an element of a list, the list's.
    pub(crate) key: &'a [u8],
    /// Where it begins, after its quote.
    pub(crate) at: usize,
    /// Between its quotes; up to the end where the text is cut in it.
    pub(crate) inner: &'a [u8],
}

/// The strings of a text that are values, in order, up to the first that is malformed.
pub(crate) fn strings(text: &[u8]) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    let mut key: &[u8] = b"";
    std::iter::from_fn(move || {
        loop {
            let quote = at + memchr::memchr(b'"', text.get(at..)?)?;
            let end = match token::string(text, quote, &mut Blind) {
                Ok(end) => end,
                Err(Fault::Torn) => text.len() + 1,
                Err(_) => return None,
            };
            let inner = text.get(quote + 1..end - 1)?;
            at = end;
            if text.get(scan::space(text, end)) == Some(&b':') {
                key = inner;
            } else {
                return Some(Token {
                    key,
                    at: quote + 1,
                    inner,
                });
            }
        }
    })
}

/// The string whose opening quote is at `at`: what is between its quotes, up to the end where the
/// text is cut in it, and where it ends. `None`: the quote opens nothing.
pub(crate) fn string_at(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    text.get(at).filter(|byte| **byte == b'"')?;
    match token::string(text, at, &mut Blind) {
        Ok(end) => Some((text.get(at + 1..end - 1)?, end)),
        Err(Fault::Torn) => Some((text.get(at + 1..)?, text.len())),
        Err(_) => None,
    }
}

/// Whether a string that ends at `end` is a member's name.
pub(crate) fn is_key(text: &[u8], end: usize) -> bool {
    text.get(scan::space(text, end)) == Some(&b':')
}

/// A string or a number, by where its content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Between the quotes, and whether the text is cut in it. Keys are strings, too.
    String(Range<usize>, bool),
    /// As written.
    Number(Range<usize>),
}

/// The strings of a text, keys too, and the numbers where they are wanted, in order. The text
/// may be JSON, or hold some.
pub(crate) fn words(text: &[u8], numbers: bool) -> impl Iterator<Item = Word> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let begins = |byte: &u8| *byte == b'"' || (numbers && byte.is_ascii_digit());
            let begin = at
                + match numbers {
                    true => rest.iter().position(begins)?,
                    false => memchr::memchr(b'"', rest)?,
                };
            if text.get(begin) == Some(&b'"') {
                let (end, torn) = match token::string(text, begin, &mut Blind) {
                    Ok(end) => (end - 1, false),
                    Err(Fault::Torn) => (text.len(), true),
                    // A quote that opens nothing.
                    Err(_) => {
                        at = begin + 1;
                        continue;
                    }
                };
                at = end + 1;
                return Some(Word::String(begin + 1..end, torn));
            }
            // A number with all that belongs to it, so that no part is taken for one.
            let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            let tail = text.get(begin..)?.iter().take_while(|byte| belongs(byte));
            at = begin + tail.count();
            return Some(Word::Number(begin..at));
        }
    })
}

/// A child of a container.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    /// The key as written, without its quotes; `None` in a list.
    key: Option<&'a [u8]>,
    index: usize,
    /// Where the value begins.
    pub(crate) at: usize,
    /// Where it ends; the text's end where it is cut.
    pub(crate) end: usize,
}

impl Node<'_> {
    /// Whether a pointer's segment names this child.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        match self.key {
            Some(key) if key.contains(&b'\\') => {
                let quoted = [b"\"", key, b"\""].concat();
                Raw(&quoted).text().is_some_and(|key| key == name)
            }
            Some(key) => key == name.as_bytes(),
            None => name.parse() == Ok(self.index),
        }
    }
}

/// The children of the container at or after a place; of anything else, none.
pub(crate) struct Steps<'a> {
    text: &'a [u8],
    at: usize,
    object: bool,
    index: usize,
    over: bool,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(text: &'a [u8], at: usize) -> Self {
        let at = scan::space(text, at);
        let open = text.get(at);
        Self {
            text,
            at: at + 1,
            object: open == Some(&b'{'),
            index: 0,
            over: !matches!(open, Some(b'{' | b'[')),
        }
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        if self.over {
            return None;
        }
        // Whatever is wrong from here on ends the walk.
        self.over = true;
        let mut at = scan::space(self.text, self.at);
        if self.index > 0 {
            self.text.get(at).filter(|byte| **byte == b',')?;
            at = scan::space(self.text, at + 1);
        }
        let mut key = None;
        if self.object {
            self.text.get(at).filter(|byte| **byte == b'"')?;
            let end = token::string(self.text, at, &mut Blind).ok()?;
            key = self.text.get(at + 1..end - 1);
            at = scan::colon(self.text, end).ok()?;
        }
        self.text.get(at).filter(|byte| !b"]}".contains(byte))?;
        let (end, whole) = match scan::value(self.text, at, &mut Blind) {
            Ok(end) => (end, true),
            Err(_) => (self.text.len(), false),
        };
        let index = self.index;
        self.index += 1;
        self.at = end;
        self.over = !whole;
        Some(Node {
            key,
            index,
            at,
            end,
        })
    }
}
