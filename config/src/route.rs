//! `routes`: which requests go where, and how much of them is kept.

use std::{collections::BTreeSet, sync::Arc};

use offpath_trace::{Redaction, Source};

use crate::{
    Alerts, ExperimentRef, LatencyBudget, RouteMatch, RouteTrace, SampleBy, Sampling, alerts,
    check,
    field::Field,
    kind::{self, Type},
    latency,
    map::Map,
    route_match, route_redact, route_trace, sampling,
};

/// One route. The first route that matches a request is used.
#[derive(Clone, Debug)]
pub struct Route {
    /// Unique; in metrics and on traces as `offpath.route`.
    pub name: Arc<str>,
    /// Which requests it matches (`match` in the YAML).
    pub matcher: RouteMatch,
    /// The name of an upstream that exists.
    pub upstream: Arc<str>,
    /// Which of its exchanges are kept.
    pub sampling: Sampling,
    /// How much of an exchange is kept.
    pub capture: Capture,
    /// Names of existing sinks, without repetition; `all` is resolved. Never empty.
    pub sinks: Vec<Arc<str>>,
    /// Which headers offpath adds to responses.
    pub headers: ResponseHeaders,
    /// The rules that mask values on its traces.
    pub redact: Redaction,
    /// Names, identity and destination of its traces.
    pub trace: RouteTrace,
    /// Thresholds for its live traffic.
    pub alerts: Alerts,
    /// How much time offpath may add to its requests.
    pub latency_budget: Option<LatencyBudget>,
}

/// How much of an exchange is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The parts that are kept.
    pub level: CaptureLevel,
    /// Maximum number of bytes kept of one body, request and response each; a longer body is cut
    /// and marked truncated.
    pub max_body: usize,
    /// Whether DataFrames and tensors are summarized by minimum, maximum, mean and missing values.
    pub statistics: bool,
}

/// The parts of an exchange that are kept.
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

/// The names that routes refer to, and the values that they fall back to.
pub(crate) struct Surroundings<'a> {
    /// The name of every upstream, including those with faults.
    pub(crate) upstreams: Vec<&'a str>,
    /// The name of every sink, likewise.
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
                "route `{}` never matches: route `{}` before it matches the same requests",
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
    let name = name(&map, names);
    let section = |name: &'static str, about: &'static str| map.key(name, about).section();
    let matcher = route_match::read(&section(
        "match",
        "Which requests the route matches; all conditions must hold, and without any it matches every request.",
    ));
    let upstream = map
        .key("upstream", "Name of the upstream that serves the route.")
        .example("support-llm")
        .required(kind::name_of("upstream", &around.upstreams));
    let sampling_field = section("sampling", "Which exchanges are kept.");
    let sampling = sampling::read(&sampling_field, around.ratio);
    let capture = capture(&section("capture", "How much of an exchange is kept."));
    let sinks = sinks(&map, &around.sinks);
    let headers = response_headers(&section(
        "headers",
        "Headers that offpath adds to responses.",
    ));
    // The faults of a nameless route's trace are reported too.
    let trace_name = name.clone().unwrap_or_default();
    let trace = route_trace::read(
        &section("trace", "Names, identity and destination of the traces."),
        &trace_name,
        &around.experiment,
    );
    let redact = route_redact::read(&section(
        "redact",
        "Rules that mask values on traces; the bytes that pass are never changed.",
    ));
    let alerts = alerts::read(&section(
        "alerts",
        "Thresholds for all requests of the route, kept or not, shown on `/status`, in `offpath_alert` and in the log.",
    ));
    let latency_budget = latency::read(&section(
        "latency_budget",
        "How much time offpath may add; beyond it, less is captured until offpath is within it again.",
    ));
    check_deciding(&sampling_field, &sampling, &trace);
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

fn name(map: &Map<'_>, names: &mut BTreeSet<Arc<str>>) -> Option<Arc<str>> {
    let key = map
        .key("name", "Unique name, shown in metrics and on traces.")
        .example("chat");
    let field = key.field();
    let name = key.required(kind::text_of(check::name))?;
    if !names.insert(name.clone()) {
        field.fail(format!("an earlier route is named `{name}` too"));
    }
    Some(name)
}

/// The value that decides must be known from the request's head, and have a source.
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
        level: map
            .key("level", "Everything (`full`), sizes, shapes and usage without content (`metadata`), or nothing (`off`: the route is not traced).")
            .or("full", kind::words(&levels)),
        max_body: map
            .key("max_body", "Maximum size kept of one body, request and response each; a longer body is cut and marked truncated.")
            .or("8MiB", kind::size()),
        statistics: map
            .key("statistics", "Whether DataFrames and tensors are summarized by minimum, maximum, mean and missing values per column.")
            .or("false", kind::boolean()),
    }
}

fn response_headers(field: &Field<'_>) -> ResponseHeaders {
    let map = field.map();
    ResponseHeaders {
        server_timing: map
            .key("server_timing", "Whether `server-timing` is added, with the time spent in offpath, connecting, uploading and upstream.")
            .or("true", kind::boolean()),
        overhead: map
            .key("overhead", "Whether `x-offpath-overhead-us` is added, with the microseconds spent inside offpath before the response.")
            .or("true", kind::boolean()),
        trace_id: map
            .key("trace_id", "Whether `x-offpath-trace-id` is added where the exchange may be kept.")
            .or("true", kind::boolean()),
    }
}

/// `all`, or a list of names.
fn sinks(map: &Map<'_>, names: &[&str]) -> Vec<Arc<str>> {
    let key = map
        .key(
            "sinks",
            "Sinks that the route's traces are sent to: `all`, or a list of names.",
        )
        .default("all");
    let field = key.place(Type::Either(
        Box::new(Type::Words(vec!["all"])),
        Box::new(Type::List(Box::new(Type::Text))),
    ));
    if !field.is_set() || field.is_word("all") {
        return names.iter().map(|name| Arc::from(*name)).collect();
    }
    let items = field.items();
    if field.is_list() && items.is_empty() {
        field.fail("is empty: use `capture: {level: off}` to keep nothing");
    }
    let known = kind::name_of("sink", names);
    let mut seen = BTreeSet::new();
    let mut sinks = Vec::new();
    for item in items {
        let Some(sink) = item.required(|text| known.parse(text)) else {
            continue;
        };
        if seen.insert(sink.clone()) {
            sinks.push(sink);
        } else {
            item.fail("is given twice");
        }
    }
    sinks
}
