//! Configurations, exchanges and traces that are quickly written down, and the running export.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};
use offpath_config::{Config, Env};
use offpath_trace::{
    Body, Chunk, Defect, EndReason, Exchange, Headers, Ids, KeptBecause, Level, Outcome, Plan,
    Request, Response, Span, SpanId, SpanKind, Status, Text, Timing, Trace, TraceId, Value,
};
use prometheus::Registry;

use super::stub::{PATIENCE, Stub};
use crate::encoder::Decode;
use crate::pipeline::open_with;
use crate::{Handle, Pipeline, RouteSink};

/// A running export, with what tests look at.
pub(crate) struct Export {
    pub(crate) handle: Handle,
    pub(crate) pipeline: Pipeline,
    pub(crate) registry: Registry,
    pub(crate) door: Door,
}

/// Offers exchanges of the first route.
#[derive(Clone)]
pub(crate) struct Door {
    handle: Handle,
    pub(crate) plan: Arc<Plan>,
}

/// One route `r` to one MLflow sink `mlflow` at this address. Fast retries, no linger.
pub(crate) fn config(stub: &Stub) -> Config {
    with_sinks(&format!(
        "mlflow: {{type: mlflow, tracking_uri: \"http://{}\"}}",
        stub.address
    ))
}

/// The same with these sinks, one a line.
pub(crate) fn with_sinks(sinks: &str) -> Config {
    let yaml = format!(
        "listeners: [{{address: 127.0.0.1:8080}}]\n\
         upstreams: {{u: {{endpoints: [\"http://127.0.0.1:1\"]}}}}\n\
         routes: [{{name: r, match: {{path_prefix: /}}, upstream: u}}]\n\
         export:\n  retry: {{initial: 5ms, max: 20ms, give_up_after: 1h}}\n  \
         batch: {{linger: 1ms}}\n  encoders: {{nice: 0}}\n  \
         sinks:\n    {sinks}\n"
    );
    Config::parse(&yaml, "test.yaml", &Env::default()).unwrap()
}

impl Export {
    /// Runs, with [`decode`].
    pub(crate) fn open(config: &Config) -> Self {
        Self::open_with(config, decode)
    }

    pub(crate) fn open_with(config: &Config, decode: Decode) -> Self {
        let registry = Registry::new();
        let (handle, pipeline) = open_with(config, &registry, decode).unwrap();
        let route = &config.routes[0];
        let plan = Arc::new(Plan {
            route: Arc::clone(&route.name),
            name: Arc::clone(&route.trace.name),
            ..Plan::clone(&plan())
        });
        let door = Door {
            handle: handle.clone(),
            plan,
        };
        Self {
            handle,
            pipeline,
            registry,
            door,
        }
    }

    pub(crate) fn offer(&self, id: u128, body: impl Into<Bytes>) {
        self.door.offer(id, body);
    }

    /// The accounts of the first route, as soon as the condition holds for them and they balance.
    #[track_caller]
    pub(crate) fn wait(&self, enough: impl Fn(&[RouteSink]) -> bool) -> Vec<RouteSink> {
        wait(&self.handle, enough)
    }

    /// A metric's value, by its name and its labels in the text format.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        metric(&self.registry, line)
    }
}

/// Of the first route, which keeps everything.
pub(crate) fn plan() -> Arc<Plan> {
    Arc::new(Plan {
        index: 0,
        route: "r".into(),
        name: "r".into(),
        level: Level::Full,
        join: false,
        user: Vec::new(),
        session: Vec::new(),
        tags: Vec::new(),
        metadata: Vec::new(),
        client_request_id: Vec::new(),
        decoded_max: 1 << 20,
        redaction: offpath_trace::Redaction::default(),
        statistics: false,
    })
}

/// See [`Export::metric`].
#[track_caller]
pub(crate) fn metric(registry: &Registry, line: &str) -> f64 {
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather());
    let text = text.unwrap();
    let value = text
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no `{line}` in:\n{text}"))
        .parse()
        .unwrap()
}

impl Door {
    /// Offers an exchange with this id and this request body.
    pub(crate) fn offer(&self, id: u128, body: impl Into<Bytes>) {
        self.handle.offer(exchange(&self.plan, id, body.into()));
    }
}

