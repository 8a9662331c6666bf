//! What waits for one destination, and when how much of it is sent. Sans-io: time is an
//! argument.
//!
//! A batch is due when it has `max_traces`, when nothing more fits into `max_bytes`, or when its
//! oldest trace has waited for `linger`. An item larger than `max_bytes` goes alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Items in the order of their arrival, cut into batches.
#[derive(Debug)]
pub(crate) struct Batcher<T> {
    limits: Limits,
    waiting: VecDeque<Item<T>>,
    /// Of all that waits.
    bytes: usize,
}

/// Bounds of one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_traces: usize,
    pub(crate) max_bytes: usize,
    pub(crate) linger: Duration,
}

#[derive(Debug)]
struct Item<T> {
    item: T,
    bytes: usize,
    since: Instant,
}

impl<T> Batcher<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Adds an item that waits since then.
    pub(crate) fn push(&mut self, item: T, bytes: usize, since: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.waiting.push_back(Item { item, bytes, since });
    }

    /// The next batch, if one is due; with `flush`, if anything waits. Never empty.
    pub(crate) fn take(&mut self, now: Instant, flush: bool) -> Option<Vec<T>> {
        if !flush && self.due().is_none_or(|due| now < due) {
            return None;
        }
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while let Some(next) = self.waiting.front() {
            let sum = bytes.saturating_add(next.bytes);
            let fits = batch.len() < self.limits.max_traces && sum <= self.limits.max_bytes;
            if !fits && !batch.is_empty() {
                break;
            }
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            bytes = sum;
            batch.push(next.item);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        (!batch.is_empty()).then_some(batch)
    }

    /// When the oldest item has waited long enough: of a full batch, since it came. `None` when
    /// nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        let since = self.waiting.front()?.since;
        Some(if self.is_full() {
            since
        } else {
            since + self.limits.linger
        })
    }

    /// Whether the first batch cannot grow any more.
    fn is_full(&self) -> bool {
        self.waiting.len() >= self.limits.max_traces || self.bytes >= self.limits.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINGER: Duration = Duration::from_secs(1);

    /// The batches that come of items of these sizes, all there at once, before and after linger.
    #[track_caller]
    fn check(sizes: &[usize], at_once: &[&[usize]], after_linger: &[&[usize]]) {
        let start = Instant::now();
        let mut batcher = Batcher::new(Limits {
            max_traces: 3,
            max_bytes: 100,
            linger: LINGER,
        });
        sizes
            .iter()
            .for_each(|size| batcher.push(*size, *size, start));
        let mut all = |now| std::iter::from_fn(|| batcher.take(now, false)).collect::<Vec<_>>();
        assert_eq!(all(start + LINGER / 2), at_once);
        assert_eq!(all(start + LINGER), after_linger);
    }

    #[test]
    fn a_batch_is_cut_by_count_bytes_and_linger() {
        check(&[], &[], &[]);
        check(&[1, 1], &[], &[&[1, 1]]);
        check(&[1, 1, 1], &[&[1, 1, 1]], &[]);
        check(&[1, 1, 1, 1], &[&[1, 1, 1]], &[&[1]]);
        check(&[60, 40], &[&[60, 40]], &[]);
        check(&[60, 41], &[&[60]], &[&[41]]);
    }

    #[test]
    fn an_item_over_the_limit_goes_alone() {
        check(&[500], &[&[500]], &[]);
        check(&[1, 500, 1], &[&[1], &[500]], &[&[1]]);
    }

    #[test]
    fn a_full_batch_waits_for_nothing() {
        let start = Instant::now();
        let mut batcher = Batcher::new(Limits {
            max_traces: 2,
            max_bytes: 100,
            linger: LINGER,
        });
        batcher.push(1, 1, start);
        assert_eq!(batcher.due(), Some(start + LINGER));
        batcher.push(2, 1, start);
        assert_eq!(batcher.due(), Some(start));
    }

    #[test]
    fn linger_counts_from_the_oldest() {
        let start = Instant::now();
        let mut batcher = Batcher::new(Limits {
            max_traces: 9,
            max_bytes: 100,
            linger: LINGER,
        });
        assert_eq!(batcher.due(), None);
        batcher.push(1, 1, start);
        batcher.push(2, 1, start + LINGER / 2);
        assert_eq!(batcher.due(), Some(start + LINGER));
        assert_eq!(batcher.take(start, true), Some(vec![1, 2]));
        assert_eq!(batcher.take(start, true), None);
    }

    proptest! {
        #[test]
        fn every_item_leaves_once_in_order_and_no_batch_is_over_a_limit(
            steps in prop::collection::vec((0_usize..150, 0_u64..800, any::<bool>()), 0..60),
            max_traces in 1_usize..6,
        ) {
            let mut now = Instant::now();
            let limits = Limits { max_traces, max_bytes: 100, linger: LINGER };
            let mut batcher = Batcher::new(limits);
            let mut left = Vec::new();
            for (id, (size, pause_ms, take)) in steps.iter().enumerate() {
                now += Duration::from_millis(*pause_ms);
                batcher.push((id, *size, now), *size, now);
                while let Some(batch) = take.then(|| batcher.take(now, false)).flatten() {
                    prop_assert!(batch.len() <= max_traces);
                    let bytes: usize = batch.iter().map(|(_, size, _)| size).sum();
                    prop_assert!(bytes <= 100 || batch.len() == 1);
                    left.extend(batch);
                }
                if *take {
                    // What stays has not waited long enough, and would fit into one batch.
                    prop_assert!(batcher.due().is_none_or(|due| now < due));
                    prop_assert!(batcher.bytes < 100 && batcher.waiting.len() < max_traces);
                }
            }
            left.extend(std::iter::from_fn(|| batcher.take(now, true)).flatten());
            prop_assert_eq!(left.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
                (0..steps.len()).collect::<Vec<_>>());
            prop_assert_eq!(batcher.bytes, 0);
        }
    }
}
