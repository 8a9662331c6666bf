//! Live alerts: thresholds over the exact counts of all of a route's requests, kept or not.
//!
//! A percentile is over its threshold where too large a share of requests took longer than that,
//! so counting the longer ones tells it exactly. The request path adds to a few counters; a clock
//! beside it remembers them from time to time, and compares.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use offpath_config::Alerts;
use offpath_trace::EndReason;
use serde::Serialize;
use tracing::{info, warn};

/// How often the counts are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Into how many steps the window is cut, so that what is remembered is bounded.
const STEPS: u32 = 60;

/// One route's alerts.
#[derive(Debug)]
pub(crate) struct Watch {
    route: Arc<str>,
    window: Duration,
    min_requests: u64,
    rules: Vec<Rule>,
    requests: AtomicU64,
    memory: Mutex<Memory>,
}

/// One threshold.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    test: Test,
    /// Requests beyond this share may not meet the test.
    share_max: f64,
    met: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum Test {
    Failed,
    ClientLeft,
    LongerThan(Duration),
}

/// The meaning of a request's end for its thresholds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The service failed, or refused.
    pub(crate) failed: bool,
    /// The client left before the answer was whole.
    pub(crate) client_left: bool,
}

impl Verdict {
    /// A client that leaves, and offpath's own end, are no failure of the service's; a status of 5xx
    /// is one, whatever came after it.
    pub(crate) fn of(end: EndReason, status: Option<u16>) -> Self {
        let server_error = status.is_some_and(|code| code >= 500);
        let failed = match end {
            EndReason::Complete => status.is_none_or(|code| code >= 400),
            EndReason::ClientLeft | EndReason::Shutdown => server_error,
            _ => true,
        };
        Self {
            failed,
            client_left: end == EndReason::ClientLeft,
        }
    }
}

/// What was seen, oldest first, and what it came to.
#[derive(Debug, Default)]
struct Memory {
    counts: VecDeque<Counts>,
    alerts: Vec<Alert>,
}

/// All counts at one moment.
#[derive(Clone, Debug)]
struct Counts {
    at: Instant,
    requests: u64,
    /// In the order of the rules.
    met: Vec<u64>,
}

/// A threshold and what it is compared with, as in `/status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Alert {
    pub(crate) route: Arc<str>,
    /// `error_rate`, `client_left_rate`, `p50`, `p95` or `p99`.
    pub(crate) alert: &'static str,
    pub(crate) breached: bool,
    /// Of the window's requests, the share that failed, whose client left, or that took longer than the
    /// threshold.
    pub(crate) share: f64,
    /// The largest share that is not a breach.
    pub(crate) share_max: f64,
    /// Requests in the window.
    pub(crate) requests: u64,
}

impl Watch {
    /// `None` where there is nothing to watch. Nothing before `now` counts.
    pub(crate) fn new(route: &Arc<str>, alerts: &Alerts, now: Instant) -> Option<Self> {
        let percentile = |limit: Option<Duration>| limit.map(Test::LongerThan);
        let rows = [
            (
                "error_rate",
                alerts.max_error_rate.map(|_| Test::Failed),
                alerts.max_error_rate.unwrap_or_default(),
            ),
            (
                "client_left_rate",
                alerts.max_client_left_rate.map(|_| Test::ClientLeft),
                alerts.max_client_left_rate.unwrap_or_default(),
            ),
            ("p50", percentile(alerts.max_p50), 0.50),
            ("p95", percentile(alerts.max_p95), 0.05),
            ("p99", percentile(alerts.max_p99), 0.01),
        ];
        let rule = |(name, test, share_max): (_, Option<Test>, _)| {
            Some(Rule {
                name,
                test: test?,
                share_max,
                met: AtomicU64::new(0),
            })
        };
        let watch = alerts.any().then(|| Self {
            route: Arc::clone(route),
            window: alerts.window,
            min_requests: alerts.min_requests,
            rules: rows.into_iter().filter_map(rule).collect(),
            requests: AtomicU64::new(0),
            memory: Mutex::default(),
        })?;
        watch.look(now);
        Some(watch)
    }

