//! The sources of recorded exchanges.
//!
//! A source is read completely before anything is sent, so an invalid line fails a replay before it
//! begins.

mod azure;
mod jsonl;
mod mlflow;
mod otlp;

pub use self::mlflow::{Experiment, Imported, Tracking};

use std::path::Path;
use std::time::Duration;

use super::{ChatDefaults, Exchange};
use crate::bodies::LineError;

/// The reason why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// The path of the file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A line does not have the format of the file.
    #[error("`{path}`, {error}")]
    Line {
        /// The path of the file.
        path: String,
        /// The line and what is wrong with it.
        error: LineError,
    },
    /// MLflow did not respond, or not as expected.
    #[error("MLflow at `{uri}`: {reason}")]
    Mlflow {
        /// The tracking URI.
        uri: String,
        /// The reason of the failure.
        reason: String,
    },
}

/// Reads the exchanges of a file: `.csv` is parsed as Azure's arrival traces, anything else as
/// Mooncake's JSON lines.
///
/// # Errors
/// When the file cannot be read, or a line is invalid.
pub fn read_file(path: &Path, chat: &ChatDefaults) -> Result<Vec<Exchange>, SourceError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| SourceError::File {
        path: name.clone(),
        source,
    })?;
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let exchanges = if is_csv {
        azure::read(&text)
    } else {
        jsonl::read(&text, chat)
    };
    exchanges.map_err(|error| SourceError::Line { path: name, error })
}

/// Sorts exchanges by time, and makes their times relative to the first one.
fn from_first(mut exchanges: Vec<Exchange>) -> Vec<Exchange> {
    exchanges.sort_by_key(|exchange| exchange.at);
    let first = exchanges.first().map_or(Duration::ZERO, |first| first.at);
    for exchange in &mut exchanges {
        exchange.at = exchange.at.saturating_sub(first);
    }
    exchanges
}
