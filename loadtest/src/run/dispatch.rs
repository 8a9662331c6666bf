//! The thread that dispatches requests at their scheduled instants.
//!
//! It is a thread because a task would wait for its turn behind the responses that it must not wait
//! for. It sleeps on the kernel's high-resolution timer until shortly before each absolute instant
//! and spins from there, at most [`SPIN`] per request: waking up a core takes as long. A request
//! that is overdue is dispatched at once, and the next instant does not move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::queue::Queue;
use crate::alarm::sharpen_this_thread;

/// The longest spin before an instant: a fifth of a core at 2,000 requests per second.
const SPIN: Duration = Duration::from_micros(100);

/// A request and the instant it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Time from the start of the load.
    pub(crate) offset: Duration,
    /// Index among the load's requests.
    pub(crate) request: usize,
}

/// A running dispatcher. It stops when dropped, and closes its queue after the last request.
#[derive(Debug)]
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_stopped: AtomicBool,
    dispatched: AtomicU64,
}

impl Dispatcher {
    /// Dispatches into `queue` at `start` plus each offset of `schedule`. Offsets must ascend.
    pub(super) fn start(
        schedule: impl Iterator<Item = Due> + Send + 'static,
        start: Instant,
        queue: Arc<Queue>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("dispatch".to_owned())
            .spawn(move || {
                sharpen_this_thread();
                for_thread.dispatch_all(schedule, start, &queue);
                queue.close();
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The number of requests that have been due so far.
    pub(super) fn dispatched(&self) -> u64 {
        self.shared.dispatched.load(Ordering::Relaxed)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().ok();
        }
    }
}

impl Shared {
    fn dispatch_all(&self, schedule: impl Iterator<Item = Due>, start: Instant, queue: &Queue) {
        for Due { offset, request } in schedule {
            let due = start + offset;
            loop {
                if self.is_stopped.load(Ordering::Acquire) {
                    return;
                }
                let wait = due.saturating_duration_since(Instant::now());
                if wait.is_zero() {
                    break;
                }
                match wait.checked_sub(SPIN) {
                    Some(sleep) if !sleep.is_zero() => thread::park_timeout(sleep),
                    _ => std::hint::spin_loop(),
                }
            }
            queue.dispatch(due, request);
            self.dispatched.fetch_add(1, Ordering::Relaxed);
        }
    }
}
