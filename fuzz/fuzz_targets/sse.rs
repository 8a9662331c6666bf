//! Server-sent events of known APIs and of an unknown one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offpath_fuzz::{self as fuzz, Case, body, pick};

fuzz_target!(|data: &[u8]| {
    fuzz::check(&Case {
        path: pick(
            data,
            &[
                "/v1/chat/completions",
                "/v1/messages",
                "/v1/responses",
                "/v2/chat",
                "/x",
            ],
        ),
        response_type: "text/event-stream",
        request: br#"{"messages":[],"input":""}"#,
        response: body(data),
        ..Case::default()
    });
});
