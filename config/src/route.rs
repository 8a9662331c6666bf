//! `routes`: which requests go where, and what is kept of them.

use std::sync::Arc;

use crate::{RouteMatch, RouteTrace};

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
    /// What the trace says besides the exchange itself.
    pub trace: RouteTrace,
}

/// The head decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The share of exchanges kept, 0..=1; final: the route's, else the global one, else
    /// `MLFLOW_TRACE_SAMPLING_RATIO`, else 1.
    pub ratio: f64,
    /// What is hashed against the ratio.
    pub by: SampleBy,
}

/// What the head decision hashes, so that every replica decides alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleBy {
    /// The caller's trace id where it sent one, else the exchange's own.
    Trace,
}

/// What is kept of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// How much.
    pub level: CaptureLevel,
    /// Bytes kept of one message's body at most, each of request and response; past it the
    /// message is marked truncated.
    pub max_body: usize,
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
