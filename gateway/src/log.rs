//! offpath's own log, on stderr.

use std::io::IsTerminal;

use offpath_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

/// Starts it. `RUST_LOG` goes before the configuration, for a closer look at one module.
pub(crate) fn start(log: &Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // The level is offpath's own: what libraries say at theirs may quote messages. pingora tells of
    // each failed connection as an error; offpath counts and traces them.
    let others = if level == "error" { "error" } else { "warn" };
    let default = format!("{others},offpath={level},pingora=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    // A second start in one process (the demo's) keeps the first one's settings.
    drop(started);
}
