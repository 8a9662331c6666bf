//! An incremental parser for server-sent events (WHATWG HTML, section 9.2.6).
//!
//! The bytes may be split anywhere. The parser buffers at most 1 MiB of one event's data and
//! discards the rest; it ignores fields other than `data`.

/// Maximum number of bytes kept of one event's data.
const DATA_BYTES_MAX: usize = 1 << 20;

/// Splits a byte stream into events.
#[derive(Debug, Default)]
pub struct Splitter {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last chunk ended with CR, so a following LF belongs to the same line end.
    after_cr: bool,
}

impl Splitter {
    /// Parses the next bytes and calls `event` with the data of each event they complete.
    pub fn push(&mut self, chunk: &[u8], mut event: impl FnMut(&[u8])) {
        let mut rest = chunk;
        if std::mem::take(&mut self.after_cr) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr = chunk.is_empty();
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, ending) = rest.split_at(end);
            extend_within_limit(&mut self.line, text);
            rest = match ending {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
            self.end_line(&mut event);
        }
        extend_within_limit(&mut self.line, rest);
    }

    fn end_line(&mut self, event: &mut impl FnMut(&[u8])) {
        if self.line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                event(&self.data);
            }
            self.data.clear();
        } else if let Some(value) = data_field(&self.line) {
            if self.has_data {
                extend_within_limit(&mut self.data, b"\n");
            }
            extend_within_limit(&mut self.data, value);
            self.has_data = true;
        }
        self.line.clear();
    }
}

fn data_field(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

fn extend_within_limit(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = DATA_BYTES_MAX.saturating_sub(kept.len());
    kept.extend(bytes.iter().take(room));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |data| {
                events.push(String::from_utf8_lossy(data).into_owned());
            });
        }
        events
    }

    #[track_caller]
    fn check(stream: &str, expect: &[&str]) {
        let bytes = stream.as_bytes();
        assert_eq!(split([bytes]), expect, "whole");
        assert_eq!(split(bytes.chunks(1)), expect, "byte by byte");
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(split(parts), expect, "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn any_chunk_split_gives_the_same_events() {
        check("data: a\n\ndata: [DONE]\n\n", &["a", "[DONE]"]);
        check("data: a\r\n\r\ndata:b\r\rdata:  c\n\n", &["a", "b", " c"]);
        check("event: x\nid: 1\ndata: {\ndata: }\n\n", &["{\n}"]);
        check("data: {\r\ndata: }\r\n\r\n", &["{\n}"]);
        check(": keep-alive\n\nevent: ping\n\ndata: é\n\n", &["é"]);
        check("data\n\ndata:\n\ndatum: x\n\n", &["", ""]);
        check("data: never ended\n", &[]);
    }

    #[test]
    fn an_endless_event_is_kept_to_its_limit() {
        let mut splitter = Splitter::default();
        splitter.push(b"data: ", |_| ());
        for _ in 0..40 {
            splitter.push(&[b'x'; 100_000], |_| ());
        }
        let mut len = 0;
        splitter.push(b"\n\n", |data| len = data.len());
        assert_eq!(len, DATA_BYTES_MAX - "data: ".len());
    }
}
