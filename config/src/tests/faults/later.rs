//! What later versions bring is refused, never ignored.

use super::check_top;

#[test]
fn what_is_not_yet_supported_is_refused() {
    check_top(
        "export: {spool: {when_full: block}}",
        "9: export.spool.when_full: not yet supported",
    );
    check_top(
        "export: {queue: {when_full: block}}",
        "9: export.queue.when_full: not yet supported",
    );
}
