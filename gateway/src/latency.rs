//! `latency_budget`: captures less while offpath adds more than a route allows.
//!
//! What it adds is the 99th percentile of its own time before the response began, and that of
//! its threads' waiting for a CPU, which no callback can see: a probe is put on each of the proxy's
//! threads every 10 ms, and the time until it runs is what a request would have waited. Where the
//! whole process stands still, as under a quota of CPU, no probe can be put: those that were
//! missed count from when they were due. Both are looked at every second, over five. The budget
//! passed once, capture degrades at once; it recovers after ten good seconds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use offpath_config::{CaptureLevel, LatencyBudget};
use prometheus::Gauge;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tracing::{info, warn};

const PROBE_EVERY: Duration = Duration::from_millis(10);
const JUDGE_EVERY: Duration = Duration::from_secs(1);
/// Seconds that a percentile is taken over.
const WINDOW: usize = 5;
/// So many missed probes are as many as a percentile is taken over.
const MISSED_MAX: u32 = 500;
/// Fewer samples have no 99th percentile worth acting on; the wait for a CPU has its own.
const SAMPLES_MIN: u32 = 20;
/// Good seconds in a row before capture recovers.
const GOOD_SECONDS: u32 = 10;

/// Eight buckets per power of two, in microseconds: within 12 %.
const BUCKETS: usize = 8 * 28;

/// One route's budget, and whether it is passed. Written and read on the request path.
#[derive(Debug)]
pub(crate) struct RouteLatency {
    route: Arc<str>,
    budget: LatencyBudget,
    overhead: Histogram,
    degraded: AtomicBool,
    overhead_p99_us: AtomicU64,
    lag_p99_us: AtomicU64,
    gauge: Gauge,
}

/// The thread that probes and judges; ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    _stop: SyncSender<()>,
}

/// Counts of durations, by their logarithm.
#[derive(Debug)]
struct Histogram(Vec<AtomicU32>);

/// The counts of the last seconds.
#[derive(Debug, Default)]
struct Recent(VecDeque<Vec<u32>>);

/// Turns percentiles into a decision. Sans-io: one call a second.
#[derive(Debug, Default)]
struct Judge {
    degraded: bool,
    good_seconds: u32,
}

impl RouteLatency {
    pub(crate) fn new(route: &Arc<str>, budget: &LatencyBudget, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            route: Arc::clone(route),
            budget: budget.clone(),
            overhead: Histogram::new(),
            degraded: AtomicBool::new(false),
            overhead_p99_us: AtomicU64::new(0),
            lag_p99_us: AtomicU64::new(0),
            gauge,
        })
    }

    /// What offpath itself added to one request.
    pub(crate) fn record(&self, overhead: Duration) {
        self.overhead.record(overhead);
    }

    /// What is captured instead of what the route asks for, where the budget is passed.
    pub(crate) fn degraded_to(&self) -> Option<CaptureLevel> {
        self.degraded
            .load(Relaxed)
            .then_some(self.budget.degrade_to)
    }

    /// For `/status`.
    pub(crate) fn status(&self) -> Value {
        let capture = match self.degraded_to() {
            None => "as_configured",
            Some(CaptureLevel::Off) => "off",
            Some(_) => "metadata",
        };
        json!({
            "route": self.route,
            "budget_us": micros(self.budget.overhead_p99),
            "overhead_p99_us": self.overhead_p99_us.load(Relaxed),
            "waiting_p99_us": self.lag_p99_us.load(Relaxed),
            "capture": capture,
        })
    }

    fn judge(&self, judge: &mut Judge, recent: &mut Recent, lag: Duration) {
        recent.push(self.overhead.take());
        let overhead = recent.p99(SAMPLES_MIN).unwrap_or_default();
        self.overhead_p99_us.store(micros(overhead), Relaxed);
        self.lag_p99_us.store(micros(lag), Relaxed);
        let before = judge.degraded;
        judge.second(overhead + lag, self.budget.overhead_p99);
        if before == judge.degraded {
            return;
        }
        self.degraded.store(judge.degraded, Relaxed);
        self.gauge.set(f64::from(u8::from(judge.degraded)));
        let (overhead_us, waiting_us) = (micros(overhead), micros(lag));
        if judge.degraded {
            warn!(
                route = &*self.route,
                overhead_us, waiting_us, "The latency budget is passed; less is captured."
            );
        } else {
            info!(
                route = &*self.route,
                overhead_us, waiting_us, "Capture is back within the latency budget."
            );
        }
    }
}

