//! A day's budget of traces and bytes, spent evenly: sampling is lowered, never stopped.
//!
//! Every [`WINDOW`] the share that sampling keeps is set so that what is left of the budget lasts
//! for what is left of the day (UTC) at the traffic of late. What was lowered has its weight, so
//! figures stay true. A process that starts in the day has that part of the budget: what an
//! earlier one spent is not known here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use offpath_config::Daily;

/// How often the share is set anew.
const WINDOW: Duration = Duration::from_secs(10);

const DAY: Duration = Duration::from_secs(86_400);

/// Of what the ratio takes, this share is kept whatever was spent.
const SHARE_MIN: f64 = 1e-3;

/// A route's budget, and how it is spent.
#[derive(Debug)]
pub(crate) struct Pace {
    budget: Daily,
    origin: Instant,
    /// How much of the day had passed at the origin.
    passed: Duration,
    /// The share of what the ratio takes, as the bits of a float.
    share: AtomicU64,
    /// Exchanges that the ratio took since the share was set.
    wanted: AtomicU64,
    /// Which window the share was set in, from the origin.
    window: AtomicU64,
    /// Which day the sums are of, from the origin's.
    day: AtomicU64,
    traces: AtomicU64,
    bytes: AtomicU64,
}

impl Pace {
    /// `None` where there is no budget. `passed`: how much of the day had passed at the origin.
    pub(crate) fn new(budget: Daily, origin: Instant, passed: Duration) -> Option<Self> {
        (budget != Daily::default()).then(|| Self {
            budget,
            origin,
            passed,
            share: AtomicU64::new(1.0_f64.to_bits()),
            wanted: AtomicU64::new(0),
            window: AtomicU64::new(0),
            day: AtomicU64::new(0),
            traces: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    /// The share to keep of what the ratio takes.
    pub(crate) fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Relaxed))
    }

    /// The ratio takes an exchange at `now`.
    pub(crate) fn want(&self, now: Instant) {
        let window = self.since_origin(now).as_secs() / WINDOW.as_secs();
        let last = self.window.load(Relaxed);
        if window > last {
            let won = self
                .window
                .compare_exchange(last, window, Relaxed, Relaxed)
                .is_ok();
            if won {
                self.set(now, window - last);
            }
        }
        self.wanted.fetch_add(1, Relaxed);
    }

