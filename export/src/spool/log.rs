//! One destination's records on disk: appended at one end, read and acknowledged at the other.
//!
//! Promises: an append returns after the operating system has the record, so that it outlives
//! the process; a record is read once per process, in the order of writing, and again by the
//! next process unless it was acknowledged; what was damaged is skipped and told; never more
//! bytes on disk than the quota; memory holds the list of segments and one batch.
//!
//! What it does not know: sinks, claims, or what is in a body.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::disk::{Disk, write_all};
use super::format::{self, Meta};
use super::index::{Inner, Tail};
use super::segment::{self, ByRoute, Position, Segment};
use super::state::State;
use super::walk::{Found, Walk};

/// A segment is closed when it is this full, in shares of the quota: what was delivered is freed
/// segment by segment.
const SEGMENTS_PER_QUOTA: u64 = 16;
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// What each segment begins with.
    beginning: Vec<u8>,
    quota: u64,
    /// Held by one who writes.
    appending: Mutex<()>,
    /// Never held while the disk is at work.
    inner: Mutex<Inner>,
}

/// Why a record is not on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the quota is used up")]
    Full,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) at: Position,
    pub(crate) meta: Meta,
    pub(crate) body: Vec<u8>,
}

/// What one read found.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Stored>,
    /// Records that are there no more, or not as they were written.
    pub(crate) lost: ByRoute,
    /// Places that hold no sound record.
    pub(crate) damaged: u64,
    /// What is read next; acknowledged once these are delivered.
    pub(crate) next: Position,
}

/// What was there at the start.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) records: ByRoute,
    pub(crate) gaps: u64,
    /// Segments that could not be read, or are of another version: left as they are, by every
    /// process from then on.
    pub(crate) skipped: u64,
}

/// What waits to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) since: Option<Instant>,
}

