//! The faults of a configuration: all at once, each with its place.

use std::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line in the YAML, from 1; 0 if the fault is not in the file (an environment variable, or a file
    /// that cannot be read).
    pub line: usize,
    /// Key path, for example `routes[0].sampling.ratio`, or the variable's name; empty for the whole
    /// file.
    pub path: String,
    /// The fault, without a full stop.
    pub message: String,
}

/// Every fault of one configuration, in the order of lines. Displayed one per line, for example
/// `offpath.yaml:12: routes[0].match.path_prefix: must begin with "/"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file's name, as given.
    pub file: String,
    /// At least one.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            f.write_str(&self.file)?;
            if error.line > 0 {
                write!(f, ":{}", error.line)?;
            }
            if !error.path.is_empty() {
                write!(f, ": {}", error.path)?;
            }
            write!(f, ": {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
