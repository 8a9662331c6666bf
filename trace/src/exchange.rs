//! One request and its response, as the request path saw them.
//!
//! The only type that crosses from the request path to the background. Bodies are the chunks
//! that passed, refcounted and unread; everything that costs is left to whoever receives it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};

use crate::{Headers, Plan, SpanId, TraceContext, TraceId};

/// One request and its response, or as much of them as there was.
#[derive(Debug)]
pub struct Exchange {
    /// What the route wants of its traces.
    pub plan: Arc<Plan>,
    /// Fixed when the request came, so that sending a trace twice stores it once.
    pub ids: Ids,
    /// Why it is kept; `None`: that depends on what it says.
    pub kept: Option<KeptBecause>,
    /// Whether a rule keeps it, with weight 1, if decoding too finds that its client left before the
    /// answer was whole.
    pub kept_if_left: bool,
    /// Inverse of the probability of being kept; `None` where that is not known. Of an exchange
    /// that is not decided, as if it were passed over.
    pub weight: Option<f64>,
    /// Also sent upstream; kept from the request, or made.
    pub request_id: Box<str>,
    /// The request.
    pub request: Request,
    /// `None`: no response head was written to the client.
    pub response: Option<Response>,
    /// When things happened.
    pub timing: Timing,
    /// How it ended.
    pub outcome: Outcome,
    /// Gives the capture budget back when the bodies are let go.
    pub charge: Option<Box<dyn Charge>>,
}

impl Exchange {
    /// Bytes of body held in memory.
    pub fn kept_bytes(&self) -> u64 {
        let response = self
            .response
            .as_ref()
            .map_or(0, |response| response.body.kept_bytes());
        self.request.body.kept_bytes() + response
    }

    /// Returns the status if it is 400 or above.
    pub(crate) fn refused(&self) -> Option<StatusCode> {
        let status = self.response.as_ref()?.status;
        (status.as_u16() >= 400).then_some(status)
    }
}

/// A share of a budget, given back on drop.
pub trait Charge: Send + Sync + std::fmt::Debug {
    /// What is charged, in bytes.
    fn bytes(&self) -> usize;
}

/// The ids of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// The exchange's trace.
    pub trace_id: TraceId,
    /// The root span: the exchange as the client saw it.
    pub root: SpanId,
    /// Its child: the call to the upstream.
    pub upstream: SpanId,
    /// The span that the root continues (`join`), in the same trace.
    pub parent: Option<SpanId>,
    /// What the caller's `traceparent` said, if there was one.
    pub caller: Option<TraceContext>,
}

/// Why an exchange is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptBecause {
    /// The route's sampling ratio took it.
    Ratio,
    /// The caller had sampled it.
    Parent,
    /// It failed: status 5xx, or an end that is the service's fault or offpath's.
    Error,
    /// It took longer than the route's limit.
    Slow,
    /// Its response body began later than the route's limit.
    FirstByte,
    /// One of its bodies is larger than the route's limit.
    Large,
    /// Its client left before the answer was whole.
    ClientLeft,
    /// The model stopped for one of the route's reasons.
    FinishReason,
    /// The response's body reports an error, or its stream ends without its closing event.
    StreamError,
    /// It is a gRPC response with a status other than 0, or without the one that is due.
    GrpcError,
}

impl KeptBecause {
    /// Every reason there is, in the order in which they are looked at.
    pub const ALL: [Self; 10] = [
        Self::Ratio,
        Self::Parent,
        Self::Error,
        Self::Slow,
        Self::FirstByte,
        Self::Large,
        Self::ClientLeft,
        Self::FinishReason,
        Self::StreamError,
        Self::GrpcError,
    ];

    /// As in `offpath.kept_because` and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Parent => "parent",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::FirstByte => "first_byte",
            Self::Large => "large",
            Self::ClientLeft => "client_left",
            Self::FinishReason => "finish_reason",
            Self::StreamError => "stream_error",
            Self::GrpcError => "grpc_error",
        }
    }
}

/// A request as it came from the client.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Target as it came: origin form, or absolute on HTTP/2.
    pub uri: Uri,
    /// HTTP version between the client and offpath.
    pub version: Version,
    /// The fields as they came, credentials included: the background masks them.
    pub headers: Headers,
    /// Whether the listener speaks TLS.
    pub tls: bool,
    /// The client's address.
    pub client: Option<SocketAddr>,
    /// The body.
    pub body: Body,
}

/// A response as it went to the client.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The upstream's fields, or those of offpath's own error.
    pub headers: Headers,
    /// `false`: offpath answered by itself.
    pub from_upstream: bool,
    /// The body.
    pub body: Body,
    /// The fields after the body (HTTP/2).
    pub trailers: Option<Headers>,
}

/// One message's body: its first bytes, and its true size.
#[derive(Debug, Default)]
pub struct Body {
    /// What was kept, in order, without a gap.
    pub chunks: Vec<Chunk>,
    /// How much passed through.
    pub bytes: u64,
    /// Whether less was kept than passed: a cap was reached, or the budget was.
    pub truncated: bool,
}

impl Body {
    /// Bytes of it that are held.
    pub fn kept_bytes(&self) -> u64 {
        self.chunks
            .iter()
            .map(|chunk| chunk.bytes.len() as u64)
            .sum()
    }
}

/// A piece of a body, as it passed.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// When it passed, from the request's start.
    pub at: Duration,
    /// Its bytes, shared with the request path's own.
    pub bytes: Bytes,
}

/// When things happened: offsets from `start`, `None` for what did not happen.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Request head parsed.
    pub start: SystemTime,
    /// Request head about to be written upstream (the last attempt's).
    pub upstream_start: Option<Duration>,
    /// The last request body callback.
    pub request_end: Option<Duration>,
    /// Response head received.
    pub response_head: Option<Duration>,
    /// First byte of the response body.
    pub first_byte: Option<Duration>,
    /// The exchange ended.
    pub end: Duration,
    /// What offpath itself did before the response began.
    pub overhead_head: Duration,
    /// What the response tap did while the body passed.
    pub overhead_body: Duration,
    /// Attempts at the upstream call; more than one after a retry.
    pub attempts: u32,
}

/// How an exchange ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In one word.
    pub end: EndReason,
    /// The transport's own words, where it failed.
    pub error: Option<Box<str>>,
    /// The address that the upstream call went to.
    pub upstream: Option<SocketAddr>,
}

/// How an exchange ended, as in `offpath.end_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The answer passed whole, or its API had said its last word.
    Complete,
    /// The client went away, or was too slow, before that.
    ClientLeft,
    /// The upstream closed or reset before the response's end.
    UpstreamCut,
    /// No response came: no endpoint, no connection, or a broken response head.
    UpstreamError,
    /// A time limit passed.
    Timeout,
    /// The answer itself reported an error.
    InBandError,
    /// The body ended regularly, but without the last word that its API has.
    Incomplete,
    /// offpath stopped while it was under way.
    Shutdown,
}

impl EndReason {
    /// As in `offpath.end_reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientLeft => "client_left",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::InBandError => "in_band_error",
            Self::Incomplete => "incomplete",
            Self::Shutdown => "shutdown",
        }
    }
}
