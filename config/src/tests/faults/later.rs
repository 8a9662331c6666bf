//! What later versions bring is refused, never ignored.

use super::{check_route, check_top};

#[test]
fn what_is_not_yet_supported_is_refused() {
    let rows = [
        ("sampling: {by: session}", "sampling.by"),
        ("sampling: {parent: cap}", "sampling.parent"),
        ("sampling: {max_per_second: 5}", "sampling.max_per_second"),
        ("sampling: {keep: {errors: true}}", "sampling.keep.errors"),
        (
            "sampling: {keep: {slower_than: 1s}}",
            "sampling.keep.slower_than",
        ),
        (
            "sampling: {keep: {first_byte_slower_than: 1s}}",
            "sampling.keep.first_byte_slower_than",
        ),
        (
            "sampling: {keep: {larger_than: 1MiB}}",
            "sampling.keep.larger_than",
        ),
        (
            "sampling: {keep: {max_per_second: 1}}",
            "sampling.keep.max_per_second",
        ),
        (
            "sampling: {keep_content: {finish_reasons: [length]}}",
            "sampling.keep_content.finish_reasons",
        ),
        (
            "sampling: {keep_content: {stream_errors: true}}",
            "sampling.keep_content.stream_errors",
        ),
        (
            "sampling: {keep_content: {grpc_errors: true}}",
            "sampling.keep_content.grpc_errors",
        ),
        ("trace: {metadata: {a: b}}", "trace.metadata"),
        ("trace: {user: [{body: /user}]}", "trace.user[0].body"),
        ("trace: {session: [{query: s}]}", "trace.session[0].query"),
        ("trace: {tags: {a: {path: x}}}", "trace.tags.a.path"),
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
