//! One route, compiled for the request path: everything a request needs without a look-up.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use offpath_config::{CaptureLevel, Config, ResponseHeaders, SampleBy, TraceContextMode};
use offpath_filters::{KeepRules, Sampler};
use offpath_trace::{Level, Plan};

use crate::alerts::Watch;
use crate::latency::RouteLatency;
use crate::metrics::{Metrics, RouteMetrics};
use crate::upstream::Upstream;

/// A route as the request path sees it.
#[derive(Debug)]
pub(crate) struct RouteState {
    /// Its place in the configuration.
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) context: TraceContextMode,
    pub(crate) headers: ResponseHeaders,
    /// `None`: the route is not traced.
    pub(crate) tracing: Option<Tracing>,
    pub(crate) metrics: RouteMetrics,
    pub(crate) latency: Option<Arc<RouteLatency>>,
    /// `None`: nothing is watched.
    pub(crate) watch: Option<Watch>,
}

/// How a route's exchanges are kept.
#[derive(Debug)]
pub(crate) struct Tracing {
    pub(crate) sampler: Sampler,
    pub(crate) rules: Option<Arc<KeepRules>>,
    /// Whether content may keep an exchange too.
    pub(crate) content: bool,
    pub(crate) max_body: usize,
    pub(crate) plan: Arc<Plan>,
    /// The same without contents, for when the latency budget is passed.
    pub(crate) metadata: Arc<Plan>,
}

impl RouteState {
    /// How exchanges are kept now, by which plan, and how much of a body; `None`: not at all.
    pub(crate) fn capture(&self) -> Option<(&Tracing, &Arc<Plan>, usize)> {
        let tracing = self.tracing.as_ref()?;
        let degraded_to = self
            .latency
            .as_ref()
            .and_then(|latency| latency.degraded_to());
        match degraded_to {
            None => Some((tracing, &tracing.plan, tracing.max_body)),
            // What is not held costs nothing, in either place.
            Some(CaptureLevel::Metadata | CaptureLevel::Full) => {
                Some((tracing, &tracing.metadata, 0))
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
            .find(|upstream| *upstream.name == *route.upstream)
            .expect("a route's upstream exists, because the configuration checked its name");
        Arc::new(RouteState {
            index,
            name: Arc::clone(&route.name),
            upstream: Arc::clone(upstream),
            context: route.trace.context,
            headers: route.headers.clone(),
            tracing: tracing(index, route),
            latency: route.latency_budget.as_ref().map(|budget| {
                let gauge = metrics.capture_degraded.with_label_values(&[&*route.name]);
                RouteLatency::new(&route.name, budget, gauge)
            }),
            metrics: metrics.route(&route.name),
            watch: Watch::new(&route.name, &route.alerts, Instant::now()),
        })
    };
    config.routes.iter().enumerate().map(state).collect()
}

/// `None`: the route is not traced.
pub(crate) fn tracing(index: usize, route: &offpath_config::Route) -> Option<Tracing> {
    let level = match route.capture.level {
        CaptureLevel::Full => Level::Full,
        CaptureLevel::Metadata => Level::Metadata,
        CaptureLevel::Off => return None,
    };
    let (sampling, now) = (&route.sampling, Instant::now());
    let plan = plan(index, route, level);
    let key = match sampling.by {
        SampleBy::Trace => Vec::new(),
        SampleBy::Session => plan.session.clone(),
        SampleBy::User => plan.user.clone(),
    };
    Some(Tracing {
        sampler: Sampler::new(sampling, key, now, since_midnight()),
        rules: KeepRules::new(&sampling.keep, now).map(Arc::new),
        content: sampling.keep_content.any(),
        max_body: route.capture.max_body,
        metadata: Arc::new(Plan {
            level: Level::Metadata,
            ..plan.clone()
        }),
        plan: Arc::new(plan),
    })
}

/// How much of the day has passed, by UTC.
fn since_midnight() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Duration::from_secs(now.unwrap_or_default().as_secs() % 86_400)
}

fn plan(index: usize, route: &offpath_config::Route, level: Level) -> Plan {
    let tag = |tag: &offpath_config::Tag| (Arc::clone(&tag.key), tag.value.clone());
    Plan {
        index,
        route: Arc::clone(&route.name),
        name: Arc::clone(&route.trace.name),
        level,
        join: route.trace.context == TraceContextMode::Join,
        user: route.trace.user.clone(),
        session: route.trace.session.clone(),
        tags: route.trace.tags.iter().map(tag).collect(),
        metadata: route.trace.metadata.iter().map(tag).collect(),
        client_request_id: route.trace.client_request_id.clone(),
        redaction: route.redact.clone(),
        statistics: route.capture.statistics,
        decoded_max: route.capture.max_body,
    }
}
