//! The tee: one message's bytes, shared as they pass, up to a cap.
//!
//! Never fails and never waits. Past the cap, or past the global budget, it counts, stops
//! keeping and says truncated: what it holds is always the body's beginning, without a gap.

use std::time::Duration;

use bytes::Bytes;
use offpath_trace::{Body, Chunk};

use crate::Lease;

/// What holding a chunk keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Its own bytes: pingora hands HTTP/1 bodies on in buffers of their exact size.
    Exact,
    /// The read buffer that it was cut from: HTTP/2 data frames.
    Sliced,
}

/// A slice below this is copied into memory of its own: cheaper than pinning its buffer.
const COPIED_BELOW: usize = 8 * 1024;

/// What a larger slice is charged at least. A data frame has at most 16 KiB, and h2's read
/// buffer doubles as it grows, so a slice pins no more than the next power of two.
const SLICE_PINS: usize = 32 * 1024;

/// Bookkeeping per chunk: its entry in the list, with room for the list's growth, and the
/// shared buffer's header. Keeps a body of tiny chunks honest.
const CHUNK_COSTS: usize = 2 * size_of::<Chunk>() + 32;

/// The tap of one message.
#[derive(Debug)]
pub struct Tap {
    body: Body,
    memory: Memory,
    limit: usize,
    kept: usize,
    charged: usize,
    refused: bool,
}

impl Tap {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize, memory: Memory) -> Self {
        Self {
            body: Body::default(),
            memory,
            limit,
            kept: 0,
            charged: 0,
            refused: false,
        }
    }

    /// What the chunks to come are cut from.
    pub fn set_memory(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// Shares a chunk that passes `at` this time. An empty one says nothing and is ignored.
    pub fn take(&mut self, chunk: &Bytes, at: Duration, lease: &mut Lease) {
        self.body.bytes += chunk.len() as u64;
        if chunk.is_empty() || self.body.truncated {
            return;
        }
        let room = self.limit - self.kept;
        let len = chunk.len().min(room);
        if len < chunk.len() {
            self.body.truncated = true;
        }
        if len == 0 {
            return;
        }
        let copied = self.memory == Memory::Sliced && len < COPIED_BELOW;
        // A cut chunk pins what was cut off as well.
        let pinned = match self.memory {
            _ if copied => len,
            Memory::Exact => chunk.len(),
            Memory::Sliced => chunk.len().max(SLICE_PINS),
        };
        if !lease.grow(pinned + CHUNK_COSTS) {
            self.body.truncated = true;
            self.refused = true;
            return;
        }
        self.charged += pinned + CHUNK_COSTS;
        self.kept += len;
        let shared = chunk.slice(..len);
        let bytes = if copied {
            Bytes::copy_from_slice(&shared)
        } else {
            shared
        };
        self.body.chunks.push(Chunk { at, bytes });
    }

    /// Forgets all it saw: a retry replays the body through the filter.
    pub fn restart(&mut self, lease: &mut Lease) {
        lease.shrink(self.charged);
        *self = Self::new(self.limit, self.memory);
    }

    /// How much passed, in bytes.
    pub fn bytes(&self) -> u64 {
        self.body.bytes
    }

    /// Whether the global budget had no room for all that it should have kept.
    pub fn ran_short(&self) -> bool {
        self.refused
    }

    /// What it holds.
    pub fn into_body(self) -> Body {
        self.body
    }
}

#[cfg(test)]
mod tests {
    use offpath_trace::Charge;
    use proptest::prelude::*;

    use super::*;
    use crate::CaptureBudget;

    fn held(tap: Tap) -> (Vec<u8>, u64, bool) {
        let body = tap.into_body();
        let bytes = body
            .chunks
            .iter()
            .flat_map(|chunk| chunk.bytes.to_vec())
            .collect();
        (bytes, body.bytes, body.truncated)
    }

    proptest! {
        #[test]
        fn what_is_held_is_the_beginning_of_what_passed(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            limit in 0_usize..300,
            budget in 0_usize..6_000,
            sliced in any::<bool>(),
        ) {
            let budget = CaptureBudget::new(budget);
            let mut lease = budget.lease();
            let memory = if sliced { Memory::Sliced } else { Memory::Exact };
            let mut tap = Tap::new(limit, memory);
            for chunk in &chunks {
                tap.take(&Bytes::copy_from_slice(chunk), Duration::ZERO, &mut lease);
            }
            let passed = chunks.concat();
            let (kept, bytes, truncated) = held(tap);
            prop_assert!(passed.starts_with(&kept) && kept.len() <= limit);
            prop_assert_eq!(bytes, passed.len() as u64);
            prop_assert_eq!(truncated, kept.len() < passed.len());
            prop_assert!(lease.bytes() >= kept.len());
            prop_assert_eq!(lease.bytes(), budget.used());
        }
    }

    #[test]
    fn an_exact_chunk_is_shared_and_a_small_slice_is_not() {
        let budget = CaptureBudget::new(1 << 20);
        let mut lease = budget.lease();
        let chunk = Bytes::from(vec![7; 100]);
        for (memory, shared) in [(Memory::Exact, true), (Memory::Sliced, false)] {
            let mut tap = Tap::new(1_000, memory);
            tap.take(&chunk, Duration::ZERO, &mut lease);
            let kept = tap.into_body().chunks.remove(0).bytes;
            assert_eq!(kept.as_ptr() == chunk.as_ptr(), shared, "{memory:?}");
        }
    }

    #[test]
    fn a_slice_that_is_shared_is_charged_with_its_buffer() {
        let budget = CaptureBudget::new(1 << 20);
        let mut lease = budget.lease();
        let mut tap = Tap::new(1 << 20, Memory::Sliced);
        tap.take(
            &Bytes::from(vec![7; COPIED_BELOW]),
            Duration::ZERO,
            &mut lease,
        );
        assert_eq!(budget.used(), SLICE_PINS + CHUNK_COSTS);
    }

    #[test]
    fn a_chunk_that_is_cut_is_charged_with_what_was_cut_off() {
        let budget = CaptureBudget::new(1 << 20);
        let mut lease = budget.lease();
        let mut tap = Tap::new(10, Memory::Exact);
        tap.take(&Bytes::from(vec![7; 100_000]), Duration::ZERO, &mut lease);
        assert!((100_000..101_000).contains(&budget.used()));
        assert_eq!(held(tap), (vec![7; 10], 100_000, true));
    }

    #[test]
    fn tiny_chunks_are_charged_with_what_keeping_each_takes() {
        let budget = CaptureBudget::new(1 << 20);
        let mut lease = budget.lease();
        let mut tap = Tap::new(1 << 20, Memory::Exact);
        for _ in 0..1_000 {
            tap.take(&Bytes::from_static(b"x"), Duration::ZERO, &mut lease);
        }
        // An entry in a list that may be half empty, and the byte.
        assert!(budget.used() >= 1_000 * (2 * size_of::<Chunk>() + 1));
    }

    #[test]
    fn a_restart_gives_back_what_the_first_attempt_held() {
        let budget = CaptureBudget::new(1 << 20);
        let mut lease = budget.lease();
        assert!(lease.grow(10));
        let mut tap = Tap::new(1_000, Memory::Exact);
        tap.take(&Bytes::from_static(b"first"), Duration::ZERO, &mut lease);
        tap.restart(&mut lease);
        assert_eq!(budget.used(), 10);
        tap.take(&Bytes::from_static(b"second"), Duration::ZERO, &mut lease);
        assert_eq!(held(tap), (b"second".to_vec(), 6, false));
    }
}