/// See [`Export::wait`].
#[track_caller]
pub(crate) fn wait(handle: &Handle, enough: impl Fn(&[RouteSink]) -> bool) -> Vec<RouteSink> {
    let start = Instant::now();
    loop {
        let sinks = handle.status().routes.swap_remove(0).sinks;
        if enough(&sinks) && sinks.iter().all(balances) {
            return sinks;
        }
        assert!(start.elapsed() < PATIENCE, "{sinks:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it never came to hold");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// kept = exported + dropped + pending. In motion, for a moment, it need not hold.
pub(crate) fn balances(sink: &RouteSink) -> bool {
    let dropped: u64 = sink.dropped.values().sum();
    let pending = sink.pending;
    sink.kept == sink.exported + dropped + pending.queue + pending.spool + pending.in_flight
}

/// The id as sinks are sent it.
pub(crate) fn hex(id: u128) -> String {
    format!("{id:032x}")
}

/// An exchange with this id and this request body.
pub(crate) fn exchange(plan: &Arc<Plan>, id: u128, body: Bytes) -> Exchange {
    let ids = Ids {
        trace_id: TraceId::from_random(id),
        root: SpanId::from_random(1),
        upstream: SpanId::from_random(2),
        parent: None,
        caller: None,
    };
    let bytes = body.len() as u64;
    let chunks = vec![Chunk {
        at: Duration::ZERO,
        bytes: body,
    }];
    Exchange {
        plan: Arc::clone(plan),
        ids,
        kept: Some(KeptBecause::Ratio),
        kept_if_left: false,
        weight: None,
        request_id: "1".into(),
        request: Request {
            method: Method::POST,
            uri: Uri::from_static("/"),
            version: Version::HTTP_11,
            headers: Headers::default(),
            tls: false,
            client: None,
            body: Body {
                chunks,
                bytes,
                truncated: false,
            },
        },
        response: Some(Response {
            status: StatusCode::OK,
            headers: Headers::default(),
            from_upstream: true,
            body: Body::default(),
            trailers: None,
        }),
        timing: Timing {
            start: SystemTime::now(),
            upstream_start: None,
            request_end: None,
            response_head: None,
            first_byte: None,
            end: Duration::from_millis(80),
            overhead_head: Duration::ZERO,
            overhead_body: Duration::ZERO,
            attempts: 1,
        },
        outcome: Outcome {
            end: EndReason::Complete,
            error: None,
            upstream: None,
        },
        charge: None,
    }
}

/// A trace of two spans with the request body as the root's inputs.
pub(crate) fn decode(exchange: &Exchange) -> (Trace, Vec<Defect>) {
    let contents = exchange.plan.level == Level::Full;
    let body = exchange.request.body.chunks.first().filter(|_| contents);
    let body = body.map(|chunk| chunk.bytes.clone()).unwrap_or_default();
    let inputs = Value::Text(Text::from_utf8_lossy(body));
    let span = |id, parent, name: &'static str, kind, attributes| Span {
        id,
        parent,
        links: Vec::new(),
        name: name.into(),
        kind,
        start: exchange.timing.start,
        end: exchange.timing.start + exchange.timing.end,
        status: Status::Ok,
        attributes,
    };
    let ids = &exchange.ids;
    let root = vec![
        ("mlflow.spanInputs".into(), inputs),
        ("mlflow.traceTag.mlflow.traceName".into(), "r".into()),
    ];
    let usage = |tokens: i64| Value::Int(tokens);
    let child = vec![
        ("gen_ai.usage.input_tokens".into(), usage(12)),
        ("gen_ai.usage.output_tokens".into(), usage(5)),
    ];
    let spans = vec![
        span(ids.root, None, "r", SpanKind::Server, root),
        span(
            ids.upstream,
            Some(ids.root),
            "chat",
            SpanKind::Client,
            child,
        ),
    ];
    (
        Trace {
            id: ids.trace_id,
            spans,
            info: None,
            redactions: offpath_trace::Counts::default(),
            hard: false,
        },
        Vec::new(),
    )
}
