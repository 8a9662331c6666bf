//! Values that a later version will support are refused, never ignored.

use super::check_top;

#[test]
fn values_that_are_not_yet_supported_are_refused() {
    check_top(
        "export: {spool: {when_full: block}}",
        "9: export.spool.when_full: not yet supported",
    );
    check_top(
        "export: {queue: {when_full: block}}",
        "9: export.queue.when_full: not yet supported",
    );
}
