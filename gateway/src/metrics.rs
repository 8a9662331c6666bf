//! The gateway's own metrics: resolved per route at start, so that a request looks nothing up.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use offpath_filters::CaptureBudget;
use offpath_trace::EndReason;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry,
};

use crate::alerts::Watch;
use crate::route::RouteState;

/// Upper bounds in seconds for what offpath itself takes: from 5 µs, where it should be.
const OVERHEAD_BUCKETS: &[f64] = &[
    5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 7.5e-5, 1e-4, 1.5e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2,
    2.5e-2, 0.1, 1.0,
];

/// Upper bounds in seconds for whole requests: a cached answer to a long generation.
const DURATION_BUCKETS: &[f64] = &[
    1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// The ends that the request path can tell apart; the others need a decoded body.
const ENDS: [EndReason; 6] = [
    EndReason::Complete,
    EndReason::ClientLeft,
    EndReason::UpstreamCut,
    EndReason::UpstreamError,
    EndReason::Timeout,
    EndReason::Shutdown,
];

/// Route label of requests that no route took.
const NO_ROUTE: &str = "none";

/// All of the gateway's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    ends: IntCounterVec,
    duration: HistogramVec,
    first_byte: HistogramVec,
    overhead: HistogramVec,
    keep_truncated: IntCounterVec,
    ratio: GaugeVec,
    alert: GaugeVec,
    capture_bytes: IntGauge,
    /// Connections refused because `limits.connections` were open.
    pub(crate) connections_refused: IntCounter,
    /// 1 for routes that capture less because of their latency budget.
    pub(crate) capture_degraded: GaugeVec,
}

/// One route's share of them.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    requests: IntCounterVec,
    route: Box<str>,
    /// By status code from 100 on; each resolved when first seen.
    by_code: Vec<OnceLock<IntCounter>>,
    no_code: IntCounter,
    ends: [(EndReason, IntCounter); ENDS.len()],
    pub(crate) duration: Histogram,
    pub(crate) first_byte: Histogram,
    pub(crate) overhead_head: Histogram,
    pub(crate) overhead_body: Histogram,
    pub(crate) keep_truncated: IntCounter,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(registry, HistogramVec::new(opts, labels)?)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        show_version(registry)?;
        Ok(Self {
            requests: counter(
                "offpath_requests_total",
                "Requests by route and status code; `none` where no response began.",
                &["route", "code"],
            )?,
            ends: counter(
                "offpath_ends_total",
                "Exchanges by route and how they ended, as the request path saw it.",
                &["route", "reason"],
            )?,
            duration: histogram(
                "offpath_request_duration_seconds",
                "Request head parsed to the end of the exchange.",
                DURATION_BUCKETS,
                &["route"],
            )?,
            first_byte: histogram(
                "offpath_first_byte_seconds",
                "Request head parsed to the first byte of the response body.",
                DURATION_BUCKETS,
                &["route"],
            )?,
            overhead: histogram(
                "offpath_overhead_seconds",
                "What offpath itself did, before the response began and during its body.",
                OVERHEAD_BUCKETS,
                &["route", "phase"],
            )?,
            keep_truncated: counter(
                "offpath_keep_truncated_total",
                "Exchanges left to a rule whose bodies limits.capture_bytes had no room for.",
                &["route"],
            )?,
            ratio: gauge(
                registry,
                "offpath_sampling_ratio",
                "Share of exchanges that sampling keeps, lowered where a day's budget asks for it.",
                &["route"],
            )?,
            alert: gauge(
                registry,
                "offpath_alert",
                "1 where a threshold of the route is breached.",
                &["route", "alert"],
            )?,
            capture_bytes: capture_bytes(registry)?,
            capture_degraded: gauge(
                registry,
                "offpath_capture_degraded",
                "1 while a route's latency budget is passed and less is captured.",
                &["route"],
            )?,
            connections_refused: connections_refused(registry)?,
        })
    }

    /// The share of a route.
    pub(crate) fn route(&self, route: &str) -> RouteMetrics {
        let overhead = |phase| self.overhead.with_label_values(&[route, phase]);
        let ended = |end: EndReason| {
            let labels = [route, end.as_str()];
            (end, self.ends.with_label_values(&labels))
        };
        RouteMetrics {
            requests: self.requests.clone(),
            route: route.into(),
            by_code: (100..600).map(|_| OnceLock::new()).collect(),
            no_code: self.requests.with_label_values(&[route, "none"]),
            ends: ENDS.map(ended),
            duration: self.duration.with_label_values(&[route]),
            first_byte: self.first_byte.with_label_values(&[route]),
            overhead_head: overhead("head"),
            overhead_body: overhead("body"),
            keep_truncated: self.keep_truncated.with_label_values(&[route]),
        }
    }

    /// The share of requests that no route took.
    pub(crate) fn unrouted(&self) -> RouteMetrics {
        self.route(NO_ROUTE)
    }

    /// Reads the routes' sampling ratios and alerts into their gauges.
    pub(crate) fn observe_routes(&self, routes: &[Arc<RouteState>]) {
        for route in routes {
            if let Some(tracing) = &route.tracing {
                let gauge = self.ratio.with_label_values(&[&*route.name]);
                gauge.set(tracing.sampler.ratio());
            }
            for alert in route.watch.iter().flat_map(Watch::alerts) {
                let gauge = self.alert.with_label_values(&[&*alert.route, alert.alert]);
                gauge.set(f64::from(u8::from(alert.breached)));
            }
        }
    }

    /// Reads the budget's state into its gauge.
    pub(crate) fn observe_budget(&self, budget: &CaptureBudget) {
        self.capture_bytes
            .set(i64::try_from(budget.used()).unwrap_or(i64::MAX));
    }
}

impl RouteMetrics {
    /// One request, with the status that the client saw.
    pub(crate) fn count(&self, status: Option<u16>) {
        let slot = status.and_then(|code| self.by_code.get(usize::from(code).checked_sub(100)?));
        match (slot, status) {
            (Some(slot), Some(code)) => slot
                .get_or_init(|| {
                    self.requests
                        .with_label_values(&[&*self.route, &*code.to_string()])
                })
                .inc(),
            _ => self.no_code.inc(),
        }
    }

    /// Counts an exchange by its end.
    pub(crate) fn count_end(&self, end: EndReason) {
        let known = self.ends.iter().find(|(known, _)| *known == end);
        if let Some((_, counter)) = known {
            counter.inc();
        }
    }
}

fn show_version(registry: &Registry) -> prometheus::Result<()> {
    let opts = Opts::new("offpath_build_info", "The running version; always 1.");
    let family = registered(registry, IntCounterVec::new(opts, &["version"])?)?;
    family.with_label_values(&[env!("CARGO_PKG_VERSION")]).inc();
    Ok(())
}

fn capture_bytes(registry: &Registry) -> prometheus::Result<IntGauge> {
    let name = "offpath_capture_bytes";
    registered(
        registry,
        IntGauge::new(name, "Bytes of messages held for capture.")?,
    )
}

fn connections_refused(registry: &Registry) -> prometheus::Result<IntCounter> {
    let name = "offpath_connections_refused_total";
    let help = "Connections closed because limits.connections were open.";
    registered(registry, IntCounter::new(name, help)?)
}

fn gauge(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<GaugeVec> {
    registered(registry, GaugeVec::new(Opts::new(name, help), labels)?)
}

/// A duration as Prometheus counts them.
pub(crate) fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
