//! One request's state across pingora's callbacks, and the guard that hands it off.
//!
//! pingora drops a request's future without a word when it stops, and when the task panics:
//! then the drop of this context ends the exchange.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use offpath_filters::{Capture, Propagation};
use offpath_trace::{Exchange, Outcome};

use crate::alerts::Verdict;
use crate::inflight;
use crate::metrics::{RouteMetrics, seconds};
use crate::proxy::Gateway;
use crate::route::RouteState;
use crate::upstream::EndpointState;

/// One request's state.
pub(crate) struct Ctx {
    pub(crate) capture: Capture,
    pub(crate) route: Option<Admitted>,
    /// Where the current attempt goes.
    pub(crate) peer: Option<(Arc<EndpointState>, SocketAddr)>,
    /// The next attempt must not take a pooled connection: the last one's was dead.
    pub(crate) fresh_connection: bool,
    /// The status that the client sees, once its head is on the way.
    pub(crate) status: Option<u16>,
    /// The response's last byte went through the filter.
    pub(crate) response_ended: bool,
    gateway: Arc<Gateway>,
    ended: bool,
    _under_way: inflight::Guard,
}

/// A request that a route took.
pub(crate) struct Admitted {
    pub(crate) state: Arc<RouteState>,
    pub(crate) propagation: Propagation,
    /// For the upstream: the client's own, or made.
    pub(crate) request_id: Box<str>,
    /// The head decision: the sampled flag that offpath sends.
    pub(crate) sampled: bool,
    /// Whether it is kept, or may be by a rule.
    pub(crate) may_keep: bool,
}

impl Ctx {
    /// A request whose head was just parsed.
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let under_way = gateway.in_flight.enter();
        Self {
            capture: Capture::begin(Instant::now(), SystemTime::now()),
            route: None,
            peer: None,
            fresh_connection: false,
            status: None,
            response_ended: false,
            gateway,
            ended: false,
            _under_way: under_way,
        }
    }

    /// `tr-<32 hex>`, MLflow's form of the trace id, where the exchange may be kept.
    pub(crate) fn trace_id(&self) -> Option<String> {
        let admitted = self.route.as_ref().filter(|admitted| admitted.may_keep)?;
        Some(format!("tr-{}", admitted.propagation.ids.trace_id))
    }

    /// The metrics of its route.
    fn metrics(&self) -> &RouteMetrics {
        self.route
            .as_ref()
            .map_or(&self.gateway.unrouted, |admitted| &admitted.state.metrics)
    }

    /// Takes a kept exchange from its route's daily budget, and one that is kept if its client left.
    /// What its content keeps is decided later, and has a rate of its own.
    fn spend(&self, exchange: &Exchange) {
        let tracing = self
            .route
            .as_ref()
            .and_then(|route| route.state.tracing.as_ref());
        let kept = exchange.kept.is_some() || exchange.kept_if_left;
        if let Some(tracing) = tracing.filter(|_| kept) {
            tracing.sampler.spend(|| exchange.kept_bytes());
        }
    }

    /// The end: counts, and offers the exchange where it is kept. Only the first call counts.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = Instant::now();
        let marks = *self.capture.marks();
        let metrics = self.metrics();
        metrics.count(self.status);
        metrics.count_end(outcome.end);
        metrics.duration.observe(seconds(marks.at(now)));
        metrics
            .overhead_head
            .observe(seconds(marks.figures().offpath));
        let latency = self
            .route
            .as_ref()
            .and_then(|route| route.state.latency.as_ref());
        if let Some(latency) = latency {
            latency.record(marks.figures().offpath);
        }
        metrics.overhead_body.observe(seconds(marks.body()));
        if let Some(first_byte) = self.capture.first_byte() {
            metrics.first_byte.observe(seconds(first_byte));
        }
        let verdict = Verdict::of(outcome.end, self.status);
        if let Some(watch) = self
            .route
            .as_ref()
            .and_then(|route| route.state.watch.as_ref())
        {
            watch.count(verdict, marks.at(now));
        }
        let outcome = Outcome {
            upstream: self.peer.as_ref().map(|peer| peer.1),
            ..outcome
        };
        let finished = self.capture.finish(now, outcome);
        match (finished, &self.route) {
            (Some(finished), _) => {
                if finished.short {
                    self.metrics().keep_truncated.inc();
                }
                self.spend(&finished.exchange);
                self.gateway.export.offer(finished.exchange);
            }
            (None, Some(admitted)) => self.gateway.export.passed_over(admitted.state.index),
            (None, None) => {}
        }
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        self.end(self.capture.dropped());
    }
}