    /// A request ended.
    pub(crate) fn count(&self, verdict: Verdict, took: Duration) {
        // First, so that no look sees more that met a rule than there are requests.
        self.requests.fetch_add(1, Relaxed);
        for rule in &self.rules {
            let met = match rule.test {
                Test::Failed => verdict.failed,
                Test::ClientLeft => verdict.client_left,
                Test::LongerThan(limit) => took > limit,
            };
            if met {
                rule.met.fetch_add(1, Release);
            }
        }
    }

    /// Looks at the counts at `now`, and tells the log where an alert begins or ends.
    pub(crate) fn look(&self, now: Instant) {
        let counts = Counts {
            at: now,
            met: self
                .rules
                .iter()
                .map(|rule| rule.met.load(Acquire))
                .collect(),
            requests: self.requests.load(Relaxed),
        };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let alerts = self.compare(&memory.before(now, self.window), &counts);
        for (old, new) in memory.alerts.iter().zip(&alerts) {
            let (alert, share, route) = (new.alert, new.share, &*new.route);
            match (old.breached, new.breached) {
                (false, true) => warn!(route, alert, share, "An alert begins."),
                (true, false) => info!(route, alert, share, "An alert ends."),
                _ => {}
            }
        }
        memory.alerts = alerts;
        memory.remember(counts, self.window / STEPS);
    }

    /// As of the last look.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.alerts.clone()
    }

    fn compare(&self, before: &Option<Counts>, now: &Counts) -> Vec<Alert> {
        let old_requests = before.as_ref().map_or(0, |counts| counts.requests);
        let requests = now.requests.saturating_sub(old_requests);
        let alert = |(index, rule): (usize, &Rule)| {
            let old = before.as_ref().and_then(|counts| counts.met.get(index));
            let met = now.met.get(index).copied().unwrap_or_default();
            let met = met.saturating_sub(old.copied().unwrap_or_default());
            let share = match requests {
                0 => 0.0,
                _ => met as f64 / requests as f64,
            };
            Alert {
                route: Arc::clone(&self.route),
                alert: rule.name,
                breached: requests >= self.min_requests.max(1) && share > rule.share_max,
                share,
                share_max: rule.share_max,
                requests,
            }
        };
        self.rules.iter().enumerate().map(alert).collect()
    }
}

impl Memory {
    /// The counts where the window begins: the latest that are as old, or the oldest there are.
    /// What is older is forgotten.
    fn before(&mut self, now: Instant, window: Duration) -> Option<Counts> {
        let is_old = |counts: &Counts| now.saturating_duration_since(counts.at) >= window;
        while self.counts.get(1).is_some_and(is_old) {
            self.counts.pop_front();
        }
        self.counts.front().cloned()
    }

