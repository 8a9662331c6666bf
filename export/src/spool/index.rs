//! What a log knows of its segments: where to write, where to read, what is delivered. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::disk::DiskFile;
use super::format::{self, Meta};
use super::log::Recovered;
use super::segment::{self, ByRoute, Position, Segment};
use super::state::State;
use super::walk::Walk;

/// See the module.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) segments: VecDeque<Segment>,
    /// Whether the last segment takes records.
    pub(super) writing: bool,
    pub(super) next_id: u64,
    /// On disk, delivered or not.
    pub(super) bytes: u64,
    /// Where the next batch begins.
    pub(super) read: Position,
    /// Everything before it is delivered.
    pub(super) acknowledged: Position,
    /// Delivered, although not everything before it is.
    pub(super) done: Vec<Position>,
    /// Segments that are on disk, and neither read nor removed.
    pub(super) left: Vec<u64>,
    pub(super) unread: u64,
    pub(super) unread_bytes: u64,
    /// Since when something waits to be read.
    pub(super) waiting_since: Option<Instant>,
    pub(super) unsynced: Vec<Arc<dyn DiskFile>>,
}

/// Where the next record goes.
pub(super) struct Tail {
    pub(super) id: u64,
    pub(super) salt: u32,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) end: u64,
}

impl Inner {
    pub(super) fn new(state: &State) -> Self {
        Self {
            segments: VecDeque::new(),
            writing: false,
            next_id: state.acknowledged.segment.saturating_add(1),
            bytes: 0,
            read: state.acknowledged,
            acknowledged: state.acknowledged,
            done: state.done.clone(),
            left: Vec::new(),
            unread: 0,
            unread_bytes: 0,
            waiting_since: None,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn recover(&mut self, scanned: segment::Scanned, recovered: &mut Recovered) {
        recovered.gaps += scanned.gaps;
        let segment = scanned.segment;
        let from = if self.read.segment == segment.id {
            self.read.offset.max(segment.begin)
        } else {
            segment.begin
        };
        for (route, count) in &segment.unread {
            *recovered.records.entry(Arc::clone(route)).or_default() += count;
            self.unread += count;
        }
        self.unread_bytes += segment.end.saturating_sub(from);
        // What waited through a restart is due.
        if self.unread > 0 && self.waiting_since.is_none() {
            self.waiting_since = Some(Instant::now());
        }
        self.segments.push_back(segment);
    }

    /// Where the next record goes; `None`: a segment is to begin.
    pub(super) fn tail(&self, bytes: u64, segment_bytes: u64) -> Option<Tail> {
        let last = self.segments.back().filter(|_| self.writing)?;
        let full = last.end > last.begin && last.end + bytes > segment_bytes;
        (!full).then(|| Tail {
            id: last.id,
            salt: last.salt,
            file: Arc::clone(&last.file),
            end: last.end,
        })
    }

    /// An id that was never given out, also where its segment does not come about.
    pub(super) fn new_id(&mut self) -> u64 {
        self.writing = false;
        let id = self.next_id;
        self.next_id = id + 1;
        id
    }

    pub(super) fn begun(&mut self, segment: Segment) {
        self.bytes += segment.end;
        self.writing = true;
        self.segments.push_back(segment);
    }

    pub(super) fn appended(&mut self, tail: &Tail, meta: &Meta, bytes: u64) {
        let found = self.segments.iter_mut().rfind(|found| found.id == tail.id);
        if let Some(segment) = found {
            segment.end = tail.end + bytes;
            *segment.unread.entry(Arc::clone(&meta.route)).or_default() += 1;
            self.unread += 1;
            self.unread_bytes += bytes;
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        let known = |file: &Arc<dyn DiskFile>| Arc::ptr_eq(file, &tail.file);
        if !self.unsynced.iter().any(known) {
            self.unsynced.push(Arc::clone(&tail.file));
        }
        self.bytes += bytes;
    }

    /// A place that took nothing may be bad for good, so what comes next begins a segment; but an
    /// empty one serves again.
    pub(super) fn append_failed(&mut self, tail: &Tail, cut: bool, bytes: u64) {
        let empty = self
            .segments
            .back()
            .is_some_and(|last| last.end == last.begin);
        self.writing &= cut && empty;
        if !cut {
            self.bytes += bytes.saturating_sub(tail.end);
        }
    }

    /// Takes out the segments that hold nothing but what was delivered.
    pub(super) fn delivered(&mut self, next: Position) -> Vec<Segment> {
        self.acknowledged = self.acknowledged.max(next);
        let upto = self.acknowledged;
        self.done.retain(|at| *at >= upto);
        let mut delivered = Vec::new();
        while let Some(first) = self.segments.front() {
            let writing = self.writing && self.segments.len() == 1;
            let whole =
                upto.segment > first.id || (upto.segment == first.id && upto.offset >= first.end);
            if writing || !whole {
                break;
            }
            delivered.extend(self.segments.pop_front());
        }
        delivered
    }

    pub(super) fn index_at(&self, at: Position) -> Option<usize> {
        self.segments
            .iter()
            .position(|segment| segment.id >= at.segment)
    }

    /// The unread part of the segment at the read position; behind a segment's end, the next.
    /// Records that a segment should have had are `lost`.
    pub(super) fn next_piece(&mut self, lost: &mut ByRoute) -> Option<(Walk, u64, u64)> {
        loop {
            let index = self.index_at(self.read)?;
            let last = index + 1 == self.segments.len();
            let segment = self.segments.get_mut(index)?;
            if self.read.segment != segment.id {
                self.read = Position {
                    segment: segment.id,
                    offset: segment.begin,
                };
            }
            let from = self.read.offset.max(segment.begin);
            if from < segment.end {
                let walk = Walk::new(Arc::clone(&segment.file), segment.salt, from);
                return Some((walk, segment.id, segment.end));
            }
            let unread = std::mem::take(&mut segment.unread);
            for (route, count) in unread.into_iter().filter(|(_, count)| *count > 0) {
                self.unread = self.unread.saturating_sub(count);
                *lost.entry(route).or_default() += count;
            }
            if last {
                self.unread_bytes = 0;
                self.waiting_since = None;
                return None;
            }
            self.read = Position {
                segment: segment.id + 1,
                offset: 0,
            };
        }
    }

    /// The read position moves on in its segment, past a record where there was one.
    pub(super) fn passed(&mut self, segment: u64, to: u64, record: Option<&format::Head>) {
        let before = std::mem::replace(
            &mut self.read,
            Position {
                segment,
                offset: to,
            },
        );
        let bytes = to.saturating_sub(before.offset);
        self.unread_bytes = self.unread_bytes.saturating_sub(bytes);
        if let Some(head) = record {
            let found = self.segments.iter_mut().find(|found| found.id == segment);
            if let Some(count) = found.and_then(|found| found.unread.get_mut(&head.meta.route)) {
                *count = count.saturating_sub(1);
            }
            self.unread = self.unread.saturating_sub(1);
        }
        self.waiting_since = (self.unread > 0).then(Instant::now);
    }
}