impl Watch {
    /// Begins to watch, where there is something to watch.
    pub(crate) fn start(
        routes: Vec<Arc<RouteLatency>>,
        proxy: Vec<Handle>,
    ) -> anyhow::Result<Option<Self>> {
        if routes.is_empty() {
            return Ok(None);
        }
        let (stop, stopped) = sync_channel(1);
        std::thread::Builder::new()
            .name("offpath-latency".to_owned())
            .spawn(move || watch(&routes, &proxy, &stopped))
            .context("cannot start the thread that watches latency budgets")?;
        Ok(Some(Self { _stop: stop }))
    }
}

fn watch(routes: &[Arc<RouteLatency>], proxy: &[Handle], stopped: &Receiver<()>) {
    let lag = Arc::new(Histogram::new());
    let mut recent_lag = Recent::default();
    let mut judges: Vec<_> = routes
        .iter()
        .map(|_| (Judge::default(), Recent::default()))
        .collect();
    let mut judged = Instant::now();
    let mut asked = judged;
    while stopped.recv_timeout(PROBE_EVERY) == Err(RecvTimeoutError::Timeout) {
        let late = asked.elapsed().saturating_sub(PROBE_EVERY);
        asked = Instant::now();
        for thread in proxy {
            let probe = Arc::clone(&lag);
            thread.spawn(async move {
                let waited = asked.elapsed();
                probe.record(waited);
                missed(late).for_each(|since_due| probe.record(since_due + waited));
            });
        }
        if judged.elapsed() < JUDGE_EVERY {
            continue;
        }
        judged = Instant::now();
        recent_lag.push(lag.take());
        let lag = recent_lag.p99(1).unwrap_or_default();
        for (route, (judge, recent)) in routes.iter().zip(&mut judges) {
            route.judge(judge, recent, lag);
        }
    }
}

/// How long ago the probes were due that could not be put, by a thread that is this late for
/// the present one.
fn missed(late: Duration) -> impl Iterator<Item = Duration> {
    let since_due = (0..MISSED_MAX).map(move |probe| late.saturating_sub(PROBE_EVERY * probe));
    since_due.take_while(|since_due| *since_due >= PROBE_EVERY)
}

impl Judge {
    fn second(&mut self, added: Duration, budget: Duration) {
        if added > budget {
            (self.degraded, self.good_seconds) = (true, 0);
        } else {
            self.good_seconds += 1;
            self.degraded &= self.good_seconds < GOOD_SECONDS;
        }
    }
}

impl Histogram {
    fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU32::new(0)).collect())
    }

    fn record(&self, duration: Duration) {
        let bucket = self.0.get(bucket(micros(duration))).or(self.0.last());
        if let Some(bucket) = bucket {
            bucket.fetch_add(1, Relaxed);
        }
    }

    fn take(&self) -> Vec<u32> {
        self.0
            .iter()
            .map(|bucket| bucket.swap(0, Relaxed))
            .collect()
    }
}

impl Recent {
    fn push(&mut self, second: Vec<u32>) {
        self.0.push_back(second);
        if self.0.len() > WINDOW {
            self.0.pop_front();
        }
    }

