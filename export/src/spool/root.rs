//! The spool's folder: one process at a time, a folder in it per destination.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offpath_config::ExperimentRef;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::disk::{Disk, System};
use super::log::{Log, Recovered};
use super::segment;
use super::state::State;

const LOCK: &str = "lock";
/// Characters of a sink's name in its folder's.
const SLUG_CHARS_MAX: usize = 40;

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("spool `{0}` is in use by another process")]
    InUse(PathBuf),
    /// The folder cannot be made, listed or locked.
    #[error("cannot use spool `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The destination of a folder's records, as its segments say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) sink: Arc<str>,
    /// `None`: a sink that knows no experiments, or the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) experiment: Option<Arc<str>>,
    /// `none`, `default`, `id` or `name`: what the experiment is.
    pub(crate) kind: ExperimentKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExperimentKind {
    None,
    Default,
    Id,
    Name,
}

/// A locked spool.
#[derive(Debug)]
pub(crate) struct Root {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Name {
    pub(crate) fn new(sink: &Arc<str>, experiment: Option<&ExperimentRef>) -> Self {
        let (kind, experiment) = match experiment {
            None => (ExperimentKind::None, None),
            Some(ExperimentRef::Default) => (ExperimentKind::Default, None),
            Some(ExperimentRef::Id(id)) => (ExperimentKind::Id, Some(Arc::clone(id))),
            Some(ExperimentRef::Name(name)) => (ExperimentKind::Name, Some(Arc::clone(name))),
        };
        Self {
            sink: Arc::clone(sink),
            experiment,
            kind,
        }
    }

    /// What it was made of.
    pub(crate) fn experiment(&self) -> Option<ExperimentRef> {
        match (self.kind, &self.experiment) {
            (ExperimentKind::Id, Some(id)) => Some(ExperimentRef::Id(Arc::clone(id))),
            (ExperimentKind::Name, Some(name)) => Some(ExperimentRef::Name(Arc::clone(name))),
            (ExperimentKind::Default, _) => Some(ExperimentRef::Default),
            _ => None,
        }
    }

    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        // Text and a word: neither can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The name of its folder: readable, and never that of another.
    fn folder(&self) -> String {
        let plain = |char: char| match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => char,
            _ => '_',
        };
        let slug: String = self.sink.chars().map(plain).take(SLUG_CHARS_MAX).collect();
        format!("{slug}-{:016x}", xxh3_64(&self.json()))
    }
}

impl Root {
    /// Makes the folder where it is not there, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, SpoolError> {
        let disk: Arc<dyn Disk> = Arc::new(System);
        let failed = |source| SpoolError::Folder {
            path: path.to_owned(),
            source,
        };
        disk.make_folder(path).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        let lock = options.open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self {
            disk,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Opens one destination's log, whatever state it is in.
    pub(crate) fn log(&self, name: &Name, quota: u64) -> io::Result<(Log, Recovered, State)> {
        let folder = self.path.join(name.folder());
        let state = State::recover(&*self.disk, &folder)?;
        let disk = Arc::clone(&self.disk);
        let (log, recovered) = Log::open(disk, folder, &name.json(), quota, &state)?;
        Ok((log, recovered, state))
    }

    /// Bytes in folders of other destinations than these.
    pub(crate) fn foreign_bytes(&self, names: &[Name]) -> u64 {
        let known: Vec<_> = names.iter().map(Name::folder).collect();
        let folders = self.disk.list(&self.path).unwrap_or_default();
        let foreign = folders
            .into_iter()
            .filter(|(name, _)| !known.contains(name));
        let bytes = |(name, _): (String, u64)| -> u64 {
            let segments = segment::list(&*self.disk, &self.path.join(name));
            segments
                .unwrap_or_default()
                .iter()
                .map(|found| found.3)
                .sum()
        };
        foreign.map(bytes).sum()
    }
}