impl Log {
    /// Opens a folder, whatever is in it, and counts what waits there.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        name: &[u8],
        quota: u64,
        state: &State,
    ) -> io::Result<(Self, Recovered)> {
        disk.make_folder(&folder)?;
        let mut inner = Inner::new(state);
        let mut recovered = Recovered::default();
        for (path, id, salt, bytes) in segment::list(&*disk, &folder)? {
            inner.next_id = inner.next_id.max(id.saturating_add(1));
            if state.is_delivered(id) {
                // Delivered; its removal failed, or the process died before it.
                if disk.remove(&path).is_err() {
                    inner.bytes += bytes;
                }
                continue;
            }
            inner.bytes += bytes;
            let from = state.first_offset(id);
            // Nothing is read from before the position, not even what was left there.
            let scanned = match state.left.contains(&id) && id < state.acknowledged.segment {
                true => Ok(None),
                false => segment::scan(&*disk, &path, (id, salt), from, &state.done),
            };
            match scanned {
                Ok(Some(scanned)) => inner.recover(scanned, &mut recovered),
                Ok(None) | Err(_) => {
                    inner.left.push(id);
                    recovered.skipped += 1;
                }
            }
        }
        let log = Self {
            disk,
            folder,
            beginning: format::beginning(name),
            quota,
            appending: Mutex::new(()),
            inner: Mutex::new(inner),
        };
        Ok((log, recovered))
    }

    /// Writes a record. Returns after the operating system has it. A disk that hangs holds up
    /// those who append, and nobody who only looks.
    pub(crate) fn append(&self, meta: &Meta, body: &[u8]) -> Result<(), AppendError> {
        let _one_at_a_time = self
            .appending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let bytes = (format::HEAD_BYTES + format::META_BYTES_MAX) as u64 + body.len() as u64;
        let segment_bytes = (self.quota / SEGMENTS_PER_QUOTA).min(SEGMENT_BYTES_MAX);
        let tail = {
            let inner = self.lock();
            if inner.bytes + bytes + self.beginning.len() as u64 > self.quota {
                return Err(AppendError::Full);
            }
            inner.tail(bytes, segment_bytes)
        };
        let tail = match tail {
            Some(tail) => tail,
            None => self.begin_segment()?,
        };
        let Some(mut record) = format::head(tail.salt, meta, body) else {
            return Err(AppendError::Full);
        };
        // One write, so that a process that dies leaves the record or nothing of it.
        record.extend_from_slice(body);
        match write_all(&*tail.file, &record, tail.end) {
            Ok(()) => {
                self.lock().appended(&tail, meta, record.len() as u64);
                Ok(())
            }
            Err(error) => {
                // What cannot be cut off is skipped by the next process.
                let cut = tail.file.truncate(tail.end);
                let bytes = tail.file.len().unwrap_or(tail.end);
                self.lock().append_failed(&tail, cut.is_ok(), bytes);
                Err(error.into())
            }
        }
    }

    fn begin_segment(&self) -> io::Result<Tail> {
        let (id, salt) = (self.lock().new_id(), rand::random());
        let path = self.folder.join(segment::file_name(id, salt));
        let file = self.disk.create(&path)?;
        if let Err(error) = write_all(&*file, &self.beginning, 0) {
            // Where it cannot be removed either, it is an empty segment for the next process.
            self.disk.remove(&path).ok();
            return Err(error);
        }
        let begin = self.beginning.len() as u64;
        let segment = Segment {
            id,
            salt,
            file: Arc::clone(&file),
            begin,
            end: begin,
            unread: ByRoute::new(),
        };
        self.lock().begun(segment);
        let end = begin;
        Ok(Tail {
            id,
            salt,
            file,
            end,
        })
    }

    /// Reads what comes next: at most so many records and bytes, but one record at least where
    /// there is one.
    pub(crate) fn read(&self, records_max: usize, bytes_max: usize) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        loop {
            let Some((mut walk, id, end)) = self.lock().next_piece(&mut batch.lost) else {
                break;
            };
            let read = self.read_piece(&mut walk, (id, end), &mut batch, |batch, next| {
                let fits = batch.records.len() < records_max && bytes + next <= bytes_max;
                let takes = fits || batch.records.is_empty();
                bytes += if takes { next } else { 0 };
                takes
            });
            match read {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if batch.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        batch.next = self.lock().read;
        Ok(batch)
    }

    /// `false`: the batch is full.
    fn read_piece(
        &self,
        walk: &mut Walk,
        (segment, end): (u64, u64),
        batch: &mut Batch,
        mut takes: impl FnMut(&Batch, usize) -> bool,
    ) -> io::Result<bool> {
        loop {
            match walk.next(end)? {
                Found::End => return Ok(true),
                Found::Gap { .. } => batch.damaged += 1,
                Found::Record { at, head } => {
                    let at = Position {
                        segment,
                        offset: at,
                    };
                    if self.lock().done.contains(&at) {
                        self.lock().passed(segment, walk.at(), None);
                        continue;
                    }
                    if !takes(batch, head.body_bytes as usize) {
                        return Ok(false);
                    }
                    let body = walk.body(at.offset, &head)?;
                    self.lock().passed(segment, walk.at(), Some(&head));
                    let meta = head.meta;
                    match body {
                        Some(body) => batch.records.push(Stored { at, meta, body }),
                        None => {
                            batch.damaged += 1;
                            *batch.lost.entry(meta.route).or_default() += 1;
                        }
                    }
                }
            }
            self.lock().passed(segment, walk.at(), None);
        }
    }

    /// Goes on behind a segment that cannot be read; what was in it is lost.
    pub(crate) fn give_up_segment(&self) -> Batch {
        let mut inner = self.lock();
        let mut batch = Batch::default();
        let at = inner.read;
        if let Some(index) = inner.index_at(at) {
            if index + 1 == inner.segments.len() {
                inner.writing = false;
            }
            if let Some(segment) = inner.segments.get_mut(index) {
                inner.read = Position {
                    segment: segment.id,
                    offset: segment.end,
                };
                batch.damaged = 1;
            }
            // Counts as lost what was left in it.
            inner.next_piece(&mut batch.lost);
        }
        batch.next = inner.read;
        batch
    }

    /// Everything before `next` is delivered: segments that hold nothing else are removed.
    pub(crate) fn acknowledge(&self, next: Position) {
        let delivered = self.lock().delivered(next);
        for delivered in delivered {
            let name = segment::file_name(delivered.id, delivered.salt);
            // What cannot be removed is removed at the next start.
            if self.disk.remove(&self.folder.join(name)).is_ok() {
                let mut inner = self.lock();
                inner.bytes = inner.bytes.saturating_sub(delivered.end);
            }
        }
    }

    /// This one is delivered, although not everything before it is.
    pub(crate) fn mark_done(&self, at: Position) {
        self.lock().done.push(at);
    }

    /// What is delivered; without accounts, which are not the log's.
    pub(crate) fn state(&self) -> State {
        let inner = self.lock();
        State {
            acknowledged: inner.acknowledged,
            done: inner.done.clone(),
            left: inner.left.clone(),
            accounts: BTreeMap::new(),
        }
    }

    pub(crate) fn waiting(&self) -> Waiting {
        let inner = self.lock();
        Waiting {
            records: inner.unread,
            bytes: inner.unread_bytes,
            since: inner.waiting_since,
        }
    }

    /// On disk, delivered or not, and the most that may be.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.lock().bytes, self.quota)
    }

    /// Waits until the device has all records. One segment that it does not take keeps no other
    /// from it, and is not tried again: what a device refused once is gone from the cache.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let files = std::mem::take(&mut self.lock().unsynced);
        let synced = files.iter().map(|file| file.sync());
        synced.fold(Ok(()), Result::and)
    }

    /// Closes the segment that is written to, and removes it where all of it is delivered.
    pub(crate) fn close(&self) {
        let acknowledged = {
            let mut inner = self.lock();
            inner.writing = false;
            inner.acknowledged
        };
        self.acknowledge(acknowledged);
    }

    pub(crate) fn folder(&self) -> &PathBuf {
        &self.folder
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// Whether nothing came of the read, not even a loss.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.lost.is_empty() && self.damaged == 0
    }
}