    /// The upper end of the bucket that the 99th percentile is in; `None` below so many samples.
    fn p99(&self, samples_min: u32) -> Option<Duration> {
        let all: u32 = self.0.iter().flatten().sum();
        if all < samples_min.max(1) {
            return None;
        }
        let mut above = all / 100;
        (0..BUCKETS).rev().find_map(|index| {
            let counts = self.0.iter().filter_map(|second| second.get(index));
            let here: u32 = counts.sum();
            if here > above {
                return Some(Duration::from_micros(upper(index)));
            }
            above -= here;
            None
        })
    }
}

/// Linear below 8 µs, then eight per doubling.
fn bucket(micros: u64) -> usize {
    if micros < 8 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let doubling = 63 - micros.leading_zeros();
    let within = (micros >> (doubling - 3)) & 7;
    usize::try_from(u64::from(doubling - 2) * 8 + within).unwrap_or(BUCKETS)
}

/// The smallest value above a bucket.
fn upper(bucket: usize) -> u64 {
    let next = bucket as u64 + 1;
    if next <= 8 {
        return next;
    }
    (8 + next % 8) << (next / 8 - 1)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn every_duration_is_in_a_bucket_that_ends_just_above_it() {
        for micros in [0, 1, 7, 8, 9, 15, 16, 100, 999, 1_000, 65_535, 1 << 27] {
            let upper = upper(bucket(micros));
            assert!(
                upper > micros && upper <= micros + micros / 8 + 1,
                "{micros}: {upper}"
            );
        }
    }

    #[test]
    fn a_thread_that_was_late_missed_a_probe_every_ten_milliseconds() {
        let check = |late, expect: &[u64]| {
            let missed: Vec<_> = missed(ms(late)).collect();
            let expect: Vec<_> = expect.iter().copied().map(ms).collect();
            assert_eq!(missed, expect, "{late} ms late");
        };
        check(0, &[]);
        check(9, &[]);
        check(10, &[10]);
        check(35, &[35, 25, 15]);
        let long = missed(ms(3_600_000));
        assert_eq!(long.count(), MISSED_MAX as usize);
    }

    #[test]
    fn the_percentile_is_of_the_last_seconds_alone() {
        let histogram = Histogram::new();
        let mut recent = Recent::default();
        assert_eq!(recent.p99(1), None);
        (0..99).for_each(|_| histogram.record(ms(1)));
        histogram.record(ms(50));
        recent.push(histogram.take());
        assert!(recent.p99(20).unwrap() < ms(2));
        histogram.record(ms(50));
        recent.push(histogram.take());
        assert!(recent.p99(20).unwrap() > ms(49));
        (0..WINDOW).for_each(|_| recent.push(histogram.take()));
        assert_eq!(recent.p99(1), None);
    }

    /// Whether capture is degraded after a second with this overhead and this wait for a CPU.
    fn degrades(overhead: u64, lag: u64) -> bool {
        let budget = LatencyBudget {
            overhead_p99: ms(10),
            degrade_to: CaptureLevel::Metadata,
        };
        let gauge = Gauge::new("degraded", "as it says").unwrap();
        let route = RouteLatency::new(&"r".into(), &budget, gauge.clone());
        (0..SAMPLES_MIN).for_each(|_| route.record(ms(overhead)));
        route.judge(&mut Judge::default(), &mut Recent::default(), ms(lag));
        let degraded = route.degraded_to() == Some(CaptureLevel::Metadata);
        assert_eq!(gauge.get() == 1.0, degraded);
        degraded
    }

    #[test]
    fn a_budget_is_passed_by_own_time_by_waiting_and_by_their_sum() {
        assert!(!degrades(4, 4));
        assert!(degrades(11, 0));
        assert!(degrades(0, 11));
        assert!(degrades(6, 6));
    }

    #[test]
    fn capture_degrades_at_once_and_recovers_after_ten_good_seconds() {
        let mut judge = Judge::default();
        let mut second = |added| {
            judge.second(ms(added), ms(1));
            judge.degraded
        };
        assert!(!second(1));
        assert!(second(2));
        assert!((0..9).all(|_| second(0)));
        assert!(!second(0));
        assert!(second(5));
    }
}
