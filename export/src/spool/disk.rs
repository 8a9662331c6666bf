//! The file system as the spool needs it, so that tests can put a failing one in its place.
//!
//! What the real one promises: files are made with mode 0600, folders with 0700.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files by their path.
pub(crate) trait Disk: Send + Sync + std::fmt::Debug {
    /// Makes a folder, and those it lies in; one that is there is fine.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// The names in a folder and their sizes; folders have size 0.
    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Makes a file that is not there yet, to read and write.
    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read.
    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Puts a whole small file in the place of another: after a crash it is the old or the new.
    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, file: &Path) -> io::Result<()>;
}

/// An open file. Positions are given with each call, so threads can share it.
pub(crate) trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Bytes in it.
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes up to `bytes.len()` bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts it to this length.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Waits until the device has what was written.
    fn sync(&self) -> io::Result<()>;
}

/// Reads until the buffer is full or the file ends; how much there was.
pub(crate) fn read_up_to(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all of it, or fails having written some.
pub(crate) fn write_all(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + written as u64) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file of at most `limit` bytes, whole; longer ones are an error.
pub(crate) fn read_small(disk: &dyn Disk, file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(file)?;
    let len = file.len()?;
    if len > limit {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut content = vec![0; usize::try_from(len).unwrap_or(0)];
    let filled = read_up_to(&*file, &mut content, 0)?;
    content.truncate(filled);
    Ok(content)
}

/// The operating system's.
#[derive(Debug)]
pub(crate) struct System;

impl Disk for System {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let bytes = if metadata.is_file() {
                metadata.len()
            } else {
                0
            };
            // The spool's own names are ASCII; others are none of its business.
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, bytes));
            }
        }
        Ok(names)
    }

    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Arc::new(SystemFile(options.open(file)?)))
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SystemFile(File::open(file)?)))
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        let beside = beside(file);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&beside)
            .and_then(|new| write_all(&SystemFile(new), content, 0))
            .and_then(|()| fs::rename(&beside, file));
        if written.is_err() {
            // It may never have been made.
            fs::remove_file(&beside).ok();
        }
        written
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
