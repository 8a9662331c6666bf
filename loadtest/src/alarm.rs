//! Waking a task at an absolute instant, finer than the runtime's timer.
//!
//! tokio's timer rounds up to the next millisecond. An [`Alarm`] is one thread that waits on the
//! kernel's high-resolution timer with the slack set to its minimum, and wakes tasks when they are
//! due. It never wakes early and never spins: an endpoint that spun for each of a thousand streams
//! would take the cores from the program under test. A wait ends some 60 us late where the core has
//! to wake up first. What it does not promise: that the woken task gets a CPU
//! at once.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::oneshot;

/// Longer waits first sleep on the runtime's timer to this long before the instant, so that a wait
/// that is dropped leaves nothing behind here for long.
const FINE: Duration = Duration::from_millis(2);

/// Wakes tasks at their instants. Cheap to clone; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Alarm {
    owner: Arc<Owner>,
}

impl Alarm {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("alarm".to_owned())
            .spawn(move || ring(&for_thread))?;
        Ok(Self {
            owner: Arc::new(Owner { shared }),
        })
    }

    /// Returns at `at`, or at once where that has passed.
    pub async fn sleep_until(&self, at: Instant) {
        let now = Instant::now();
        if at <= now {
            return;
        }
        if let Some(coarse) = at.checked_sub(FINE)
            && coarse > now
        {
            tokio::time::sleep_until(coarse.into()).await;
        }
        let (tell, told) = oneshot::channel();
        self.owner.shared.push(Entry { at, tell });
        told.await
            .expect("the thread lives as long as `self`, and sends before it forgets an entry");
    }
}

/// Asks the kernel to wake this thread on time rather than within 50 us of it.
///
/// Where the system refuses, waits are that much later, which the dispatch lag then shows.
pub fn sharpen_this_thread() {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).ok();
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: BinaryHeap<Reverse<Entry>>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Entry) {
        let mut state = self.lock();
        let is_first = state.waiting.peek().is_none_or(|first| entry < first.0);
        state.waiting.push(Reverse(entry));
        if is_first {
            self.changed.notify_one();
        }
    }
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    tell: oneshot::Sender<()>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

fn ring(shared: &Shared) {
    sharpen_this_thread();
    let mut state = shared.lock();
    while !state.closed {
        let now = Instant::now();
        let wait = state
            .waiting
            .peek()
            .map(|Reverse(first)| first.at.saturating_duration_since(now));
        state = match wait {
            None => shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(Duration::ZERO) => {
                if let Some(Reverse(due)) = state.waiting.pop() {
                    // The waiting future may have been dropped: nobody is left to wake.
                    due.tell.send(()).ok();
                }
                state
            }
            Some(wait) => {
                shared
                    .changed
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_never_ends_early_and_ends_in_order_of_the_instants() {
        let alarm = Alarm::start().unwrap();
        let start = Instant::now();
        let wait = async |micros| {
            let at = start + Duration::from_micros(micros);
            alarm.sleep_until(at).await;
            assert!(Instant::now() >= at);
            micros
        };
        let order = std::sync::Mutex::new(Vec::new());
        let noted = async |micros| {
            let woken = wait(micros).await;
            order.lock().unwrap().push(woken);
        };
        tokio::join!(noted(60_000), noted(200), noted(30_000));
        assert_eq!(order.into_inner().unwrap(), [200, 30_000, 60_000]);
    }

    #[tokio::test]
    async fn a_dropped_wait_does_not_hold_up_the_next() {
        let alarm = Alarm::start().unwrap();
        let at = Instant::now() + Duration::from_millis(20);
        let (tell, told) = oneshot::channel();
        drop(told);
        alarm.owner.shared.push(Entry { at, tell });
        alarm.sleep_until(at).await;
        assert!(Instant::now() >= at);
    }
}
