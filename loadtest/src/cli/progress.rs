//! Progress bars on stderr, and Ctrl-C.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar with `length` steps. It is hidden if stderr is not a terminal.
pub(super) fn bar(template: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(length).with_style(style.expect("the templates are constants of this crate"))
}

/// Resolves on Ctrl-C, which ends a run early and reports what was measured.
pub(super) async fn interrupted() {
    tokio::signal::ctrl_c()
        .await
        .expect("the runtime has a signal driver");
}
