//! `routes`: which requests go where, and what is kept of them.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Alerts, ExperimentRef, LatencyBudget, Redact, RouteMatch, RouteTrace, SampleBy, Sampling,
    Source, alerts, check,
    field::{Field, quoted},
    latency, route_match, route_redact, route_trace, sampling,
    similar::similar,
    units,
};

/// One rule. The first route that matches a request takes it.
#[derive(Clone, Debug)]
pub struct Route {
    /// Unique; in metrics and on traces as `offpath.route`.
    pub name: Arc<str>,
    /// Which requests it takes (`match` in the YAML).
    pub matcher: RouteMatch,
    /// The name of an upstream that exists.
    pub upstream: Arc<str>,
    /// Which of its exchanges are kept.
    pub sampling: Sampling,
    /// What is kept of an exchange.
    pub capture: Capture,
    /// Names of sinks that exist, without repetition; `all` is spelled out. Never empty.
    pub sinks: Vec<Arc<str>>,
    /// Which headers of its own offpath adds to responses.
    pub headers: ResponseHeaders,
    /// What is masked on its traces.
    pub redact: Redact,
    /// What the trace says besides the exchange itself.
    pub trace: RouteTrace,
    /// What its traffic must keep to, live.
    pub alerts: Alerts,
    /// What offpath may add to its requests.
    pub latency_budget: Option<LatencyBudget>,
}

/// What is kept of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// How much.
    pub level: CaptureLevel,
    /// Bytes kept of one message's body at most, each of request and response; past it the
    /// message is marked truncated.
    pub max_body: usize,
    /// Whether frames and tensors are told by least, greatest, mean and missing values.
    pub statistics: bool,
}

/// How much of an exchange is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureLevel {
    /// Bodies and everything else.
    Full,
    /// Sizes, shapes and usage, no content.
    Metadata,
    /// Nothing: the route is not traced.
    Off,
}

/// The response headers that offpath adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHeaders {
    /// `server-timing`.
    pub server_timing: bool,
    /// `x-offpath-overhead-us`.
    pub overhead: bool,
    /// `x-offpath-trace-id`.
    pub trace_id: bool,
}

/// What routes refer to and fall back to.
pub(crate) struct Surroundings<'a> {
    /// Every upstream's name, those included that have faults of their own.
    pub(crate) upstreams: Vec<&'a str>,
    /// Every sink's name, likewise.
    pub(crate) sinks: Vec<&'a str>,
    pub(crate) ratio: f64,
    pub(crate) experiment: ExperimentRef,
}

pub(crate) fn read(field: &Field<'_>, around: &Surroundings<'_>) -> Vec<Route> {
    let items = field.items();
    if items.is_empty() {
        field.fail("at least one route is needed");
    }
    let mut names = BTreeSet::new();
    let mut routes: Vec<Route> = Vec::new();
    for item in &items {
        let Some(route) = route(item, around, &mut names) else {
            continue;
        };
        let shadow = routes
            .iter()
            .find(|earlier| earlier.matcher.shadows(&route.matcher));
        if let Some(earlier) = shadow {
            item.warn(&format!(
                "route `{}` never matches: route `{}` before it takes the same requests",
                route.name, earlier.name
            ));
        }
        routes.push(route);
    }
    routes
}

fn route(
    field: &Field<'_>,
    around: &Surroundings<'_>,
    names: &mut BTreeSet<Arc<str>>,
) -> Option<Route> {
    let map = field.map();
    let name_field = map.field("name");
    let name = name_field.required(check::name);
    if let Some(name) = &name
        && !names.insert(name.clone())
    {
        name_field.fail(format!("a route before it is named `{name}` too"));
    }
    let upstream = map
        .field("upstream")
        .required(|text| known("upstream", text, &around.upstreams));
    let matcher = route_match::read(&map.field("match"));
    let sampling = sampling::read(&map.field("sampling"), around.ratio);
    let capture = capture(&map.field("capture"));
    let sinks = sinks(&map.field("sinks"), &around.sinks);
    let headers = response_headers(&map.field("headers"));
    let redact = route_redact::read(&map.field("redact"));
    let latency_budget = latency::read(&map.field("latency_budget"));
    let alerts = alerts::read(&map.field("alerts"));
    // The faults of a nameless route's trace are worth knowing too.
    let trace_name = name.clone().unwrap_or_default();
    let trace = route_trace::read(&map.field("trace"), &trace_name, &around.experiment);
    check_deciding(&map.field("sampling"), &sampling, &trace);
    Some(Route {
        name: name?,
        matcher,
        upstream: upstream?,
        sampling,
        capture,
        sinks,
        headers,
        redact,
        trace,
        alerts,
        latency_budget,
    })
}

/// What decides must be there when the request's head is, and be there at all.
fn check_deciding(field: &Field<'_>, sampling: &Sampling, trace: &RouteTrace) {
    let (sources, name) = match sampling.by {
        SampleBy::Trace => return,
        SampleBy::Session => (&trace.session, "session"),
        SampleBy::User => (&trace.user, "user"),
    };
    let late = |source: &Source| matches!(source, Source::Body(_));
    if let Some(index) = sources.iter().position(late) {
        field.fail(format!(
            "by `{name}` cannot decide: `trace.{name}[{index}]` is read from the body, which comes after the decision"
        ));
    }
    if sources.is_empty() {
        field.warn(&format!(
            "by `{name}` decides by the trace, because `trace.{name}` names no source"
        ));
    }
}

fn capture(field: &Field<'_>) -> Capture {
    let map = field.map();
    let levels = [
        ("full", CaptureLevel::Full),
        ("metadata", CaptureLevel::Metadata),
        ("off", CaptureLevel::Off),
    ];
    Capture {
        level: map.field("level").choice(CaptureLevel::Full, &levels),
        max_body: map.field("max_body").or(8 << 20, units::bytes),
        statistics: map.field("statistics").or(false, units::boolean),
    }
}

fn response_headers(field: &Field<'_>) -> ResponseHeaders {
    let map = field.map();
    let header = |key| map.field(key).or(true, units::boolean);
    ResponseHeaders {
        server_timing: header("server_timing"),
        overhead: header("overhead"),
        trace_id: header("trace_id"),
    }
}

/// `all`, or a list of names.
fn sinks(field: &Field<'_>, names: &[&str]) -> Vec<Arc<str>> {
    if !field.is_set() || field.is_word("all") {
        return names.iter().map(|name| Arc::from(*name)).collect();
    }
    let items = field.items();
    if field.is_list() && items.is_empty() {
        field.fail("is empty: use `capture: {level: off}` to keep nothing");
    }
    let mut seen = BTreeSet::new();
    let mut sinks = Vec::new();
    for item in items {
        let sink = item.required(|text| known("sink", text, names));
        let Some(sink) = sink else { continue };
        if seen.insert(sink.clone()) {
            sinks.push(sink);
        } else {
            item.fail("is given twice");
        }
    }
    sinks
}

fn known(kind: &str, text: &str, names: &[&str]) -> Result<Arc<str>, String> {
    if names.contains(&text) {
        return Ok(text.into());
    }
    Err(match similar(text, names) {
        Some(name) => format!("no {kind} is named `{text}`, did you mean `{name}`?"),
        None if names.is_empty() => format!("no {kind} is named `{text}`"),
        None => format!("no {kind} is named `{text}`, only {}", quoted(names)),
    })
}
