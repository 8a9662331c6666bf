//! Images, sounds and files that lie in JSON as base64, replaced by type, size and hash: a trace
//! is no store of media, and who has the original can find it by its hash.
//!
//! What counts is a `data:` URL, or a long base64 string under a key that an API keeps media
//! under. Vectors in base64 are not media.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use sha2::{Digest, Sha256};

use super::json::{self, Token};

/// Shorter strings stay: an icon at most.
pub(crate) const MEDIA_BYTES_MIN: usize = 512;

/// Keys under which APIs keep media: Anthropic's and Gemini's `data`, Bedrock's `bytes`, OpenAI's
/// others.
const KEYS: [&[u8]; 8] = [
    b"data",
    b"bytes",
    b"b64_json",
    b"file_data",
    b"result",
    b"partial_image_b64",
    b"image",
    b"images",
];

/// Beginnings of files, and their types.
const MAGIC: [(&[u8], &str); 10] = [
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "audio/wav"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
];

/// JSON with its media replaced; `None` where there are none. A text that is cut is read as far
/// as it goes, a string that the cut went through included.
pub(crate) fn replaced(text: &[u8]) -> Option<Vec<u8>> {
    let mut json = Vec::new();
    let mut copied = 0;
    for token in json::strings(text) {
        let Token { key, at, inner } = token;
        if inner.len() < MEDIA_BYTES_MIN {
            continue;
        }
        let Some(marker) = marker(key, inner) else {
            continue;
        };
        json.extend_from_slice(text.get(copied..at).unwrap_or_default());
        json.extend_from_slice(marker.as_bytes());
        copied = at + inner.len();
    }
    if copied == 0 {
        return None;
    }
    json.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(json)
}

/// What stands for a string, if it is one of media: `[image/png, 1234 bytes, sha256 …]`.
fn marker(key: &[u8], inner: &[u8]) -> Option<String> {
    if let Some(url) = inner.strip_prefix(b"data:") {
        let comma = memchr::memchr(b',', url)?;
        let (head, data) = url.split_at(comma);
        let kind = head.strip_suffix(b";base64")?;
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = std::str::from_utf8(kind).ok().filter(|kind| is_type(kind));
        return Some(described(kind, data.get(1..)?));
    }
    let is_media = KEYS.contains(&key) && inner.iter().all(|byte| is_base64(*byte));
    is_media.then(|| described(None, inner))
}

/// What one calls a type: nothing that has to be escaped.
fn is_type(kind: &str) -> bool {
    /// RFC 6838 allows 127 on each side of the slash.
    const TYPE_BYTES_MAX: usize = 100;

    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._".contains(&byte);
    !kind.is_empty() && kind.len() <= TYPE_BYTES_MAX && kind.bytes().all(plain)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

/// Type, size and hash of what the base64 says; of its text where it is none.
fn described(kind: Option<&str>, data: &[u8]) -> String {
    /// A multiple of four, so that every piece but the last is whole.
    const PIECE_BYTES: usize = 8192;
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        NO_PAD.with_decode_allow_trailing_bits(true),
    );

    // JSON may escape the slash.
    let mut plain: Vec<u8> = data
        .iter()
        .filter(|byte| !matches!(byte, b'\\' | b'='))
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    // A cut may leave one letter of a group of four, which says nothing.
    if plain.len() % 4 == 1 {
        plain.pop();
    }
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut first = Vec::new();
    for piece in plain.chunks(PIECE_BYTES) {
        match LENIENT.decode(piece) {
            Ok(piece) => {
                bytes += piece.len();
                hash.update(&piece);
                if first.is_empty() {
                    first = piece;
                }
            }
            Err(_) => {
                return format!("[{} bytes that are not base64]", data.len());
            }
        }
    }
    let by_magic = || {
        let found = MAGIC.iter().find(|(magic, _)| first.starts_with(magic));
        let webp = first.get(8..12) == Some(b"WEBP");
        found.map(|(_, kind)| if webp { "image/webp" } else { *kind })
    };
    let kind = kind.or_else(by_magic).unwrap_or("application/octet-stream");
    let hash = hex::encode(hash.finalize());
    format!("[{kind}, {bytes} bytes, sha256 {hash}]")
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn packed(head: &[u8]) -> (String, String) {
        let bytes = [head, &[7; 1000]].concat();
        let hash = hex::encode(Sha256::digest(&bytes));
        (
            STANDARD.encode(&bytes),
            format!("{} bytes, sha256 {hash}]", bytes.len()),
        )
    }

    #[track_caller]
    fn check(json: &str, expect: Option<&str>) {
        let got = replaced(json.as_bytes()).map(|json| String::from_utf8(json).unwrap());
        assert_eq!(got.as_deref(), expect);
    }

    #[test]
    fn media_are_replaced_by_type_size_and_hash() {
        let (png, said) = packed(b"\x89PNG");
        check(
            &format!(r#"[{{"url": "data:image/webp;base64,{png}"}}, "x"]"#),
            Some(&format!(r#"[{{"url": "[image/webp, {said}"}}, "x"]"#)),
        );
        check(
            &format!(r#"{{"source":{{"data":"{png}"}},"b64_json":"{png}"}}"#),
            Some(&format!(
                r#"{{"source":{{"data":"[image/png, {said}"}},"b64_json":"[image/png, {said}"}}"#
            )),
        );
        let escaped = png.replace('/', "\\/");
        check(
            &format!(r#"{{"url":"data:image/png;charset=x;base64,{escaped}"}}"#),
            Some(&format!(r#"{{"url":"[image/png, {said}"}}"#)),
        );
    }

    #[test]
    fn what_is_not_media_stays() {
        let (packed, _) = packed(b"");
        check(&format!(r#"{{"embedding":"{packed}"}}"#), None);
        check(&format!(r#"{{"data":"{} {packed}"}}"#, "words"), None);
        check(
            r#"{"data":"c2hvcnQ=","url":"data:image/png;base64,AA=="}"#,
            None,
        );
        check(&format!(r#"{{"url":"data:text/plain,{packed}"}}"#), None);
    }

    #[test]
    fn a_cut_goes_through_media_as_through_anything() {
        let (png, _) = packed(b"\x89PNG");
        let cut = format!(r#"{{"a":1,"data":"{}"#, &png[..701]);
        let got = replaced(cut.as_bytes()).unwrap();
        let got = String::from_utf8(got).unwrap();
        assert!(
            got.starts_with(r#"{"a":1,"data":"[image/png, 525 bytes"#),
            "{got}"
        );
    }
}
