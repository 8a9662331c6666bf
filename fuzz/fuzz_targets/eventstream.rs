//! Amazon's binary frames, as generated and with corrected lengths and checksums.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body, pick};

fuzz_target!(|data: &[u8]| {
    let path = pick(
        data,
        &[
            "/model/m/converse-stream",
            "/model/m/invoke-with-response-stream",
        ],
    );
    let framed = fuzz::framed(body(data));
    for response in [body(data), &framed] {
        fuzz::check(&Case {
            path,
            response_type: "application/vnd.amazon.eventstream",
            request: b"{}",
            response,
            ..Case::default()
        });
    }
});
