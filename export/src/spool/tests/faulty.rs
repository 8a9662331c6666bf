//! A disk in memory that fails as it is told.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::spool::disk::{Disk, DiskFile};

/// Files in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faulty {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    files: BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>,
    faults: Faults,
    /// Operations since the faults were set.
    operations: usize,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// The disk takes no more than so many bytes: then it is full, in the middle of a write.
    pub(crate) room: Option<usize>,
    /// No call writes more than so many bytes.
    pub(crate) short: Option<usize>,
    /// Reads fail.
    pub(crate) read: bool,
    /// Writes, and all that changes a folder, fail.
    pub(crate) write: bool,
    /// Files cannot be cut.
    pub(crate) truncate: bool,
    /// The device does not confirm.
    pub(crate) sync: bool,
    /// The operation of this number fails, whichever it is; a write halfway.
    pub(crate) nth: Option<Nth>,
}

/// One operation, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nth {
    pub(crate) at: usize,
    /// All after it fail as well.
    pub(crate) and_after: bool,
}

#[derive(Debug)]
struct FaultyFile {
    disk: Faulty,
    content: Arc<Mutex<Vec<u8>>>,
}

impl Faulty {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    pub(crate) fn set(&self, faults: Faults) {
        let mut shared = self.lock();
        (shared.faults, shared.operations) = (faults, 0);
    }

    /// How many operations there were since the faults were set.
    pub(crate) fn operations(&self) -> usize {
        self.lock().operations
    }

    /// One more operation.
    fn operation(&self) -> io::Result<()> {
        let mut shared = self.lock();
        let number = shared.operations;
        shared.operations += 1;
        match shared.faults.nth {
            Some(nth) if number == nth.at || (nth.and_after && number > nth.at) => Err(wanted()),
            _ => Ok(()),
        }
    }

    /// The files whose names end so, in the order of their names.
    pub(crate) fn files(&self, end: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let shared = self.lock();
        let named = shared
            .files
            .iter()
            .filter(|(path, _)| path.to_str().unwrap().ends_with(end));
        named
            .map(|(path, content)| (path.clone(), content.lock().unwrap().clone()))
            .collect()
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.lock().files[path].lock().unwrap());
    }

    /// The same files on another disk without faults.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        for (path, content) in self.files("") {
            copy.lock()
                .files
                .insert(path, Arc::new(Mutex::new(content)));
        }
        copy
    }

    fn writable(&self) -> io::Result<()> {
        match self.lock().faults.write {
            true => Err(wanted()),
            false => Ok(()),
        }
    }

    /// How much of a write of `wanted` bytes goes through.
    fn room(&self, wanted: usize) -> io::Result<usize> {
        self.writable()?;
        let mut shared = self.lock();
        let wanted = wanted.min(shared.faults.short.unwrap_or(wanted));
        match &mut shared.faults.room {
            None => Ok(wanted),
            Some(0) => Err(ErrorKind::StorageFull.into()),
            Some(room) => {
                let taken = wanted.min(*room);
                *room -= taken;
                Ok(taken)
            }
        }
    }
}

fn wanted() -> io::Error {
    io::Error::other("as the test wants it")
}

impl Disk for Faulty {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        self.operation()?;
        self.writable()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        self.operation()?;
        let files = self.files("").into_iter();
        let within = files.filter_map(|(path, content)| {
            let name = path.strip_prefix(folder).ok()?.to_str()?.to_owned();
            Some((name, content.len() as u64))
        });
        Ok(within.collect())
    }

    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.operation()?;
        self.writable()?;
        let content = Arc::default();
        let before = self
            .lock()
            .files
            .insert(file.to_owned(), Arc::clone(&content));
        assert!(before.is_none(), "{file:?} was there");
        let disk = self.clone();
        Ok(Arc::new(FaultyFile { disk, content }))
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.operation()?;
        let found = self.lock().files.get(file).cloned();
        let content = found.ok_or(ErrorKind::NotFound)?;
        let disk = self.clone();
        Ok(Arc::new(FaultyFile { disk, content }))
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        self.operation()?;
        if self.room(content.len())? < content.len() {
            return Err(ErrorKind::StorageFull.into());
        }
        let content = Arc::new(Mutex::new(content.to_vec()));
        self.lock().files.insert(file.to_owned(), content);
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.operation()?;
        self.writable()?;
        let removed = self.lock().files.remove(file);
        removed.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.operation()?;
        Ok(self.content.lock().unwrap().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.operation()?;
        let faults = self.disk.lock().faults;
        if faults.read {
            return Err(wanted());
        }
        let content = self.content.lock().unwrap();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = rest
            .len()
            .min(buffer.len())
            .min(faults.short.unwrap_or(usize::MAX));
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let whole = self.disk.operation();
        let wanted = match whole {
            Ok(()) => bytes.len(),
            Err(_) => bytes.len() / 2,
        };
        let count = self.disk.room(wanted)?;
        let mut content = self.content.lock().unwrap();
        let end = offset as usize + count;
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset as usize..end].copy_from_slice(&bytes[..count]);
        whole.map(|()| count)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.disk.operation()?;
        if self.disk.lock().faults.truncate {
            return Err(wanted());
        }
        self.content.lock().unwrap().truncate(bytes as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.operation()?;
        match self.disk.lock().faults.sync {
            true => Err(wanted()),
            false => Ok(()),
        }
    }
}
