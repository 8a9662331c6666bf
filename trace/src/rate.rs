//! A rate that is never passed for long, shared by threads that do not wait for each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Lets so many events per second pass in the long run, and one second's worth at once.
///
/// The generic cell rate algorithm (ITU-T I.371, annex A): the one word that it keeps is when the
/// next event would be due if all that passed had come evenly.
#[derive(Debug)]
pub struct RateCap {
    origin: Instant,
    interval: u64,
    burst: u64,
    /// In nanoseconds from the origin.
    due: AtomicU64,
}

impl RateCap {
    /// `per_second` is more than 0. `origin` is no later than the first event.
    pub fn new(per_second: f64, origin: Instant) -> Self {
        let interval = (1e9 / per_second) as u64;
        // At least one event passes at once, however low the rate.
        let events = per_second.max(1.0) as u64;
        Self {
            origin,
            interval,
            burst: interval.saturating_mul(events - 1),
            due: AtomicU64::new(0),
        }
    }

    /// Whether an event at `now` passes. What does not costs nothing.
    pub fn take(&self, now: Instant) -> bool {
        let at = now.saturating_duration_since(self.origin).as_nanos();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        let step = |due: u64| {
            let due = due.max(at);
            (due - at <= self.burst).then(|| due.saturating_add(self.interval))
        };
        self.due.fetch_update(Relaxed, Relaxed, step).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn origin() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as an origin"
        )]
        Instant::now()
    }

    /// Events every `every` for `seconds`: how many pass.
    #[track_caller]
    fn check(per_second: f64, every: Duration, seconds: u64, expect: usize) {
        let origin = origin();
        let cap = RateCap::new(per_second, origin);
        let end = Duration::from_secs(seconds);
        let moments = (0..).map(|n| every * n).take_while(|at| *at < end);
        let passed = moments.filter(|at| cap.take(origin + *at)).count();
        assert_eq!(passed, expect, "{per_second} per second");
    }

    #[test]
    fn a_storm_passes_at_the_rate_after_a_seconds_worth() {
        check(10.0, Duration::from_millis(1), 1, 10 + 9);
        check(10.0, Duration::from_millis(1), 100, 10 + 999);
        check(0.5, Duration::from_millis(100), 10, 5);
        check(2.5, Duration::from_millis(1), 10, 2 + 24);
    }

    #[test]
    fn what_comes_no_faster_than_the_rate_all_passes() {
        check(10.0, Duration::from_millis(100), 100, 1_000);
        check(0.1, Duration::from_secs(10), 1_000, 100);
    }

    #[test]
    fn a_pause_saves_no_more_than_a_seconds_worth() {
        let origin = origin();
        let cap = RateCap::new(10.0, origin);
        let late = origin + Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| cap.take(late)).count(), 10);
    }

    #[test]
    fn a_clock_that_stands_before_the_origin_passes_what_the_burst_does() {
        let now = origin();
        let cap = RateCap::new(3.0, now + Duration::from_secs(1));
        assert_eq!((0..10).filter(|_| cap.take(now)).count(), 3);
    }
}
