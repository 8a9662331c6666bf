//! A sink on a real socket: answers by a script, keeps what it was sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::otlp::proto::{ExportTraceServiceRequest, Span};

/// Longer than anything that ought to happen takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running sink; stops when dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    seen: Seen,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Seen = Arc<(Mutex<Vec<Sent>>, Condvar)>;
type Script = dyn Fn(&Sent) -> Answer + Send + Sync;

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    /// Requests to the same path before it.
    pub(crate) nth: usize,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the script says to a request.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

/// An answer without a body.
pub(crate) fn status(status: u16) -> Answer {
    let (headers, body) = (Vec::new(), String::new());
    Answer {
        status,
        headers,
        body,
        delay: Duration::ZERO,
    }
}

impl Stub {
    pub(crate) fn start(script: impl Fn(&Sent) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, script)
    }

    pub(crate) fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let (stop, stopped) = oneshot::channel();
        let server = serve(listener, tls, Arc::clone(&seen), Arc::new(script));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                tokio::select! { () = server => {}, _ = stopped => {} }
            });
        });
        Self {
            address,
            seen,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Takes everything.
    pub(crate) fn willing() -> Self {
        Self::start(|_| status(200))
    }

    /// Everything so far.
    pub(crate) fn seen(&self) -> Vec<Sent> {
        self.seen.0.lock().unwrap().clone()
    }

    /// Everything, as soon as it is what the condition asks for.
    #[track_caller]
    pub(crate) fn wait(&self, enough: impl Fn(&[Sent]) -> bool) -> Vec<Sent> {
        let seen = self.seen.0.lock().unwrap();
        let (seen, timeout) = self
            .seen
            .1
            .wait_timeout_while(seen, PATIENCE, |seen| !enough(seen))
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "the sink was sent {} requests",
            seen.len()
        );
        seen.clone()
    }

    /// How often each trace came, by its id in hex.
    pub(crate) fn traces(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for trace in self.seen().iter().flat_map(Sent::traces) {
            *times.entry(trace).or_default() += 1;
        }
        times
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn request(&self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(self.body.clone()).unwrap()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let request = self.request();
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|spans| spans.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The traces in it, by id in hex, in order.
    pub(crate) fn traces(&self) -> Vec<String> {
        if !self.path.ends_with("/v1/traces") {
            return Vec::new();
        }
        let roots = self
            .spans()
            .into_iter()
            .filter(|span| span.parent_span_id.is_empty());
        roots.map(|root| hex::encode(root.trace_id)).collect()
    }
}

async fn serve(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    seen: Seen,
    script: Arc<Script>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, seen, script) = (tls.clone(), Arc::clone(&seen), Arc::clone(&script));
        connections.spawn(async move {
            match tls {
                None => connection(stream, seen, script).await,
                // A client that does not trust the certificate leaves here.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, seen, script).await;
                    }
                }
            }
        });
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seen: Seen,
    script: Arc<Script>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
        async move { Ok::<_, Infallible>(answer(request, &seen, &*script).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    // A client that leaves in the middle is part of some scripts.
    http.serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(request: Request<Incoming>, seen: &Seen, script: &Script) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path_and_query().unwrap().to_string();
    let sent = {
        let mut all = seen.0.lock().unwrap();
        let nth = all.iter().filter(|sent| sent.path == path).count();
        let sent = Sent {
            at: Instant::now(),
            nth,
            path,
            headers: head.headers,
            body,
        };
        all.push(sent.clone());
        sent
    };
    seen.1.notify_all();
    let answer = script(&sent);
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::from(answer.body)).unwrap()
}
