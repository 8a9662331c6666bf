//! The operator's addresses: probes and metrics on one, status on the other. Read only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use offpath_export::Handle;
use offpath_filters::CaptureBudget;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use prometheus::{Registry, TextEncoder};
use serde_json::json;

use crate::alerts::{Alert, Watch};
use crate::inflight::InFlight;
use crate::latency::RouteLatency;
use crate::metrics::Metrics;
use crate::route::RouteState;

/// What both addresses show.
pub(crate) struct Ops {
    pub(crate) registry: Registry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) budget: CaptureBudget,
    pub(crate) routes: Vec<Arc<RouteState>>,
    pub(crate) export: Handle,
    pub(crate) in_flight: InFlight,
    pub(crate) latency: Vec<Arc<RouteLatency>>,
    /// Taking requests: false before the start and from a drain on.
    pub(crate) ready: AtomicBool,
}

/// `/healthz`, `/readyz`, `/metrics`: safe to bind to the pod.
pub(crate) struct TelemetryApp(pub(crate) Arc<Ops>);

/// `/status`: for the operator alone.
pub(crate) struct AdminApp(pub(crate) Arc<Ops>);

type Answer = Response<Vec<u8>>;

#[async_trait]
impl ServeHttp for TelemetryApp {
    async fn response(&self, session: &mut ServerSession) -> Answer {
        match asked(session) {
            Some("/healthz") => text(StatusCode::OK, "ok\n"),
            Some("/readyz") if self.0.ready.load(Relaxed) => text(StatusCode::OK, "ready\n"),
            Some("/readyz") => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            Some("/metrics") => self.0.metrics_page(),
            other => refused(other, "/healthz, /readyz and /metrics"),
        }
    }
}

#[async_trait]
impl ServeHttp for AdminApp {
    async fn response(&self, session: &mut ServerSession) -> Answer {
        match asked(session) {
            Some("/status") => self.0.status_page(),
            other => refused(other, "/status"),
        }
    }
}

impl Ops {
    fn metrics_page(&self) -> Answer {
        self.metrics.observe_budget(&self.budget);
        self.metrics.observe_routes(&self.routes);
        let mut page = String::new();
        match TextEncoder::new().encode_utf8(&self.registry.gather(), &mut page) {
            Ok(()) => answer(
                StatusCode::OK,
                "text/plain; version=0.0.4",
                page.into_bytes(),
            ),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }

    fn alerts(&self) -> Vec<Alert> {
        let watches = self.routes.iter().filter_map(|route| route.watch.as_ref());
        watches.flat_map(Watch::alerts).collect()
    }

    fn status_page(&self) -> Answer {
        let page = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.ready.load(Relaxed),
            "requests_in_flight": self.in_flight.count(),
            "capture_bytes": self.budget.used(),
            "latency": self.latency.iter().map(|route| route.status()).collect::<Vec<_>>(),
            "alerts": self.alerts(),
            "export": self.export.status(),
        });
        answer(
            StatusCode::OK,
            "application/json",
            page.to_string().into_bytes(),
        )
    }
}

/// The path of a request that only reads.
fn asked(session: &ServerSession) -> Option<&str> {
    let head = session.req_header();
    (head.method == Method::GET || head.method == Method::HEAD).then(|| head.uri.path())
}

fn refused(path: Option<&str>, pages: &str) -> Answer {
    match path {
        Some(_) => text(
            StatusCode::NOT_FOUND,
            &format!("not found: here are {pages}\n"),
        ),
        None => text(StatusCode::METHOD_NOT_ALLOWED, "read only: GET or HEAD\n"),
    }
}

fn text(status: StatusCode, words: &str) -> Answer {
    answer(
        status,
        "text/plain; charset=utf-8",
        words.as_bytes().to_vec(),
    )
}

fn answer(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Answer {
    let length = http::HeaderValue::from(body.len());
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(kind),
    );
    fields.insert(http::header::CONTENT_LENGTH, length);
    answer
}
