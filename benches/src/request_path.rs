//! The request path through `filters`, with the calls that the gateway makes.
//!
//! Clock readings are passed in. The figures include what the filters do with them but not reading
//! the clock, which the gateway's callbacks do.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use offpath_config::{
    Config, Daily, Env, Keep, KeepContent, ParentPolicy, SampleBy, Sampling, TraceContextMode,
};
use offpath_filters::{
    Capture, CaptureBudget, Figures, Head, Incoming, Keeping, Lease, Memory, Propagation,
    Recording, Router, Sampler, Tap, Target, propagate,
};
use offpath_trace::{Body, EndReason, Exchange, Level, Outcome, Plan, Request, TraceContext};

use crate::traffic::{Traffic, mix};

/// The default of `capture.max_body`.
const MAX_BODY: usize = 8 << 20;
/// The default of `limits.capture_bytes`.
const CAPTURE_BYTES: usize = 256 << 20;

/// State shared by the requests of one route.
#[derive(Debug)]
pub struct RequestPath {
    router: Router,
    sampler: Sampler,
    plan: Arc<Plan>,
    budget: CaptureBudget,
    now: Instant,
    wall: SystemTime,
}

impl RequestPath {
    /// Creates a route that samples this fraction of its exchanges.
    pub fn new(ratio: f64) -> Self {
        Self {
            router: router(1, "path_prefix"),
            sampler: sampler(ratio),
            plan: Arc::new(plan()),
            budget: CaptureBudget::new(CAPTURE_BYTES),
            now: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Enables column statistics for the route.
    #[must_use]
    pub fn with_statistics(self) -> Self {
        let mut plan = (*self.plan).clone();
        plan.statistics = true;
        Self {
            plan: Arc::new(plan),
            ..self
        }
    }

    /// Passes one exchange from its head to its end. Returns `None` if it is not sampled. `seed`
    /// determines its ids.
    pub fn pass(&self, traffic: &Traffic, seed: u64) -> Option<Exchange> {
        let mut capture = Capture::begin(self.now, self.wall);
        find(&self.router, traffic);
        let headers = &traffic.request_headers;
        let (propagation, head) = decide(&self.sampler, None, headers, self.now, seed);
        let keeping = Keeping {
            head,
            rules: None,
            content: false,
        };
        if keeping.may_keep() {
            capture.record(self.recording(traffic, &propagation, keeping));
        }
        self.relay(&mut capture, traffic);
        let outcome = Outcome {
            end: EndReason::Complete,
            error: None,
            upstream: Some(([127, 0, 0, 1], 9_000).into()),
        };
        let finished = capture.finish(self.at(9), outcome)?;
        Some(finished.exchange)
    }

    /// Passes the pieces through a tap and returns what it captured.
    pub fn tee(&self, pieces: &[Bytes]) -> (Body, Lease) {
        let mut lease = self.budget.lease();
        let mut tap = Tap::new(MAX_BODY, Memory::Exact);
        for piece in pieces {
            tap.take(piece, Duration::ZERO, &mut lease);
        }
        (tap.into_body(), lease)
    }

    fn recording(
        &self,
        traffic: &Traffic,
        propagation: &Propagation,
        keeping: Keeping,
    ) -> Box<Recording> {
        let request = Request {
            method: Method::POST,
            uri: Uri::from_static(traffic.path),
            version: Version::HTTP_11,
            headers: (&traffic.request_headers).into(),
            tls: false,
            client: Some(([127, 0, 0, 1], 50_000).into()),
            body: Body::default(),
        };
        Recording::begin(
            Arc::clone(&self.plan),
            propagation.ids,
            keeping,
            ("0af7651916cd43dd8448eb211c80319c".into(), request),
            500,
            MAX_BODY,
            &self.budget,
        )
    }

    /// Passes the exchange from the choice of the peer to the last piece of the response.
    fn relay(&self, capture: &mut Capture, traffic: &Traffic) {
        capture.attempt(self.at(1));
        capture.marks().connected(self.at(2), true);
        capture.marks().head_sent(self.at(3));
        let last = traffic.request.len().saturating_sub(1);
        for (index, piece) in traffic.request.iter().enumerate() {
            capture.request_chunk(piece, self.at(4));
            capture
                .marks()
                .request_tapped(self.at(4), self.at(5), index == last);
        }
        capture.marks().response_received(self.at(6));
        let headers = &traffic.response_headers;
        capture.response_head(StatusCode::OK, headers, Some(Version::HTTP_11));
        let figures: Figures = capture.response_composed(self.at(7));
        std::hint::black_box(figures.server_timing());
        for piece in &traffic.response {
            capture.response_chunk(piece, self.at(8));
            capture.marks().response_tapped(self.at(8), self.at(9));
        }
    }

    fn at(&self, micros: u64) -> Instant {
        self.now + Duration::from_micros(micros)
    }
}

/// Returns the index of the route that matches the request.
pub fn find(router: &Router, traffic: &Traffic) -> Option<usize> {
    router.find(target(traffic.path, &traffic.request_headers))
}

/// Returns the target of a POST request to `path`.
pub fn target<'a>(path: &'a str, headers: &'a HeaderMap) -> Target<'a> {
    Target {
        method: "POST",
        host: "llm.example.com",
        path,
        headers,
    }
}

/// Creates a sampler with this ratio and no other rule.
pub fn sampler(ratio: f64) -> Sampler {
    let sampling = Sampling {
        ratio,
        by: SampleBy::Trace,
        parent: ParentPolicy::Ignore,
        max_per_second: None,
        daily: Daily::default(),
        keep: Keep::default(),
        keep_content: KeepContent::default(),
    };
    Sampler::new(&sampling, Vec::new(), Instant::now(), Duration::ZERO)
}

/// Returns the ids of an exchange and the sampling decision.
pub fn decide(
    sampler: &Sampler,
    caller: Option<TraceContext>,
    headers: &HeaderMap,
    now: Instant,
    seed: u64,
) -> (Propagation, Head) {
    let [first, second, third] = [mix(seed), mix(seed ^ 1), mix(seed ^ 2)];
    let random = (
        u128::from(first) << 64 | u128::from(second),
        second ^ first,
        third,
    );
    let propagation = propagate(TraceContextMode::Own, caller, random);
    let incoming = Incoming {
        id: propagation.sampled_by,
        caller,
        uri: &Uri::from_static("/v1/chat/completions"),
        headers,
    };
    (propagation, sampler.decide(incoming, now))
}

/// Creates a router with `routes` routes, the last of which matches every request. The others match
/// none, and `key` is their condition: `path` or `path_prefix`.
pub fn router(routes: usize, key: &str) -> Router {
    let mut yaml = String::from(
        "listeners: [{address: \"127.0.0.1:8080\"}]\nupstreams: {model: {endpoints: [\"http://127.0.0.1:9000\"]}}\nroutes:\n",
    );
    for index in 1..routes {
        yaml += &format!(
            "  - {{name: r{index}, match: {{{key}: /tenant/{index}/v1}}, upstream: model}}\n"
        );
    }
    yaml += "  - {name: last, match: {path_prefix: /}, upstream: model}\n";
    let config = Config::parse(&yaml, "benches.yaml", &Env::default());
    Router::new(&config.expect("the text above is a configuration").routes)
}

/// The plan that the gateway compiles for a route without tracing options.
fn plan() -> Plan {
    Plan {
        index: 0,
        route: "bench".into(),
        name: "bench".into(),
        level: Level::Full,
        join: false,
        user: Vec::new(),
        session: Vec::new(),
        tags: Vec::new(),
        metadata: Vec::new(),
        client_request_id: Vec::new(),
        decoded_max: MAX_BODY,
        redaction: offpath_trace::Redaction::default(),
        statistics: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampled_exchange_contains_both_bodies_and_the_other_is_not_captured() {
        for traffic in Traffic::all() {
            let exchange = RequestPath::new(1.0).pass(&traffic, 7).unwrap();
            assert_eq!(exchange.kept_bytes(), traffic.body_bytes() as u64);
            assert!(RequestPath::new(0.0).pass(&traffic, 7).is_none());
        }
    }

    #[test]
    fn the_last_route_matches_the_request() {
        for key in ["path", "path_prefix"] {
            let found = find(&router(100, key), &Traffic::chat_1k());
            assert_eq!(found, Some(99));
        }
    }
}
