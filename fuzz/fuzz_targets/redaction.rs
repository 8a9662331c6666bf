//! A planted email address in a body of any type does not appear in the trace.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body, pick};

fuzz_target!(|data: &[u8]| {
    let planted = [body(data), fuzz::PLANTED.as_bytes(), body(data)].concat();
    let types = [
        "application/json",
        "text/event-stream",
        "application/x-ndjson",
        "text/plain",
        "text/csv",
    ];
    fuzz::check_planted(&Case {
        path: "/x",
        response_type: pick(data, &types),
        response: &planted,
        ..Case::default()
    });
});
