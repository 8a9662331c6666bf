//! The queue's budget: how many traces wait, and how many bytes they hold.
//!
//! A [`Ticket`] is a share of it that travels with a trace from the offer until the trace is
//! delivered or dropped, so that everything that waits, wherever it waits, is inside
//! `queue.max_traces` and `queue.max_bytes`. Taking one is a few atomic instructions: the
//! request path does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::DropReason;
use crate::degrade::Tightness;

/// Two counters with a limit each. They order nothing else in memory, hence `Relaxed`.
#[derive(Debug)]
pub(crate) struct Budget {
    traces: AtomicUsize,
    bytes: AtomicUsize,
    pub(crate) max_traces: usize,
    pub(crate) max_bytes: usize,
    tight: [Tightness; 2],
}

/// One trace's share; given back on drop.
#[derive(Debug)]
pub(crate) struct Ticket {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(max_traces: usize, max_bytes: usize) -> Arc<Self> {
        let (traces, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self {
            traces,
            bytes,
            max_traces,
            max_bytes,
            tight: Default::default(),
        })
    }

    /// A share for one trace of so many bytes, and whether taking it brought the use of either
    /// limit past a quarter.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Result<(Ticket, bool), DropReason> {
        let traces = add(&self.traces, 1, self.max_traces).ok_or(DropReason::QueueFull)?;
        let Some(before) = add(&self.bytes, bytes, self.max_bytes) else {
            self.traces.fetch_sub(1, Relaxed);
            return Err(DropReason::QueueBytes);
        };
        let crossed = crosses_quarter(traces, 1, self.max_traces)
            || crosses_quarter(before, bytes, self.max_bytes);
        let budget = Arc::clone(self);
        Ok((Ticket { budget, bytes }, crossed))
    }

    /// Traces that wait, anywhere between offer and delivery.
    pub(crate) fn traces(&self) -> usize {
        self.traces.load(Relaxed)
    }

    /// Whether it is nearly full, by either limit.
    pub(crate) fn is_tight(&self) -> bool {
        let [traces, bytes] = &self.tight;
        let by_traces = traces.is_tight(self.traces() as u64, self.max_traces as u64);
        bytes.is_tight(self.bytes() as u64, self.max_bytes as u64) || by_traces
    }

    /// Bytes that they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }
}

impl Ticket {
    /// Makes the share this large. `false`, and nothing changes, where the budget has no room.
    #[must_use]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        if bytes <= self.bytes {
            self.budget.bytes.fetch_sub(self.bytes - bytes, Relaxed);
        } else if add(
            &self.budget.bytes,
            bytes - self.bytes,
            self.budget.max_bytes,
        )
        .is_none()
        {
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Relaxed);
        self.budget.traces.fetch_sub(1, Relaxed);
    }
}

/// Adds where the sum stays within `max`, and returns what was there before.
///
/// A loop of compare-and-swap rather than add-and-undo: the latter lets two offers refuse each
/// other while there is room for one.
fn add(counter: &AtomicUsize, more: usize, max: usize) -> Option<usize> {
    let sum = |used: usize| used.checked_add(more).filter(|sum| *sum <= max);
    counter.fetch_update(Relaxed, Relaxed, sum).ok()
}

fn crosses_quarter(before: usize, more: usize, max: usize) -> bool {
    before < max / 4 && before + more >= max / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached_exactly_and_named() {
        let budget = Budget::new(2, 100);
        let (first, _) = budget.take(60).unwrap();
        assert_eq!(budget.take(41).unwrap_err(), DropReason::QueueBytes);
        let (_second, _) = budget.take(40).unwrap();
        assert_eq!(budget.take(0).unwrap_err(), DropReason::QueueFull);
        assert_eq!((budget.traces(), budget.bytes()), (2, 100));
        drop(first);
        assert_eq!((budget.traces(), budget.bytes()), (1, 40));
    }

    #[test]
    fn a_ticket_that_cannot_grow_stays_as_it_was() {
        let budget = Budget::new(2, 100);
        let (mut ticket, _) = budget.take(50).unwrap();
        assert!(ticket.resize(100));
        assert!(!ticket.resize(101));
        assert_eq!(budget.bytes(), 100);
        assert!(ticket.resize(1));
        drop(ticket);
        assert_eq!((budget.traces(), budget.bytes()), (0, 0));
    }

    #[test]
    fn crossing_a_quarter_of_either_limit_is_told_once() {
        let budget = Budget::new(8, 100);
        let crossed: Vec<_> = [1, 1, 30, 1]
            .map(|bytes| budget.take(bytes).unwrap())
            .into();
        assert_eq!(
            crossed
                .iter()
                .map(|(_, crossed)| *crossed)
                .collect::<Vec<_>>(),
            [false, true, true, false]
        );
    }
}
