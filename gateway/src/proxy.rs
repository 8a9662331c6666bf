//! The only list of a request's phases, in pingora's order.
//!
//! Each phase is a few lines: what it decides stands in `filters`, what it writes in `forward`
//! and `answer`. Observing never fails a request: an `Err` from here is the proxy's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use offpath_export::Handle;
use offpath_filters::{
    CaptureBudget, Head, Incoming, Keeping, Recording, Router, Target, propagate,
};
use offpath_trace::{Body, Request, TraceContext};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tracing::debug;

use crate::ctx::{Admitted, Ctx};
use crate::forward::Origin;
use crate::inflight::InFlight;
use crate::metrics::RouteMetrics;
use crate::route::{RouteState, Tracing};
use crate::{answer, end, forward};

/// What all requests share.
pub(crate) struct Gateway {
    pub(crate) router: Router,
    pub(crate) routes: Vec<Arc<RouteState>>,
    pub(crate) unrouted: RouteMetrics,
    pub(crate) budget: CaptureBudget,
    pub(crate) head_bytes: usize,
    pub(crate) export: Handle,
    pub(crate) in_flight: InFlight,
}

/// [`Gateway`] as pingora calls it.
pub(crate) struct Phases(pub(crate) Arc<Gateway>);

impl Gateway {
    /// Which route takes a request.
    fn route(&self, head: &RequestHeader) -> Option<&Arc<RouteState>> {
        self.router
            .find(target(head))
            .and_then(|index| self.routes.get(index))
    }

    /// Decides whether the exchange is kept, and under which ids.
    fn admit(&self, state: &Arc<RouteState>, session: &Session, ctx: &mut Ctx) {
        let head = session.req_header();
        let random = (rand::random(), rand::random(), rand::random());
        let propagation = propagate(state.context, caller(&head.headers), random);
        let given = head
            .headers
            .get("x-request-id")
            .and_then(|value| value.to_str().ok());
        let request_id: Box<str> = match given {
            Some(id) if !id.is_empty() => id.into(),
            _ => propagation.ids.trace_id.to_string().into(),
        };
        let incoming = Incoming {
            id: propagation.sampled_by,
            caller: propagation.ids.caller,
            uri: &head.uri,
            headers: &head.headers,
        };
        let now = ctx.capture.marks().start();
        let capture = state.capture();
        let decide = |(tracing, ..): (&Tracing, _, _)| tracing.sampler.decide(incoming, now);
        let decision = capture.map_or(Head::NOT_KEPT, decide);
        let recording = capture.and_then(|(tracing, plan, max_body)| {
            let keeping = Keeping {
                head: decision,
                rules: tracing.rules.clone(),
                content: tracing.content,
            };
            if !keeping.may_keep() {
                return None;
            }
            let Origin { client, tls } = origin(session);
            let request = Request {
                method: head.method.clone(),
                uri: head.uri.clone(),
                version: head.version,
                headers: (&head.headers).into(),
                tls,
                client,
                body: Body::default(),
            };
            Some(Recording::begin(
                Arc::clone(plan),
                propagation.ids,
                keeping,
                (request_id.clone(), request),
                head_size(head),
                max_body,
                &self.budget,
            ))
        });
        let may_keep = recording.is_some();
        if let Some(recording) = recording {
            ctx.capture.record(recording);
        }
        ctx.route = Some(Admitted {
            state: Arc::clone(state),
            propagation,
            request_id,
            sampled: decision.kept.is_some(),
            may_keep,
        });
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(Arc::clone(&self.0))
    }

