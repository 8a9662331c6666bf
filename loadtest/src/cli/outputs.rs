//! The files that a result is written to in addition to the table on stdout.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

/// The options that name output files.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Outputs {
    /// Also write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the figures as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also write a self-contained HTML page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// The output files, opened for writing.
pub(super) struct Opened {
    json: Option<File>,
    csv: Option<File>,
    html: Option<File>,
}

impl Outputs {
    /// Opens the files. Commands call this before the load, so that a mistyped path does not cost
    /// the measurements.
    pub(super) fn open(&self) -> anyhow::Result<Opened> {
        let create = |path: &Option<PathBuf>| path.as_deref().map(create).transpose();
        Ok(Opened {
            json: create(&self.json)?,
            csv: create(&self.csv)?,
            html: create(&self.html)?,
        })
    }
}

impl Opened {
    pub(super) fn write(
        self,
        result: &impl Serialize,
        csv: impl FnOnce() -> String,
        html: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if let Some(mut file) = self.json {
            serde_json::to_writer_pretty(&mut file, result).context("cannot write the JSON")?;
            writeln!(file).context("cannot write the JSON")?;
        }
        if let Some(mut file) = self.csv {
            file.write_all(csv().as_bytes())
                .context("cannot write the CSV")?;
        }
        if let Some(mut file) = self.html {
            file.write_all(html().as_bytes())
                .context("cannot write the page")?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot write `{}`", path.display()))
}
