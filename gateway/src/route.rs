//! One route, compiled for the request path: everything a request needs without a look-up.

use std::sync::Arc;

use http::HeaderName;
use offpath_config::{CaptureLevel, Config, ResponseHeaders, Source, TraceContextMode};
use offpath_filters::Sampler;
use offpath_trace::{self as trace, Level, Plan};

use crate::latency::RouteLatency;
use crate::metrics::{Metrics, RouteMetrics};
use crate::upstream::Upstream;

/// A route as the request path sees it.
#[derive(Debug)]
pub(crate) struct RouteState {
    pub(crate) name: Arc<str>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) context: TraceContextMode,
    pub(crate) headers: ResponseHeaders,
    /// `None`: the route is not traced.
    pub(crate) tracing: Option<Tracing>,
    pub(crate) metrics: RouteMetrics,
    pub(crate) latency: Option<Arc<RouteLatency>>,
}

/// How a route's exchanges are kept.
#[derive(Debug)]
pub(crate) struct Tracing {
    pub(crate) sampler: Sampler,
    pub(crate) max_body: usize,
    pub(crate) plan: Arc<Plan>,
    /// The same without contents, for when the latency budget is passed.
    pub(crate) metadata: Arc<Plan>,
}

impl RouteState {
    /// What to keep of a kept exchange now, and how much of a body.
    pub(crate) fn plan(&self) -> Option<(&Sampler, &Arc<Plan>, usize)> {
        let tracing = self.tracing.as_ref()?;
        let degraded_to = self
            .latency
            .as_ref()
            .and_then(|latency| latency.degraded_to());
        match degraded_to {
            None => Some((&tracing.sampler, &tracing.plan, tracing.max_body)),
            // What is not held costs nothing, in either place.
            Some(CaptureLevel::Metadata | CaptureLevel::Full) => {
                Some((&tracing.sampler, &tracing.metadata, 0))
            }
            Some(CaptureLevel::Off) => None,
        }
    }
}

/// The routes of a configuration in its order, with their upstreams.
pub(crate) fn compile(
    config: &Config,
    upstreams: &[Arc<Upstream>],
    metrics: &Metrics,
) -> Vec<Arc<RouteState>> {
    let state = |(index, route): (usize, &offpath_config::Route)| {
        let upstream = upstreams
            .iter()
            .find(|upstream| *upstream.name == *route.upstream)?;
        let level = match route.capture.level {
            CaptureLevel::Full => Some(Level::Full),
            CaptureLevel::Metadata => Some(Level::Metadata),
            CaptureLevel::Off => None,
        };
        Some(Arc::new(RouteState {
            name: Arc::clone(&route.name),
            upstream: Arc::clone(upstream),
            context: route.trace.context,
            headers: route.headers.clone(),
            tracing: level.map(|level| Tracing {
                sampler: Sampler::new(route.sampling.ratio),
                max_body: route.capture.max_body,
                plan: Arc::new(plan(index, route, level)),
                metadata: Arc::new(plan(index, route, Level::Metadata)),
            }),
            latency: route.latency_budget.as_ref().map(|budget| {
                let gauge = metrics.capture_degraded.with_label_values(&[&*route.name]);
                RouteLatency::new(&route.name, budget, gauge)
            }),
            metrics: metrics.route(&route.name),
        }))
    };
    config.routes.iter().enumerate().filter_map(state).collect()
}

fn plan(index: usize, route: &offpath_config::Route, level: Level) -> Plan {
    let tag = |tag: &offpath_config::Tag| Some((Arc::clone(&tag.key), source(&tag.value)?));
    Plan {
        index,
        route: Arc::clone(&route.name),
        name: Arc::clone(&route.trace.name),
        level,
        join: route.trace.context == TraceContextMode::Join,
        user: route.trace.user.iter().filter_map(source).collect(),
        session: route.trace.session.iter().filter_map(source).collect(),
        tags: route.trace.tags.iter().filter_map(tag).collect(),
        decoded_max: route.capture.max_body,
    }
}

/// Always `Some`: the configuration checked that the name is a header's.
fn source(source: &Source) -> Option<trace::Source> {
    match source {
        Source::Constant(value) => Some(trace::Source::Constant(Arc::clone(value))),
        Source::Header(name) => HeaderName::from_bytes(name.as_bytes())
            .ok()
            .map(trace::Source::Header),
    }
}
