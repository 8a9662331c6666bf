//! A sink that takes OTLP over HTTP and keeps what came.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;

use crate::otlp::{self, ExportTraceServiceRequest};
use crate::{Upstream, Wire, eventually};

/// A running collector.
pub struct Collector {
    endpoint: Upstream,
    spans: Arc<Mutex<Vec<Span>>>,
    batches: Arc<Mutex<Vec<Bytes>>>,
}

/// What a collector does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Keeps it, and says so.
    Take,
    /// Keeps it, and says so only after this long.
    TakeSlowly(Duration),
    /// Keeps nothing, and answers with this status and these further header lines.
    Refuse(u16, &'static str),
    /// Keeps nothing, and closes the connection.
    Cut,
    /// Keeps it, and closes the connection without a word: it will come again.
    TakeAndCut,
}

type Script = dyn Fn(usize, &[Span]) -> Reaction + Send + Sync;

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Span {
    /// In hexadecimal.
    pub trace_id: String,
    /// In hexadecimal.
    pub id: String,
    /// In hexadecimal; empty for none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Its status' message, where the status is ERROR.
    pub error: Option<String>,
    /// When it began, in nanoseconds since 1970.
    pub start_nanos: u64,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    /// Its attributes; of doubled keys the last.
    pub attributes: BTreeMap<String, Value>,
    /// Trace and span ids of its links.
    pub links: Vec<(String, String)>,
}

/// The spans of one exchange.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The exchange as its client saw it.
    pub root: Span,
    /// The upstream call, where there was one.
    pub call: Option<Span>,
}

impl Collector {
    /// Takes all that comes.
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    /// The same, where a sink was expected before.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::scripted(address, |_, _| Reaction::Take).await
    }

    /// Does with each batch what `script` says; the batch's number, from 0, comes with it.
    pub async fn reacting(
        script: impl Fn(usize, &[Span]) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        Self::scripted(([127, 0, 0, 1], 0).into(), script).await
    }

    async fn scripted(
        address: SocketAddr,
        script: impl Fn(usize, &[Span]) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        let batches = Arc::new(Mutex::new(Vec::new()));
        let raw = Arc::clone(&batches);
        let script: Arc<Script> = Arc::new(script);
        let count = Arc::new(AtomicUsize::new(0));
        let endpoint = Upstream::script_at(address, move |_, wire| {
            take(
                wire,
                Arc::clone(&raw),
                Arc::clone(&kept),
                Arc::clone(&script),
                Arc::clone(&count),
            )
        })
        .await;
        Self {
            endpoint,
            spans,
            batches,
        }
    }

    /// Where spans are posted to.
    pub fn endpoint(&self) -> String {
        format!("{}/v1/traces", self.endpoint.url())
    }

    /// The bodies of all batches so far, kept or not, to the byte.
    pub fn batches(&self) -> Vec<Bytes> {
        self.batches.lock().unwrap().clone()
    }

    /// All that came so far, in their order. A doubled delivery shows as two.
    pub fn traces(&self) -> Vec<Trace> {
        let spans = self.spans.lock().unwrap();
        let mut calls: BTreeMap<&str, &Span> = BTreeMap::new();
        for span in spans.iter() {
            calls.entry(&span.parent).or_insert(span);
        }
        let trace = |root: &Span| Trace {
            root: root.clone(),
            call: calls.get(&*root.id).map(|call| (*call).clone()),
        };
        let roots = spans.iter().filter(|span| span.is_root());
        roots.map(trace).collect()
    }

    fn count(&self) -> usize {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|span| span.is_root()).count()
    }

    /// How often each trace came, by its id.
    pub fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for trace in self.traces() {
            *times.entry(trace.root.trace_id).or_default() += 1;
        }
        times
    }

    /// All that came, once there are so many.
    pub async fn wait_for(&self, count: usize) -> Vec<Trace> {
        eventually("traces at the collector", async || {
            // Counted first: copies of thousands at each look would hold up what is to come.
            (self.count() >= count).then(|| self.traces())
        })
        .await
    }

    /// The only trace.
    pub async fn trace(&self) -> Trace {
        let mut traces = self.wait_for(1).await;
        assert_eq!(traces.len(), 1, "{traces:#?}");
        traces.remove(0)
    }
}

impl Span {
    fn is_root(&self) -> bool {
        self.attributes.contains_key("offpath.route")
    }
}

impl Trace {
    /// An attribute of the root; null where it is absent.
    pub fn value(&self, key: &str) -> Value {
        self.root.attributes.get(key).cloned().unwrap_or_default()
    }

    /// A text attribute of the root.
    pub fn text(&self, key: &str) -> String {
        self.value(key).as_str().unwrap_or_default().to_owned()
    }

    /// A root attribute that holds JSON text, read.
    pub fn json(&self, key: &str) -> Value {
        serde_json::from_str(&self.text(key)).unwrap_or_else(|error| {
            panic!(
                "`{key}` is no JSON: {error}: {:?}",
                self.root.attributes.get(key)
            )
        })
    }
}

async fn take(
    mut wire: Wire,
    raw: Arc<Mutex<Vec<Bytes>>>,
    kept: Arc<Mutex<Vec<Span>>>,
    script: Arc<Script>,
    count: Arc<AtomicUsize>,
) {
    while let Some(head) = wire.try_head().await {
        let body = wire.body(&head).await;
        raw.lock().unwrap().push(body.clone());
        let spans = read(body);
        let reaction = script(count.fetch_add(1, SeqCst), &spans);
        let keeps = matches!(
            reaction,
            Reaction::Take | Reaction::TakeSlowly(_) | Reaction::TakeAndCut
        );
        if keeps {
            kept.lock().unwrap().extend(spans);
        }
        let (status, fields) = match reaction {
            Reaction::Take => (200, ""),
            Reaction::TakeSlowly(pause) => {
                tokio::time::sleep(pause).await;
                (200, "")
            }
            Reaction::Refuse(status, fields) => (status, fields),
            Reaction::Cut | Reaction::TakeAndCut => return,
        };
        wire.send(format!(
            "HTTP/1.1 {status} As Scripted\r\ncontent-type: application/x-protobuf\r\n{fields}content-length: 0\r\n\r\n",
        ))
        .await;
    }
}

fn read(body: Bytes) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("a batch is OTLP");
    let scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|resource| resource.scope_spans);
    scopes
        .flat_map(|scope| scope.spans)
        .map(Span::from)
        .collect()
}

impl From<otlp::Span> for Span {
    fn from(span: otlp::Span) -> Self {
        let status = span.status.unwrap_or_default();
        let value = |value: Option<otlp::AnyValue>| value.map(Value::from).unwrap_or_default();
        let attributes = span.attributes.into_iter();
        let links = span.links.into_iter();
        Self {
            trace_id: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name,
            error: (status.code == 2).then_some(status.message),
            start_nanos: span.start_time_unix_nano,
            nanos: span
                .end_time_unix_nano
                .saturating_sub(span.start_time_unix_nano),
            attributes: attributes
                .map(|pair| (pair.key, value(pair.value)))
                .collect(),
            links: links
                .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
                .collect(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
