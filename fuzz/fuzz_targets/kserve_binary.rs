//! The Open Inference Protocol with binary tensors after the JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body};

fuzz_target!(|data: &[u8]| {
    let len = data.first().map_or(0, |byte| usize::from(*byte));
    fuzz::check(&Case {
        path: "/v2/models/m/infer",
        request_type: "application/octet-stream",
        header_length: Some(len),
        request: body(data),
        response: body(data),
        ..Case::default()
    });
});
