//! What is in a spool, for whoever looks at it from outside: read only, and without the lock, so
//! that a spool in use can be looked at too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offpath_config::ExperimentRef;

use super::disk::{Disk, System};
use super::format::Meta;
use super::root::{Name, SpoolError};
use super::segment::{self, ByRoute, Position};
use super::state::State;
use super::walk::{Found, Walk};

/// A spool's folder.
#[derive(Clone, Debug)]
pub struct SpoolView {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

/// One destination's part of it.
#[derive(Clone, Debug)]
pub struct ShelfView {
    /// Its folder.
    pub folder: PathBuf,
    /// The sink's name; `None` where no segment says it.
    pub sink: Option<Arc<str>>,
    /// The experiment there.
    pub experiment: Option<ExperimentRef>,
    /// How many segments there are.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Traces that are not delivered, by route.
    pub traces: ByRoute,
    /// When the oldest of them ended, in milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// Places that hold no whole trace.
    pub gaps: u64,
    /// Segments that cannot be read, or are of another version.
    pub unreadable: u64,
    /// Whether the file with position and accounts is sound.
    pub state_is_sound: bool,
}

/// One trace that is not delivered.
#[derive(Clone, Debug)]
pub struct SpooledTrace {
    /// The sink that it is for.
    pub sink: Option<Arc<str>>,
    /// Its route.
    pub route: Arc<str>,
    /// Its id.
    pub trace_id: offpath_trace::TraceId,
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: u64,
    /// As it is sent; `None` where it is damaged. See [`crate::otlp_json`].
    pub record: Option<Vec<u8>>,
}

impl SpoolView {
    /// Looks at a folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        let view = Self {
            disk: Arc::new(System),
            path: path.to_owned(),
        };
        view.disk.list(path).map_err(|source| SpoolError::Folder {
            path: path.to_owned(),
            source,
        })?;
        Ok(view)
    }

    /// Every destination that has something there. Reads heads, no bodies.
    pub fn shelves(&self) -> Vec<ShelfView> {
        let mut folders = self.disk.list(&self.path).unwrap_or_default();
        folders.sort();
        let view = |(name, _): (String, u64)| self.shelf(self.path.join(name));
        folders.into_iter().filter_map(view).collect()
    }

    fn shelf(&self, folder: PathBuf) -> Option<ShelfView> {
        let segments = segment::list(&*self.disk, &folder).ok()?;
        let loaded = State::load(&*self.disk, &folder);
        let state_is_sound = loaded.is_ok();
        let state = loaded.ok().flatten().unwrap_or_default();
        let mut view = ShelfView {
            folder,
            sink: None,
            experiment: None,
            segments: segments.len(),
            bytes: segments.iter().map(|found| found.3).sum(),
            traces: ByRoute::new(),
            oldest_ms: None,
            gaps: 0,
            unreadable: 0,
            state_is_sound,
        };
        for (path, id, salt, _) in segments {
            let from = state.first_offset(id);
            match segment::scan(&*self.disk, &path, (id, salt), from, &state.done) {
                Ok(Some(scanned)) => view.add(scanned, !state.is_delivered(id)),
                Ok(None) | Err(_) => view.unreadable += 1,
            }
        }
        (view.segments > 0).then_some(view)
    }

    /// Shows every trace that is not delivered, bodies and all, one at a time. What cannot be read
    /// is passed over; [`shelves`](Self::shelves) tells it.
    pub fn each_trace(&self, visit: &mut dyn FnMut(SpooledTrace)) {
        for shelf in self.shelves() {
            let state = State::load(&*self.disk, &shelf.folder);
            let state = state.ok().flatten().unwrap_or_default();
            for (path, id, salt, _) in segment::list(&*self.disk, &shelf.folder).unwrap_or_default()
            {
                if !state.is_delivered(id) {
                    // Whatever stops it here stopped the scan before, too.
                    self.each_in(&path, (id, salt), &state, &shelf.sink, visit)
                        .ok();
                }
            }
        }
    }

    fn each_in(
        &self,
        path: &Path,
        (segment, salt): (u64, u32),
        state: &State,
        sink: &Option<Arc<str>>,
        visit: &mut dyn FnMut(SpooledTrace),
    ) -> io::Result<()> {
        let from = state.first_offset(segment);
        let Some(scanned) = segment::scan(&*self.disk, path, (segment, salt), from, &[])? else {
            return Ok(());
        };
        let (file, end) = (scanned.segment.file, scanned.segment.end);
        let mut walk = Walk::new(file, salt, from.max(scanned.segment.begin));
        loop {
            match walk.next(end)? {
                Found::End => return Ok(()),
                Found::Gap { .. } => {}
                Found::Record { at, head } => {
                    let position = Position {
                        segment,
                        offset: at,
                    };
                    if state.done.contains(&position) {
                        continue;
                    }
                    let record = walk.body(at, &head)?;
                    let record = record.map(|body| crate::envelope::open(body).1.to_vec());
                    let Meta {
                        trace_id,
                        offered_ms,
                        route,
                    } = head.meta;
                    visit(SpooledTrace {
                        sink: sink.clone(),
                        route,
                        trace_id,
                        ended_ms: offered_ms,
                        record,
                    });
                }
            }
        }
    }
}

impl SpooledTrace {
    /// As MLflow would show it; `None` where it is damaged.
    pub fn stored(&self) -> Option<crate::StoredTrace> {
        crate::otlp_read::stored(self.record.as_ref()?)
    }
}

impl ShelfView {
    /// A segment that was delivered says for whom it was, and nothing more.
    fn add(&mut self, scanned: segment::Scanned, is_pending: bool) {
        let name = scanned.name.and_then(|name| Name::from_json(&name));
        if let (None, Some(name)) = (&self.sink, name) {
            self.experiment = name.experiment();
            self.sink = Some(name.sink);
        }
        if !is_pending {
            return;
        }
        self.gaps += scanned.gaps;
        for (route, count) in scanned.segment.unread {
            *self.traces.entry(route).or_default() += count;
        }
        let both = [self.oldest_ms, scanned.oldest_ms];
        self.oldest_ms = both.into_iter().flatten().min();
    }

    /// Traces that are not delivered.
    pub fn pending(&self) -> u64 {
        self.traces.values().sum()
    }
}
