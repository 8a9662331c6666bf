//! Where recorded exchanges come from.
//!
//! Each source reads all of it before anything is sent: a line that is none stops the replay
//! before it begins, and is named.

mod azure;
mod jsonl;
mod mlflow;
mod otlp;

pub use self::mlflow::{Experiment, Read, Tracking};

use std::path::Path;
use std::time::Duration;

use super::{Chat, Exchange};

/// Why there is nothing to replay.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line is not what the format has.
    #[error("`{path}`, line {line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// MLflow has not answered, or with something else.
    #[error("MLflow at `{uri}`: {reason}")]
    Mlflow {
        /// Its address.
        uri: String,
        /// What happened.
        reason: String,
    },
}

/// Reads a file: `.csv` as Azure's arrival traces, anything else as Mooncake's JSON lines.
///
/// # Errors
/// When the file cannot be read, or a line is broken.
pub fn read_file(path: &Path, chat: &Chat) -> Result<Vec<Exchange>, SourceError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| SourceError::File {
        path: name.clone(),
        source,
    })?;
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let read = if is_csv {
        azure::read(&text)
    } else {
        jsonl::read(&text, chat)
    };
    read.map_err(|(line, reason)| SourceError::Line {
        path: name,
        line,
        reason,
    })
}

/// Orders exchanges by time, and counts their times from the first.
fn from_first(mut exchanges: Vec<Exchange>) -> Vec<Exchange> {
    exchanges.sort_by_key(|exchange| exchange.at);
    let first = exchanges.first().map_or(Duration::ZERO, |first| first.at);
    for exchange in &mut exchanges {
        exchange.at = exchange.at.saturating_sub(first);
    }
    exchanges
}
