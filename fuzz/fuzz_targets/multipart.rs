//! Multipart bodies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body};

fuzz_target!(|data: &[u8]| {
    fuzz::check(&Case {
        path: "/v1/audio/transcriptions",
        request_type: "multipart/form-data; boundary=X",
        request: body(data),
        ..Case::default()
    });
});
