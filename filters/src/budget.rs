//! The global budget of bytes held for capture. Asked on the request path: never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use offpath_trace::Charge;

/// All bytes that captured bodies may pin, in all exchanges together.
#[derive(Clone, Debug)]
pub struct CaptureBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
}

/// One exchange's share of the budget, given back on drop.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    bytes: usize,
}

impl CaptureBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let used = AtomicUsize::new(0);
        Self {
            shared: Arc::new(Shared { limit, used }),
        }
    }

    /// An empty share.
    pub fn lease(&self) -> Lease {
        Lease {
            shared: Arc::clone(&self.shared),
            bytes: 0,
        }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.shared.used.load(Relaxed)
    }
}

impl Lease {
    /// Takes `bytes` more; `false`, and nothing taken, where the budget has not as much left.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let before = self.shared.used.fetch_add(bytes, Relaxed);
        let fits = before
            .checked_add(bytes)
            .is_some_and(|sum| sum <= self.shared.limit);
        if fits {
            self.bytes += bytes;
        } else {
            self.shared.used.fetch_sub(bytes, Relaxed);
        }
        fits
    }

    /// Takes `bytes` more, past the limit if need be: for what is bounded elsewhere.
    pub fn charge(&mut self, bytes: usize) {
        self.shared.used.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
    }

    /// Gives `bytes` back, at most what it holds.
    pub fn shrink(&mut self, bytes: usize) {
        let given = bytes.min(self.bytes);
        self.bytes -= given;
        self.shared.used.fetch_sub(given, Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.used.fetch_sub(self.bytes, Relaxed);
    }
}

impl Charge for Lease {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_never_passes_the_limit_and_gives_all_back() {
        let budget = CaptureBudget::new(100);
        let mut first = budget.lease();
        let mut second = budget.lease();
        assert!(first.grow(60));
        assert!(!second.grow(41));
        assert!(second.grow(40));
        assert_eq!(budget.used(), 100);
        first.shrink(1_000);
        assert_eq!((first.bytes(), budget.used()), (0, 40));
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
