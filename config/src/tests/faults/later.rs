//! What later versions bring is refused, never ignored.

use super::{check_route, check_top};

#[test]
fn what_is_not_yet_supported_is_refused() {
    let rows = [
        ("redact: {headers: [x]}", "redact.headers"),
        ("redact: {fields: [/a]}", "redact.fields"),
        ("redact: {patterns: [email]}", "redact.patterns"),
        ("redact: {replace: x}", "redact.replace"),
    ];
    for (put, path) in rows {
        check_route(put, &format!("9: routes[0].{path}: not yet supported"));
    }
    check_top(
        "export: {spool: {when_full: block}}",
        "9: export.spool.when_full: not yet supported",
    );
    check_top(
        "export: {queue: {when_full: block}}",
        "9: export.queue.when_full: not yet supported",
    );
}
