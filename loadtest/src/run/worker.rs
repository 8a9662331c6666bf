//! One connection's life: take a request, send it, time its answer, again.
//!
//! An HTTP/1.1 worker owns its connection and has one request in flight; HTTP/2 workers share one
//! connection and are the streams on it. A connection is opened when it is first needed, within
//! the latency of the request that needed it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use super::queue::Queue;
use super::requests::Requests;
use super::tokens::TokenTimes;
use crate::client::{self, Connection, Connector, Http};
use crate::report::{Answer, Attempt, Failure, Recorder};

/// Looks at a whole answer: which request it is for, its head, its body. Called after the answer
/// was timed.
pub(crate) type Check = dyn Fn(usize, &Parts, Bytes) + Send + Sync;

/// A longer answer is an error where there is a [`Check`] to keep it for.
const CHECKED_BYTES_MAX: usize = 256 << 20;

/// What the workers of a load share.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) requests: Requests,
    pub(super) timeout: Duration,
    /// Set when a closed loop is to end early.
    pub(super) is_stopped: AtomicBool,
    /// The HTTP/2 connection, opened again when it has ended.
    pub(super) multiplexed: tokio::sync::Mutex<Option<Connection>>,
    pub(super) recorder: Mutex<Recorder>,
    pub(super) check: Option<Arc<Check>>,
}

impl Shared {
    pub(super) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that takes a request now.
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

/// Sends what the schedule dispatches, until the queue ends. Returns what it leaves open.
pub(super) async fn open_loop(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    mut connection: Option<Connection>,
) -> Option<Connection> {
    while let Some(job) = queue.next().await {
        let lag = job.lag.unwrap_or_else(|| job.intended.elapsed());
        let wanted = (job.request, job.intended);
        attempt(&shared, &mut connection, wanted, Some(lag)).await;
    }
    connection
}

/// Sends the next request when the last one is over, until `end`; each of the load's requests in
/// turn, from the one at `request`. Returns what it leaves open.
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
        attempt(&shared, &mut connection, (request, now), None).await;
        request = request.wrapping_add(1);
    }
}

async fn attempt(
    shared: &Shared,
    connection: &mut Option<Connection>,
    (request, intended): (usize, Instant),
    lag: Option<Duration>,
) {
    let mut sent = None;
    let mut body_bytes = 0;
    let deadline = intended + shared.timeout;
    let outcome = if Instant::now() < deadline {
        let exchange = exchange(shared, connection, request, (&mut sent, &mut body_bytes));
        match tokio::time::timeout_at(deadline.into(), exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Failure::from(&error)),
            Err(_) => Err(timed_out(shared.timeout)),
        }
    } else {
        Err(timed_out(shared.timeout))
    };
    if outcome.is_err() {
        // What is left of the exchange must not be read as the next answer.
        *connection = None;
    }
    shared.recorder().add(Attempt {
        intended,
        lag,
        sent,
        body_bytes,
        outcome,
    });
}

async fn exchange(
    shared: &Shared,
    slot: &mut Option<Connection>,
    index: usize,
    (sent, sent_bytes): (&mut Option<Instant>, &mut usize),
) -> client::Result<Answer> {
    let kept = match slot.as_mut() {
        Some(connection) => connection.ready().await.is_ok(),
        None => false,
    };
    if !kept {
        *slot = None;
    }
    let connection = match slot {
        Some(connection) => connection,
        None => slot.insert(shared.connect().await?),
    };
    let made = shared.requests.at(index);
    let (request, request_bytes) = made.ok_or(client::Error::Missing(index))?;
    *sent_bytes = request_bytes;
    let send_instant = *sent.insert(Instant::now());
    let response = connection.send(request).await?;
    let head = Instant::now();
    let (parts, mut body) = response.into_parts();
    let mut tokens = is_event_stream(&parts.headers).then(TokenTimes::default);
    let mut body_bytes = 0;
    let mut kept = Vec::new();
    let mut failure = None;
    while let Some(frame) = body.frame().await {
        let at = Instant::now();
        let data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        body_bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        if let Some(tokens) = &mut tokens {
            tokens.push(&data, at);
            shared.recorder().add_gaps(&tokens.take_gaps());
        }
        if shared.check.is_some() {
            if kept.len() + data.len() > CHECKED_BYTES_MAX {
                return Err(client::Error::TooLarge(CHECKED_BYTES_MAX));
            }
            kept.extend_from_slice(&data);
        }
    }
    let ended = Instant::now();
    shared.recorder().response_bytes += body_bytes;
    if let Some(error) = failure {
        return Err(error.into());
    }
    if let Some(check) = &shared.check {
        check(index, &parts, Bytes::from(kept));
    }
    Ok(Answer {
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
        message: format!("no whole response within {timeout:?} of the intended start"),
    }
}