    /// An exchange is kept, for whatever reason, with so many bytes.
    pub(crate) fn spend(&self, bytes: u64) {
        self.traces.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Sets the share by what was wanted in so many windows.
    fn set(&self, now: Instant, windows: u64) {
        let since_midnight = self.passed + self.since_origin(now);
        let day = since_midnight.as_secs() / DAY.as_secs();
        if self.day.swap(day, Relaxed) != day {
            self.traces.store(0, Relaxed);
            self.bytes.store(0, Relaxed);
        }
        let seconds = windows as f64 * WINDOW.as_secs_f64();
        let rate = self.wanted.swap(0, Relaxed) as f64 / seconds;
        let traces = self.traces.load(Relaxed) as f64;
        let bytes = self.bytes.load(Relaxed) as f64;
        let passed = since_midnight.as_secs_f64() % DAY.as_secs_f64();
        let left = DAY.as_secs_f64() - passed;
        // The part of the first day before the origin counts as spent.
        let part = match day {
            0 => 1.0 - self.passed.as_secs_f64() / DAY.as_secs_f64(),
            _ => 1.0,
        };
        let share = |budget: Option<u64>, spent: f64, wanted: f64| {
            let budget = budget? as f64 * part;
            (wanted > 0.0).then(|| (budget - spent) / left / wanted)
        };
        let mean = if traces > 0.0 { bytes / traces } else { 0.0 };
        let by_traces = share(self.budget.max_traces, traces, rate);
        let by_bytes = share(self.budget.max_bytes, bytes, rate * mean);
        let shares = [by_traces, by_bytes].into_iter().flatten();
        let share = shares.fold(1.0, f64::min).max(SHARE_MIN);
        self.share.store(share.to_bits(), Relaxed);
    }

    fn since_origin(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as an origin"
        )]
        Instant::now()
    }

    /// A day's traffic from `passed` on, at so many exchanges a second by the hour, each of so many
    /// bytes; what is kept of it, in traces and bytes.
    fn spend(
        budget: Daily,
        passed: Duration,
        per_second: impl Fn(u64) -> u64,
        size: u64,
    ) -> (u64, u64) {
        let origin = origin();
        let pace = Pace::new(budget, origin, passed).unwrap();
        let (mut kept, mut all) = (0, 0_u64);
        for second in 0..(DAY - passed).as_secs() {
            let now = origin + Duration::from_secs(second);
            for _ in 0..per_second((passed.as_secs() + second) / 3_600) {
                pace.want(now);
                all += 1;
                // Spread evenly over 0..1, as hashes are.
                let hash = (all as f64 * 0.618_033_988_749_895).fract();
                if hash < pace.share() {
                    pace.spend(size);
                    kept += 1;
                }
            }
        }
        (kept, kept * size)
    }

    fn traces(max: u64) -> Daily {
        Daily {
            max_traces: Some(max),
            max_bytes: None,
        }
    }

    /// Within 2 % below or above.
    #[track_caller]
    fn check(spent: u64, budget: u64) {
        let ratio = spent as f64 / budget as f64;
        assert!((0.98..=1.02).contains(&ratio), "{spent} of {budget}");
    }

    #[test]
    fn a_budget_lasts_for_the_day_and_is_spent() {
        let even = spend(traces(20_000), Duration::ZERO, |_| 5, 0);
        check(even.0, 20_000);
        // Little at night, twenty times as much by day.
        let hours = |hour| if (8..20).contains(&hour) { 20 } else { 1 };
        let by_day = spend(traces(20_000), Duration::ZERO, hours, 0);
        check(by_day.0, 20_000);
    }

    #[test]
    fn a_budget_of_bytes_is_spent_too_and_the_tighter_one_counts() {
        let budget = Daily {
            max_traces: Some(40_000),
            max_bytes: Some(20_000_000),
        };
        let (kept, bytes) = spend(budget, Duration::ZERO, |_| 3, 2_000);
        check(bytes, 20_000_000);
        assert!(kept < 11_000);
    }

    /// The share after one window of a hundred exchanges of two thousand bytes, from midnight on.
    fn share_after_a_window(budget: Daily) -> f64 {
        let origin = origin();
        let pace = Pace::new(budget, origin, Duration::ZERO).unwrap();
        for _ in 0..100 {
            pace.want(origin);
            pace.spend(2_000);
        }
        pace.want(origin + WINDOW);
        pace.share()
    }

    #[test]
    fn from_the_first_window_on_what_is_left_is_shared_out_over_what_is_left_of_the_day() {
        // Ten exchanges a second are wanted, for the day but its first ten seconds.
        let wanted = 10.0 * (86_400.0 - 10.0);
        let traces = traces(400_000);
        let bytes = Daily {
            max_traces: None,
            max_bytes: Some(500_000_000),
        };
        for (budget, expect) in [
            (traces, (400_000.0 - 100.0) / wanted),
            (bytes, (500_000_000.0 - 200_000.0) / (2_000.0 * wanted)),
        ] {
            let share = share_after_a_window(budget);
            assert!((share - expect).abs() < 1e-9, "{share}, not {expect}");
        }
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let (kept, _) = spend(traces(100_000), Duration::ZERO, |_| 1, 0);
        assert_eq!(kept, 86_400);
    }

    #[test]
    fn a_process_that_starts_in_the_day_has_that_part_of_it() {
        let (kept, _) = spend(traces(20_000), DAY / 2, |_| 5, 0);
        check(kept, 10_000);
    }

    #[test]
    fn a_storm_that_spent_it_all_lowers_the_share_and_does_not_stop_it() {
        let origin = origin();
        let pace = Pace::new(traces(10), origin, Duration::ZERO).unwrap();
        for _ in 0..1_000 {
            pace.want(origin);
            pace.spend(0);
        }
        pace.want(origin + WINDOW);
        assert_eq!(pace.share(), SHARE_MIN);
        // The next day begins anew.
        pace.want(origin + DAY + WINDOW);
        assert_eq!(pace.share(), 1.0);
    }

    #[test]
    fn without_a_budget_there_is_nothing_to_keep_to() {
        assert!(Pace::new(Daily::default(), origin(), Duration::ZERO).is_none());
    }
}
