//! What later versions bring is refused, never ignored.

use super::{check_route, check_top};

#[test]
fn what_is_not_yet_supported_is_refused() {
    let rows = [("latency_budget: {overhead_p99: 1ms}", "latency_budget")];
    for (put, path) in rows {
        check_route(put, &format!("9: routes[0].{path}: not yet supported"));
    }
    let spool = [
        ("path", "/s"),
        ("max_bytes", "2GiB"),
        ("when", "always"),
        ("when_full", "block"),
    ];
    for (key, value) in spool {
        let put = format!("export: {{spool: {{{key}: {value}}}}}");
        check_top(&put, &format!("9: export.spool.{key}: not yet supported"));
    }
    check_top(
        "export: {queue: {when_full: block}}",
        "9: export.queue.when_full: not yet supported",
    );
}
