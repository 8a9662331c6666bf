//! Parts of a multipart body (RFC 2046, section 5.1): names, types and sizes, not contents.

use super::text;

/// Parts beyond this many are passed over.
const PARTS_MAX: usize = 64;

/// Names and types are cut to this many bytes.
const NAME_BYTES_MAX: usize = 256;

/// One part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// `name` of its `content-disposition`.
    pub(crate) name: Option<String>,
    /// `filename` there.
    pub(crate) file_name: Option<String>,
    /// Its `content-type`.
    pub(crate) content_type: Option<String>,
    /// Its content, as far as it is there.
    pub(crate) content: &'a [u8],
}

/// The parts of a body, by the boundary in its `content-type`.
pub(crate) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Vec<Part<'a>> {
    let Some(boundary) = parameter(content_type, "boundary") else {
        return Vec::new();
    };
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let finder = memchr::memmem::Finder::new(&delimiter);
    let mut starts = finder
        .find_iter(body)
        .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'));
    let mut parts = Vec::new();
    let mut start = starts.next();
    while let Some(at) = start.take()
        && parts.len() < PARTS_MAX
    {
        let next = starts.next();
        let inner = body.get(at + delimiter.len()..next.unwrap_or(body.len()));
        let inner = inner.unwrap_or_default();
        if inner.starts_with(b"--") {
            break;
        }
        parts.push(part(inner, next.is_some()));
        start = next;
    }
    parts
}

/// What is between two delimiters: fields, an empty line, and content up to a line end.
fn part(inner: &[u8], ended: bool) -> Part<'_> {
    let blank = memchr::memmem::find(inner, b"\r\n\r\n");
    let (head, content) = match blank {
        Some(at) => (inner.get(..at), inner.get(at + 4..)),
        None => (Some(inner), None),
    };
    let mut content = content.unwrap_or_default();
    if ended {
        content = content.strip_suffix(b"\r\n").unwrap_or(content);
    }
    let mut part = Part {
        content,
        ..Part::default()
    };
    let head = String::from_utf8_lossy(head.unwrap_or_default());
    for line in head.lines() {
        let Some((field, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match field.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => {
                part.name = parameter(value, "name");
                part.file_name = parameter(value, "filename");
            }
            "content-type" => {
                part.content_type = Some(text::cut(value, NAME_BYTES_MAX).to_owned());
            }
            _ => {}
        }
    }
    part
}

/// A parameter of a field's value, quoted or not.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut parameters = value.split(';').skip(1);
    let found = parameters.find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value)
    })?;
    let found = found.trim().trim_matches('"');
    (!found.is_empty()).then(|| text::cut(found, NAME_BYTES_MAX).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--XX not\r\n--XX--\r\n";

    #[test]
    fn parts_are_named_and_measured() {
        let parts = parts("multipart/form-data; boundary=\"XX\"", BODY);
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.name.as_deref(), part.content))
            .collect();
        assert_eq!(seen[0], (Some("model"), b"whisper-1".as_slice()));
        assert_eq!(seen[1], (Some("file"), b"RIFF".as_slice()));
        assert_eq!(parts[1].file_name.as_deref(), Some("a.wav"));
        assert_eq!(parts[1].content_type.as_deref(), Some("audio/wav"));
    }

    #[test]
    fn a_cut_or_broken_body_gives_what_is_there() {
        let torn = parts("multipart/mixed; boundary=XX", &BODY[..150]);
        assert_eq!(torn.len(), 2);
        assert_eq!(parts("multipart/mixed", BODY), []);
        assert_eq!(parts("multipart/mixed; boundary=YY", BODY), []);
        let many = b"--X\r\n\r\n".repeat(1000);
        assert_eq!(parts("multipart/mixed; boundary=X", &many).len(), PARTS_MAX);
    }
}