    /// Nothing: the default installs an inert compressor for every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, _ctx: &mut Ctx) -> Result<()> {
        // Without it a client that sends two requests at once (RFC 9112, section 9.3.2) gets 400.
        session.set_pipelining_enabled(true);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let Some(state) = self.0.route(session.req_header()) else {
            answer::refuse(session, ctx, 404, "no_route", "no route takes this request").await;
            return Ok(true);
        };
        self.0.admit(state, session, ctx);
        if head_size(session.req_header()) > self.0.head_bytes {
            let message = "the request's head is larger than limits.head_bytes";
            answer::refuse(session, ctx, 431, "head_too_large", message).await;
            return Ok(true);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let now = Instant::now();
        let fresh = ctx.fresh_connection;
        let endpoint = ctx
            .route
            .as_ref()
            .and_then(|admitted| admitted.state.upstream.next(now))
            .cloned();
        let chosen = endpoint.and_then(|endpoint| Some((endpoint.peer(fresh)?, endpoint)));
        let Some(((peer, address), endpoint)) = chosen else {
            return Error::e_explain(ErrorType::HTTPStatus(503), "no endpoint is resolved");
        };
        ctx.peer = Some((endpoint, address));
        ctx.capture.attempt(Instant::now());
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> Result<()> {
        ctx.capture.marks().connected(Instant::now(), reused);
        if let Some((endpoint, _)) = &ctx.peer {
            endpoint.admit();
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let now = Instant::now();
        ctx.capture.marks().own_again(now);
        if let Some((endpoint, address)) = &ctx.peer {
            debug!(error = %end::describe(&error), %address, "Connecting failed.");
            endpoint.eject(now);
        }
        // No byte of the request was sent: another endpoint may have it.
        let others = ctx
            .route
            .as_ref()
            .is_some_and(|a| a.state.upstream.endpoints.len() > 1);
        error.set_retry(others);
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let rewritten = forward::rewrite(head, ctx, origin(session));
        ctx.capture.marks().head_sent(Instant::now());
        rewritten
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let began = Instant::now();
        if let Some(chunk) = body {
            ctx.capture.request_chunk(chunk, began);
        }
        ctx.capture
            .marks()
            .request_tapped(began, Instant::now(), end_of_stream);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if is_final(head.status) {
            ctx.capture.marks().response_received(Instant::now());
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if !is_final(head.status) {
            return Ok(());
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // A WebSocket's client may be silent for as long as it likes.
            session.set_read_timeout(None);
        }
        ctx.status = Some(head.status.as_u16());
        ctx.capture
            .response_head(head.status, &head.headers, Some(head.version));
        answer::add_headers(head, ctx)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        ctx.response_ended |= end_of_stream;
        if let Some(chunk) = body {
            let began = Instant::now();
            ctx.capture.response_chunk(chunk, began);
            ctx.capture.marks().response_tapped(began, Instant::now());
        }
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut Ctx,
    ) -> Result<Option<Bytes>> {
        ctx.response_ended = true;
        ctx.capture.response_trailers(trailers);
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<Error> {
        ctx.capture.marks().own_again(Instant::now());
        let mut error = error.more_context(format!("Peer: {peer}"));
        let body_whole = !session.as_ref().retry_buffer_truncated();
        let retry = end::may_retry(&error, ctx, reused, body_whole);
        ctx.fresh_connection |= retry;
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        let answer = end::own_answer(error).filter(|_| session.response_written().is_none());
        if let Some((status, kind, message)) = answer {
            answer::refuse(session, ctx, status, kind, message).await;
        }
        FailToProxy {
            error_code: answer.map_or(0, |(status, ..)| status),
            can_reuse_downstream: false,
        }
    }

    /// Requests are counted and traced; a line per failed one would be a flood in an outage.
    fn suppress_error_log(&self, _session: &Session, ctx: &Ctx, error: &Error) -> bool {
        let route = ctx.route.as_ref().map(|admitted| &*admitted.state.name);
        debug!(error = %end::describe(error), route, "Request failed.");
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        let outcome = end::outcome(error, session, ctx);
        ctx.end(outcome);
    }
}

/// Informational responses pass by; 101 alone is an answer.
fn is_final(status: StatusCode) -> bool {
    !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
}

/// What routes look at.
pub(crate) fn target(head: &RequestHeader) -> Target<'_> {
    Target {
        method: head.method.as_str(),
        host: forward::host_of(head),
        path: head.uri.path(),
        headers: &head.headers,
    }
}

/// The caller's trace context: none where there are several, as the standard asks.
pub(crate) fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all("traceparent").iter();
    let first = values.next()?;
    values
        .next()
        .is_none()
        .then(|| TraceContext::parse(first.as_bytes()))
        .flatten()
}

/// Bytes of a request head as HTTP/1.1 writes it.
fn head_size(head: &RequestHeader) -> usize {
    let line = head.method.as_str().len() + head.raw_path().len() + 12;
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + fields.sum::<usize>() + 2
}

fn origin(session: &Session) -> Origin {
    let client = session
        .client_addr()
        .and_then(|address| address.as_inet())
        .copied();
    let tls = session
        .digest()
        .is_some_and(|digest| digest.ssl_digest.is_some());
    Origin { client, tls }
}
