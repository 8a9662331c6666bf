//! A timer that wakes tasks at absolute instants with microsecond resolution.
//!
//! tokio's timer rounds up to the next millisecond. An [`Alarm`] is one thread that waits on the
//! kernel's high-resolution timer with minimal timer slack and wakes tasks when they are due. It
//! never wakes a task early and never spins: an endpoint that spun for each of a thousand streams
//! would take the cores from the program under test. A wait ends about 60 us late if the core has
//! to wake up first, and the woken task may still have to wait for a CPU.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Longer waits sleep on the runtime's timer until this long before the instant, so that a dropped
/// wait does not leave its entry in the queue for long.
const FINE: Duration = Duration::from_millis(2);

/// A handle to the timer thread. It is cheap to clone; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Alarm {
    owner: Arc<Owner>,
}

impl Alarm {
    /// Starts the timer thread.
    ///
    /// # Errors
    /// When the operating system cannot start a thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("alarm".to_owned())
            .spawn(move || run(&for_thread))?;
        Ok(Self {
            owner: Arc::new(Owner { shared }),
        })
    }

    /// Waits until `at`. It returns immediately if `at` has passed.
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
        let (wake, woken) = oneshot::channel();
        self.owner.shared.push(Entry { at, wake });
        woken
            .await
            .expect("the thread lives as long as `self` and wakes every entry before removing it");
    }
}

/// Sets the timer slack of this thread to 1 ns, instead of the default 50 us.
///
/// If the system refuses, waits end up to 50 us later, which shows in the dispatch lag.
pub fn sharpen_this_thread() {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).ok();
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
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
    fn push(&self, entry: Entry) {
        let mut state = self.state.lock();
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
    wake: oneshot::Sender<()>,
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

fn run(shared: &Shared) {
    sharpen_this_thread();
    let mut state = shared.state.lock();
    while !state.closed {
        let now = Instant::now();
        let wait = state
            .waiting
            .peek()
            .map(|Reverse(first)| first.at.saturating_duration_since(now));
        match wait {
            None => shared.changed.wait(&mut state),
            Some(Duration::ZERO) => {
                if let Some(Reverse(due)) = state.waiting.pop() {
                    // The waiting future may have been dropped, which leaves nobody to wake.
                    due.wake.send(()).ok();
                }
            }
            Some(wait) => {
                shared.changed.wait_for(&mut state, wait);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_never_end_early_and_end_in_the_order_of_their_instants() {
        let alarm = Alarm::start().unwrap();
        let start = Instant::now();
        let wait = async |micros| {
            let at = start + Duration::from_micros(micros);
            alarm.sleep_until(at).await;
            assert!(Instant::now() >= at);
            micros
        };
        let order = Mutex::new(Vec::new());
        let record = async |micros| {
            let woken = wait(micros).await;
            order.lock().push(woken);
        };
        tokio::join!(record(60_000), record(200), record(30_000));
        assert_eq!(order.into_inner(), [200, 30_000, 60_000]);
    }

    #[tokio::test]
    async fn a_dropped_wait_does_not_delay_the_next() {
        let alarm = Alarm::start().unwrap();
        let at = Instant::now() + Duration::from_millis(20);
        let (wake, woken) = oneshot::channel();
        drop(woken);
        alarm.owner.shared.push(Entry { at, wake });
        alarm.sleep_until(at).await;
        assert!(Instant::now() >= at);
    }
}
