//! Workers: each takes a request, sends it, times its response, and repeats.
//!
//! An HTTP/1.1 worker owns its connection and has one request in flight. HTTP/2 workers share one
//! connection and each uses one stream of it. A connection is opened when it is first needed, and
//! the latency of that request includes the connection's set-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};

use super::queue::{Job, Queue};
use super::requests::Requests;
use super::tokens::TokenTimes;
use crate::client::{self, Connection, Connector, Http};
use crate::report::{Attempt, Failure, Recorder, TimedResponse};
use crate::units;

/// Inspects a complete response: the index of its request, its head, its body. It is called after
/// the response was timed.
pub(crate) type Check = dyn Fn(usize, &Parts, Bytes) + Send + Sync;

/// Maximum length of a response body that is buffered for a [`Check`]; a longer one is an error.
const CHECKED_BYTES_MAX: usize = 256 << 20;

/// State shared by the workers of a load.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) requests: Requests,
    pub(super) timeout: Duration,
    /// Set to end a closed loop early.
    pub(super) is_stopped: AtomicBool,
    /// The HTTP/2 connection. It is reopened after it has ended.
    pub(super) multiplexed: tokio::sync::Mutex<Option<Connection>>,
    pub(super) recorder: Mutex<Recorder>,
    pub(super) check: Option<Arc<Check>>,
}

impl Shared {
    pub(super) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock()
    }

    /// Returns a connection that is ready for a request.
    pub(super) async fn connect(&self) -> client::Result<Connection> {
        if self.connector.http() == Http::One {
            return self.open().await;
        }
        let mut multiplexed = self.multiplexed.lock().await;
        if let Some(connection) = multiplexed.as_mut()
            && connection.ready().await.is_ok()
            && let Some(connection) = connection.share()
        {
            return Ok(connection);
        }
        let connection = self.open().await?;
        *multiplexed = connection.share();
        Ok(connection)
    }

    async fn open(&self) -> client::Result<Connection> {
        let connection = self.connector.connect().await?;
        self.recorder().connections += 1;
        Ok(connection)
    }
}

/// Sends the requests that the schedule dispatches until the queue ends. Returns the connection if
/// it is still open.
pub(super) async fn open_loop(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    mut connection: Option<Connection>,
) -> Option<Connection> {
    while let Some(job) = queue.next().await {
        let lag = job.lag.unwrap_or_else(|| job.intended.elapsed());
        let job = Job {
            lag: Some(lag),
            ..job
        };
        attempt(&shared, &mut connection, job).await;
    }
    connection
}

/// Sends requests one after another until `end`, beginning with the one at index `request`. Returns
/// the connection if it is still open.
pub(super) async fn closed_loop(
    shared: Arc<Shared>,
    end: Instant,
    mut request: usize,
    mut connection: Option<Connection>,
) -> Option<Connection> {
    loop {
        let now = Instant::now();
        if now >= end || shared.is_stopped.load(Ordering::Relaxed) {
            return connection;
        }
        let job = Job {
            intended: now,
            request,
            lag: None,
        };
        attempt(&shared, &mut connection, job).await;
        request = request.wrapping_add(1);
    }
}

/// The facts of a request that was handed to a connection. They outlive an exchange that is
/// cut off by its time limit.
#[derive(Default)]
struct Sent {
    at: Option<Instant>,
    body_bytes: usize,
}

/// Sends one request and records the outcome.
async fn attempt(shared: &Shared, connection: &mut Option<Connection>, job: Job) {
    let mut sent = Sent::default();
    let deadline = job.intended + shared.timeout;
    let outcome = if Instant::now() < deadline {
        let exchange = exchange(shared, connection, job.request, &mut sent);
        match tokio::time::timeout_at(deadline.into(), exchange).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::from(&error)),
            Err(_) => Err(timed_out(shared.timeout)),
        }
    } else {
        Err(timed_out(shared.timeout))
    };
    if outcome.is_err() {
        // The rest of the exchange must not be read as the next response.
        *connection = None;
    }
    shared.recorder().add(Attempt {
        intended: job.intended,
        lag: job.lag,
        sent: sent.at,
        body_bytes: sent.body_bytes,
        outcome,
    });
}

async fn exchange(
    shared: &Shared,
    slot: &mut Option<Connection>,
    index: usize,
    sent: &mut Sent,
) -> client::Result<TimedResponse> {
    let is_open = match slot.as_mut() {
        Some(connection) => connection.ready().await.is_ok(),
        None => false,
    };
    if !is_open {
        *slot = None;
    }
    let connection = match slot {
        Some(connection) => connection,
        None => slot.insert(shared.connect().await?),
    };
    let outgoing = shared
        .requests
        .get(index)
        .ok_or(client::Error::Missing(index))?;
    sent.body_bytes = outgoing.body_bytes;
    let send_instant = *sent.at.insert(Instant::now());
    let response = connection.send(outgoing.request).await?;
    let head = Instant::now();
    let (parts, body) = response.into_parts();
    let mut tokens = is_event_stream(&parts.headers).then(TokenTimes::default);
    let body = read_body(shared, body, tokens.as_mut()).await?;
    let ended = Instant::now();
    if let Some(check) = &shared.check {
        check(index, &parts, body);
    }
    Ok(TimedResponse {
        status: parts.status.as_u16(),
        head,
        ended,
        overhead: overhead(&parts.headers),
        ttft: tokens
            .as_ref()
            .and_then(|tokens| tokens.first_after(send_instant)),
        tpot: tokens.as_ref().and_then(TokenTimes::per_token),
    })
}

/// Reads a body to its end and records its size and its token gaps. The bytes are returned only if
/// there is a [`Check`] to inspect them.
async fn read_body(
    shared: &Shared,
    mut body: Incoming,
    mut tokens: Option<&mut TokenTimes>,
) -> client::Result<Bytes> {
    let mut body_bytes = 0;
    let mut buffered = Vec::new();
    let mut failure = None;
    while let Some(frame) = body.frame().await {
        let at = Instant::now();
        let data = match frame {
            // Trailers have no data.
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        body_bytes += units::count(data.len());
        if let Some(tokens) = &mut tokens {
            tokens.push(&data, at);
            shared.recorder().add_gaps(&tokens.take_gaps());
        }
        if shared.check.is_some() {
            if buffered.len() + data.len() > CHECKED_BYTES_MAX {
                return Err(client::Error::TooLarge(CHECKED_BYTES_MAX));
            }
            buffered.extend_from_slice(&data);
        }
    }
    shared.recorder().response_bytes += body_bytes;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(Bytes::from(buffered)),
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

fn overhead(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("x-offpath-overhead-us")?.to_str().ok()?;
    value.parse().ok().map(Duration::from_micros)
}

fn timed_out(timeout: Duration) -> Failure {
    Failure {
        kind: "timeout",
        message: format!("no complete response within {timeout:?} of the intended start"),
    }
}
