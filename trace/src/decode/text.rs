//! Text cut to a number of bytes.

use super::json;

/// Text that would do harm is cut to this many bytes, which no reader's limit is below.
const HARMFUL_BYTES_MAX: usize = 128;

/// At most `bytes_max` bytes of `text`, ending where a character ends.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or(text)
}

/// As [`cut`], and shorter where MLflow's reader would choke on the text: what a client puts into
/// a header must not cost its neighbours their traces.
pub(super) fn cut_harmless(text: &str, bytes_max: usize) -> &str {
    let text = cut(text, bytes_max);
    if json::is_harmless(text.as_bytes()) {
        text
    } else {
        cut(text, HARMFUL_BYTES_MAX)
    }
}
