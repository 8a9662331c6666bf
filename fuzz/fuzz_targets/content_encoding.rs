//! Content codings: invalid, truncated and decompression bombs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body, pick};

fuzz_target!(|data: &[u8]| {
    fuzz::check(&Case {
        path: "/x",
        coding: pick(data, &["gzip", "deflate", "br", "zstd", "br, gzip"]),
        response: body(data),
        ..Case::default()
    });
});
