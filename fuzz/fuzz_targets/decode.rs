//! Whole exchanges of any API, type and content, truncated or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body, pick};

fuzz_target!(|data: &[u8]| {
    let (request, response) = body(data).split_at(body(data).len() / 2);
    let second = data.get(1..).unwrap_or_default();
    fuzz::check(&Case {
        path: pick(data, &fuzz::PATHS),
        request_type: pick(second, &fuzz::TYPES),
        response_type: pick(data.get(2..).unwrap_or_default(), &fuzz::TYPES),
        request,
        response,
        cut: second.first().is_some_and(|byte| byte & 1 == 1),
        ..Case::default()
    });
});
