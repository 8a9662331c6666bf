//! Text cut to a number of bytes.

/// At most `bytes_max` bytes of `text`, ending where a character ends.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or(text)
}
