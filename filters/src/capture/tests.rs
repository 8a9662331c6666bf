//! A capture is called as pingora calls, and gives what passed.

use http::{Method, Uri};
use offpath_trace::{Level, SpanId, TraceId};

use super::*;

fn plan() -> Arc<Plan> {
    Arc::new(Plan {
        index: 0,
        route: "chat".into(),
        name: "chat".into(),
        level: Level::Full,
        join: false,
        user: Vec::new(),
        session: Vec::new(),
        tags: Vec::new(),
        decoded_max: 1 << 20,
        redaction: offpath_trace::Redaction::default(),
        statistics: false,
    })
}

fn recording(budget: &CaptureBudget) -> Box<Recording> {
    let ids = Ids {
        trace_id: TraceId::from_random(1),
        root: SpanId::from_random(2),
        upstream: SpanId::from_random(3),
        parent: None,
        caller: None,
    };
    let request = Request {
        method: Method::POST,
        uri: Uri::from_static("/v1/chat/completions"),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        tls: false,
        client: None,
        body: offpath_trace::Body::default(),
    };
    Recording::begin(
        plan(),
        ids,
        Some(1.0),
        ("id".into(), request),
        500,
        1_000,
        budget,
    )
}

fn capture(budget: &CaptureBudget) -> (Capture, Instant) {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as an origin"
    )]
    let (now, wall) = (Instant::now(), SystemTime::now());
    let mut capture = Capture::begin(now, wall);
    capture.record(recording(budget));
    (capture, now)
}

fn complete() -> Outcome {
    Outcome {
        end: EndReason::Complete,
        error: None,
        upstream: None,
    }
}

fn text(body: &offpath_trace::Body) -> String {
    body.chunks
        .iter()
        .map(|chunk| String::from_utf8_lossy(&chunk.bytes))
        .collect()
}

#[test]
fn a_retried_request_is_recorded_once() {
    let budget = CaptureBudget::new(1 << 20);
    let (mut capture, now) = capture(&budget);
    capture.attempt(now);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    capture.attempt(now);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    let exchange = capture.finish(now, complete()).unwrap();
    assert_eq!(text(&exchange.request.body), "hello");
    assert_eq!(
        (exchange.request.body.bytes, exchange.timing.attempts),
        (5, 2)
    );
}

#[test]
fn an_end_gives_what_passed_and_only_once() {
    let budget = CaptureBudget::new(1 << 20);
    let (mut capture, now) = capture(&budget);
    capture.attempt(now);
    capture.response_head(StatusCode::OK, &HeaderMap::new(), Some(Version::HTTP_11));
    let later = now + Duration::from_millis(7);
    capture.response_chunk(&Bytes::new(), now);
    capture.response_chunk(&Bytes::from_static(b"part"), later);
    let exchange = capture.finish(later, Capture::dropped()).unwrap();
    let response = exchange.response.as_ref().unwrap();
    assert_eq!(text(&response.body), "part");
    assert_eq!(exchange.timing.first_byte, Some(Duration::from_millis(7)));
    assert_eq!(exchange.outcome.end, EndReason::Shutdown);
    assert!(capture.finish(later, complete()).is_none());
}

#[test]
fn the_budget_is_given_back_with_the_exchange() {
    let budget = CaptureBudget::new(1 << 20);
    let (mut capture, now) = capture(&budget);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    let exchange = capture.finish(now, complete()).unwrap();
    assert!(budget.used() > 500);
    drop(exchange);
    assert_eq!(budget.used(), 0);
}

#[test]
fn without_room_a_body_is_counted_and_not_held() {
    let budget = CaptureBudget::new(400);
    let (mut capture, now) = capture(&budget);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    let body = capture.finish(now, complete()).unwrap().request.body;
    assert_eq!(
        (body.kept_bytes(), body.bytes, body.truncated),
        (0, 5, true)
    );
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_is_not_kept_is_timed_and_no_more() {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as an origin"
    )]
    let (now, wall) = (Instant::now(), SystemTime::now());
    let mut capture = Capture::begin(now, wall);
    capture.attempt(now);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    capture.response_head(StatusCode::OK, &HeaderMap::new(), Some(Version::HTTP_11));
    capture.response_chunk(&Bytes::from_static(b"part"), now);
    assert!(capture.first_byte().is_some());
    assert!(capture.finish(now, complete()).is_none());
}
