//! Traces that a sink refused, set aside on disk with the sink's words, for a person to look at.
//!
//! They count as dropped. One file each, the oldest go first when their share of the disk is full.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::otlp_read::otlp_json;
use crate::record::Record;
use crate::spool::Disk;

/// The folder within a destination's.
pub(crate) const FOLDER: &str = "refused";

/// See the module.
#[derive(Debug)]
pub(crate) struct Aside {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    bytes_max: u64,
}

impl Aside {
    pub(crate) fn new(disk: Arc<dyn Disk>, shelf: &std::path::Path, bytes_max: u64) -> Self {
        Self {
            disk,
            folder: shelf.join(FOLDER),
            bytes_max,
        }
    }

    /// Keeps a trace and why it was refused. One that is too large for the share is not kept.
    pub(crate) fn put(&self, record: &Record, words: &str) -> io::Result<()> {
        let content = json!({
            "refused": words,
            "route": record.route,
            "ended_unix_ms": record.offered_ms,
            "request": otlp_json(&record.bytes),
        });
        let content = content.to_string();
        let bytes = content.len() as u64;
        if bytes > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.disk.make_folder(&self.folder)?;
        self.make_room(bytes)?;
        // Names in the order of time.
        let name = format!("{:015}-tr-{}.json", record.offered_ms, record.trace_id);
        self.disk
            .replace(&self.folder.join(name), content.as_bytes())
    }

    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files = self.disk.list(&self.folder)?;
        files.sort();
        let mut used: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        for (name, size) in files {
            if used + bytes <= self.bytes_max {
                break;
            }
            self.disk.remove(&self.folder.join(name))?;
            used -= size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use offpath_trace::TraceId;

    use super::*;
    use crate::spool::tests::faulty::Faulty;

    #[test]
    fn the_newest_refused_traces_are_kept_with_the_sinks_words() {
        let disk = Faulty::default();
        let aside = Aside::new(Arc::new(disk.clone()), "s".as_ref(), 400);
        for id in 1..=9_u64 {
            let record = Record {
                trace_id: TraceId::from_random(id.into()),
                route: "r".into(),
                bytes: bytes::Bytes::new(),
                info: None,
                offered: Instant::now(),
                offered_ms: id,
                encoded: Instant::now(),
                _ticket: None,
            };
            aside.put(&record, "422: no such field").unwrap();
        }
        let files = disk.files(".json");
        let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
        assert!(
            files.len() > 1 && files.len() < 9 && bytes <= 400,
            "{files:?}"
        );
        let (path, content) = files.last().unwrap();
        assert!(path.to_str().unwrap().contains(&format!("{:032x}", 9)));
        assert!(String::from_utf8_lossy(content).contains("422: no such field"));
    }
}
