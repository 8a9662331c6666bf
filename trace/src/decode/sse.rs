//! Server-sent events (WHATWG HTML, section 9.2.6), from the whole stream.
//!
//! Unlike a browser, which drops an event that the stream's end cuts off, this gives it, marked:
//! some servers leave out the last blank line.

use std::borrow::Cow;

/// An event with data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// Its data; several lines are joined by a line feed.
    pub(crate) data: Cow<'a, [u8]>,
    /// Its last `event` field; empty where there is none.
    pub(crate) name: &'a [u8],
    /// Whether its closing blank line came.
    pub(crate) ended: bool,
    /// Where it ends, from the stream's beginning.
    pub(crate) end: usize,
}

/// The events of a stream, in order.
pub(crate) fn events(stream: &[u8]) -> impl Iterator<Item = Event<'_>> {
    let mut rest = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    std::iter::from_fn(move || {
        let mut data: Option<Cow<'_, [u8]>> = None;
        let mut name: &[u8] = b"";
        while !rest.is_empty() {
            let line = next_line(&mut rest);
            if line.is_empty() {
                if let Some(data) = data.take() {
                    return Some(Event {
                        data,
                        name,
                        ended: true,
                        end: stream.len() - rest.len(),
                    });
                }
                name = b"";
            } else if let Some(value) = line.strip_prefix(b"event:") {
                name = value.strip_prefix(b" ").unwrap_or(value);
            } else if let Some(value) = data_of(line) {
                data = Some(match data {
                    None => Cow::Borrowed(value),
                    Some(before) => {
                        let mut joined = before.into_owned();
                        joined.push(b'\n');
                        joined.extend_from_slice(value);
                        Cow::Owned(joined)
                    }
                });
            }
        }
        data.map(|data| Event {
            data,
            name,
            ended: false,
            end: stream.len(),
        })
    })
}

/// Takes a line, which ends with CR, LF, both, or the stream.
fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
        return std::mem::take(rest);
    };
    let (line, tail) = rest.split_at(end);
    *rest = tail
        .strip_prefix(b"\r\n")
        .or_else(|| tail.get(1..))
        .unwrap_or_default();
    line
}

/// The value of a `data` field. A comment has an empty name; other fields carry no content.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &str, expect: &[&str]) {
        for newline in ["\n", "\r", "\r\n"] {
            let stream = stream.replace('\n', newline);
            let events: Vec<_> = events(stream.as_bytes())
                .map(|event| {
                    let data = String::from_utf8_lossy(&event.data).into_owned();
                    if event.ended { data } else { data + " (torn)" }
                })
                .collect();
            assert_eq!(events, expect, "{stream:?}");
        }
    }

    #[test]
    fn events_are_as_the_standard_says() {
        check("data: a\n\ndata:b\n\n", &["a", "b"]);
        check("data: one\ndata: two\ndata\n\n", &["one\ntwo\n"]);
        check(": ping\n\nevent: x\nid: 1\nretry: 5\ndata:  x\n\n", &[" x"]);
        check("\u{feff}data: bom\n\n", &["bom"]);
        check("database: no\n\n\n\ndata: yes\n\n", &["yes"]);
        check("data: a\n\ndata: b", &["a", "b (torn)"]);
        check("data: a\n\ndata: b\n", &["a", "b (torn)"]);
        check("event: no data\n\n", &[]);
        check("", &[]);
    }
}
