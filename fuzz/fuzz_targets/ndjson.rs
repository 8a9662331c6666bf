//! Newline-delimited JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body, pick};

fuzz_target!(|data: &[u8]| {
    fuzz::check(&Case {
        path: pick(data, &["/api/chat", "/api/generate", "/v1/chat", "/x"]),
        response_type: "application/x-ndjson",
        request: b"{}",
        response: body(data),
        ..Case::default()
    });
});
