//! How many requests are under way, and a way to wait for none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

/// Counts what is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    count: AtomicUsize,
    idle: Notify,
}

/// One thing under way; it ends on drop.
#[derive(Debug)]
pub(crate) struct Guard {
    shared: Arc<Shared>,
}

impl InFlight {
    /// One more.
    pub(crate) fn enter(&self) -> Guard {
        self.shared.count.fetch_add(1, SeqCst);
        Guard {
            shared: Arc::clone(&self.shared),
        }
    }

    /// One more, unless `limit` are under way.
    pub(crate) fn enter_below(&self, limit: usize) -> Option<Guard> {
        let guard = self.enter();
        (self.count() <= limit).then_some(guard)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.shared.count.load(SeqCst)
    }

    /// Waits until none is.
    pub(crate) async fn idle(&self) {
        loop {
            // Registered before the count is read, so that the last guard's notice is not missed.
            let notified = self.shared.idle.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.shared.count.fetch_sub(1, SeqCst) == 1 {
            self.shared.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_only_what_is_under_way() {
        let open = InFlight::default();
        let first = open.enter_below(1);
        assert!(first.is_some() && open.enter_below(1).is_none());
        drop(first);
        assert!(open.enter_below(1).is_some());
        assert_eq!(open.count(), 0);
    }

    #[tokio::test]
    async fn idle_comes_when_the_last_one_ends() {
        let open = InFlight::default();
        let guard = open.enter();
        let waiting = open.clone();
        let (_, ()) = tokio::join!(async { drop(guard) }, waiting.idle());
        assert_eq!(open.count(), 0);
    }
}
