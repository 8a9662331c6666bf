//! A run in slices of equal length: how latency went over time.
//!
//! A request belongs to the slice of its intended start, so that a stall shows where the requests
//! that it made wait were due, not where they ended.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::recorder::Attempt;
use crate::micros::Micros;

/// The most slices of one run.
const WINDOWS_MAX: u32 = 100;
/// The shortest slice.
const WIDTH_MIN: Duration = Duration::from_millis(100);

/// One slice. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// Its begin, in seconds from the run's.
    pub from_s: f64,
    /// Requests that were due in it.
    pub requests: u64,
    /// Those that had no whole answer, or one with a status of 400 or above.
    pub failed: u64,
    /// Median latency from the intended start; absent where nothing was answered.
    pub p50: Option<u64>,
    /// 99 % are at most this.
    pub p99: Option<u64>,
    /// The longest.
    pub max: Option<u64>,
}

/// The slices of a run under way.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Option<Instant>,
    width: Duration,
    slices: Vec<Slice>,
}

#[derive(Debug)]
struct Slice {
    requests: u64,
    failed: u64,
    latency: Micros,
}

impl Timeline {
    /// For a run of `duration`.
    pub(crate) fn new(duration: Duration) -> Self {
        Self {
            start: None,
            width: (duration / WINDOWS_MAX).max(WIDTH_MIN),
            slices: Vec::new(),
        }
    }

    /// Fixes the instant that slices count from.
    pub(crate) fn begin(&mut self, start: Instant) {
        self.start = Some(start);
    }

    /// Adds a request that is over.
    pub(super) fn add(&mut self, attempt: &Attempt) {
        let Some(start) = self.start else { return };
        let offset = attempt.intended.saturating_duration_since(start);
        let index = offset.as_nanos() / self.width.as_nanos();
        // What begins at the very end belongs to the last slice.
        let index = index.min(u128::from(WINDOWS_MAX - 1));
        let index = usize::try_from(index).unwrap_or_default();
        if self.slices.len() <= index {
            self.slices.resize_with(index + 1, Slice::default);
        }
        let Some(slice) = self.slices.get_mut(index) else {
            return;
        };
        slice.requests += 1;
        match &attempt.outcome {
            Ok(answer) => {
                slice.failed += u64::from(answer.status >= 400);
                let latency = answer.ended.saturating_duration_since(attempt.intended);
                slice.latency.record(latency);
            }
            Err(_) => slice.failed += 1,
        }
    }

    /// The slices, in order.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let slices = (0_u32..).zip(&self.slices).map(|(index, slice)| {
            let us = slice.latency.percentiles();
            Window {
                from_s: (self.width * index).as_secs_f64(),
                requests: slice.requests,
                failed: slice.failed,
                p50: us.map(|us| us.p50),
                p99: us.map(|us| us.p99),
                max: us.map(|us| us.max),
            }
        });
        slices.collect()
    }
}

impl Default for Slice {
    fn default() -> Self {
        Self {
            requests: 0,
            failed: 0,
            latency: Micros::coarse(),
        }
    }
}
