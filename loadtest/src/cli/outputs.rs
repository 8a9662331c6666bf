//! Files that a result is written to, beside the table on stdout.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

/// Where to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Outputs {
    /// Write the result as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures as CSV, too
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a page with plots, too, that needs nothing but itself
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// The files, open.
pub(super) struct Opened {
    json: Option<File>,
    csv: Option<File>,
    html: Option<File>,
}

impl Outputs {
    /// Before the load: what was measured must not be lost to a mistyped path.
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
            let written = file.write_all(csv().as_bytes());
            written.context("cannot write the CSV")?;
        }
        if let Some(mut file) = self.html {
            let written = file.write_all(html().as_bytes());
            written.context("cannot write the page")?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot write `{}`", path.display()))
}
