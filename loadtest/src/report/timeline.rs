//! Latency over time, in windows of equal length.
//!
//! A request belongs to the window of its intended start, so that a stall shows up where the delayed
//! requests were due and not where they ended.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::recorder::Attempt;
use crate::histogram::DurationHistogram;

/// Maximum number of windows in one run.
const WINDOWS_MAX: u32 = 100;
/// Minimum width of a window.
const WIDTH_MIN: Duration = Duration::from_millis(100);

/// The result of one window. Latencies are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// When it begins, in seconds from the start of the run.
    pub from_s: f64,
    /// Number of requests that were due in it.
    pub requests: u64,
    /// Number of those without a complete response, or with a status of 400 or above.
    pub failed: u64,
    /// Median latency from the intended start; absent if nothing was answered.
    pub p50: Option<u64>,
    /// The 99th percentile of the latency.
    pub p99: Option<u64>,
    /// The longest latency.
    pub max: Option<u64>,
}

/// The windows of a running load.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Option<Instant>,
    width: Duration,
    windows: Vec<WindowCounts>,
}

#[derive(Debug)]
struct WindowCounts {
    requests: u64,
    failed: u64,
    latency: DurationHistogram,
}

impl Timeline {
    /// Creates the windows for a run of `duration`.
    pub(crate) fn new(duration: Duration) -> Self {
        Self {
            start: None,
            width: (duration / WINDOWS_MAX).max(WIDTH_MIN),
            windows: Vec::new(),
        }
    }

    /// Sets the instant at which the first window begins. Requests that are added before are
    /// ignored.
    pub(crate) fn begin(&mut self, start: Instant) {
        self.start = Some(start);
    }

    /// Adds a finished request.
    pub(super) fn add(&mut self, attempt: &Attempt) {
        let Some(start) = self.start else { return };
        let offset = attempt.intended.saturating_duration_since(start);
        // A request that is due at the very end belongs to the last window.
        let index = (offset.as_nanos() / self.width.as_nanos()).min(u128::from(WINDOWS_MAX - 1));
        let index = usize::try_from(index).expect("the index is below WINDOWS_MAX");
        if self.windows.len() <= index {
            self.windows.resize_with(index + 1, WindowCounts::default);
        }
        let window = self
            .windows
            .get_mut(index)
            .expect("the list has just been extended to this index");
        window.requests += 1;
        match &attempt.outcome {
            Ok(response) => {
                window.failed += u64::from(response.status >= 400);
                let latency = response.ended.saturating_duration_since(attempt.intended);
                window.latency.record(latency);
            }
            Err(_) => window.failed += 1,
        }
    }

    /// The results of all windows in order.
    pub(crate) fn windows(&self) -> Vec<Window> {
        (0_u32..)
            .zip(&self.windows)
            .map(|(index, window)| {
                let us = window.latency.percentiles();
                Window {
                    from_s: (self.width * index).as_secs_f64(),
                    requests: window.requests,
                    failed: window.failed,
                    p50: us.map(|us| us.p50),
                    p99: us.map(|us| us.p99),
                    max: us.map(|us| us.max),
                }
            })
            .collect()
    }
}

impl Default for WindowCounts {
    fn default() -> Self {
        Self {
            requests: 0,
            failed: 0,
            latency: DurationHistogram::coarse(),
        }
    }
}