    fn remember(&mut self, counts: Counts, step: Duration) {
        let last = self.counts.back().map(|counts| counts.at);
        let due = last.is_none_or(|last| counts.at.saturating_duration_since(last) >= step);
        if due {
            self.counts.push_back(counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(now: Instant) -> Watch {
        let alerts = Alerts {
            window: Duration::from_secs(60),
            min_requests: 10,
            max_error_rate: Some(0.1),
            max_p95: Some(Duration::from_millis(200)),
            ..Alerts::default()
        };
        Watch::new(&"chat".into(), &alerts, now).unwrap()
    }

    #[track_caller]
    fn check(watch: &Watch, now: Instant, expect: [(&str, bool); 2]) {
        watch.look(now);
        let alerts = watch.alerts();
        let found: Vec<_> = alerts.iter().map(|one| (one.alert, one.breached)).collect();
        assert_eq!(found, expect, "{alerts:?}");
    }

    const FINE_END: Verdict = Verdict {
        failed: false,
        client_left: false,
    };

    const FAILED: Verdict = Verdict {
        failed: true,
        client_left: false,
    };

    const FINE: [(&str, bool); 2] = [("error_rate", false), ("p95", false)];

    #[test]
    fn an_alert_begins_past_its_threshold_and_ends_with_its_window() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let watch = watch(start);
        check(&watch, at(1), FINE);
        let quick = Duration::from_millis(200);
        (0..90).for_each(|_| watch.count(FINE_END, quick));
        (0..10).for_each(|_| watch.count(FAILED, quick));
        check(&watch, at(2), FINE);
        watch.count(FAILED, quick);
        check(&watch, at(3), [("error_rate", true), ("p95", false)]);
        (0..6).for_each(|_| watch.count(FINE_END, Duration::from_secs(9)));
        check(&watch, at(30), [("error_rate", true), ("p95", true)]);
        // The errors of second 3 are gone, and the slow ones of second 30 are all that is left.
        check(&watch, at(70), FINE);
        (0..4).for_each(|_| watch.count(FINE_END, quick));
        check(&watch, at(80), [("error_rate", false), ("p95", true)]);
        check(&watch, at(200), FINE);
    }

    #[test]
    fn few_requests_are_no_alert() {
        let start = Instant::now();
        let watch = watch(start);
        (0..9).for_each(|_| watch.count(FAILED, Duration::from_secs(9)));
        check(&watch, start, FINE);
        assert_eq!(watch.alerts().first().map(|one| one.share), Some(1.0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Instant::now();
        let watch = watch(start);
        for look in 0..10_000 {
            watch.count(FINE_END, Duration::ZERO);
            watch.look(start + Duration::from_millis(100 * look));
        }
        let counts = watch.memory.lock().unwrap().counts.len();
        assert!(counts <= STEPS as usize + 2, "{counts}");
        let requests = watch.alerts().first().map(|one| one.requests).unwrap();
        assert!((600..=620).contains(&requests), "{requests}");
    }

    #[test]
    fn without_a_threshold_there_is_no_watch() {
        assert!(Watch::new(&"a".into(), &Alerts::default(), Instant::now()).is_none());
    }

    #[test]
    fn each_end_means_what_the_documentation_says_of_it() {
        let of = |end, status| {
            let verdict = Verdict::of(end, status);
            (verdict.failed, verdict.client_left)
        };
        for (end, status, expect) in [
            (EndReason::Complete, Some(200), (false, false)),
            (EndReason::Complete, Some(429), (true, false)),
            (EndReason::Complete, Some(503), (true, false)),
            (EndReason::UpstreamCut, Some(200), (true, false)),
            (EndReason::UpstreamError, Some(502), (true, false)),
            (EndReason::Timeout, Some(504), (true, false)),
            (EndReason::ClientLeft, Some(200), (false, true)),
            (EndReason::ClientLeft, Some(408), (false, true)),
            (EndReason::ClientLeft, None, (false, true)),
            (EndReason::ClientLeft, Some(500), (true, true)),
            (EndReason::Shutdown, Some(200), (false, false)),
            (EndReason::Shutdown, None, (false, false)),
        ] {
            assert_eq!(of(end, status), expect, "{end:?} {status:?}");
        }
    }

    #[test]
    fn clients_that_leave_have_a_threshold_of_their_own() {
        let start = Instant::now();
        let alerts = Alerts {
            min_requests: 1,
            max_error_rate: Some(0.0),
            max_client_left_rate: Some(0.5),
            ..Alerts::default()
        };
        let watch = Watch::new(&"chat".into(), &alerts, start).unwrap();
        let left = Verdict::of(EndReason::ClientLeft, Some(200));
        watch.count(left, Duration::ZERO);
        watch.count(FINE_END, Duration::ZERO);
        let names = ["error_rate", "client_left_rate"];
        check(&watch, start, [(names[0], false), (names[1], false)]);
        watch.count(left, Duration::ZERO);
        check(&watch, start, [(names[0], false), (names[1], true)]);
    }
}
