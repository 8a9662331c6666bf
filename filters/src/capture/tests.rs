//! A capture is called as pingora calls, and gives what passed.

use http::{Method, Uri};
use offpath_config::Keep;
use offpath_trace::{Headers, KeptBecause, Level, SpanId, TraceId};

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
        metadata: Vec::new(),
        client_request_id: Vec::new(),
        decoded_max: 1 << 20,
        redaction: offpath_trace::Redaction::default(),
        statistics: false,
    })
}

fn recording(budget: &CaptureBudget, keeping: Keeping) -> Box<Recording> {
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
        headers: Headers::default(),
        tls: false,
        client: None,
        body: offpath_trace::Body::default(),
    };
    Recording::begin(
        plan(),
        ids,
        keeping,
        ("id".into(), request),
        500,
        1_000,
        budget,
    )
}

fn capture(budget: &CaptureBudget) -> (Capture, Instant) {
    let head = Head {
        kept: Some(KeptBecause::Ratio),
        weight: Some(1.0),
    };
    kept_by(budget, |_| Keeping {
        head,
        rules: None,
        content: false,
    })
}

/// One that the head decision passed over, and that is kept if it failed.
fn undecided(budget: &CaptureBudget) -> (Capture, Instant) {
    let rules = Keep {
        errors: true,
        ..Keep::default()
    };
    kept_by(budget, |now| Keeping {
        head: Head::NOT_KEPT,
        rules: KeepRules::new(&rules, now).map(Arc::new),
        content: false,
    })
}

fn origin() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as an origin"
    )]
    Instant::now()
}

fn kept_by(budget: &CaptureBudget, keeping: impl FnOnce(Instant) -> Keeping) -> (Capture, Instant) {
    let (now, wall) = (origin(), SystemTime::UNIX_EPOCH);
    let mut capture = Capture::begin(now, wall);
    capture.record(recording(budget, keeping(now)));
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
    let exchange = capture.finish(now, complete()).unwrap().exchange;
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
    let dropped = capture.dropped();
    let exchange = capture.finish(later, dropped).unwrap().exchange;
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
    let exchange = capture.finish(now, complete()).unwrap().exchange;
    assert!(budget.used() > 500);
    drop(exchange);
    assert_eq!(budget.used(), 0);
}

#[test]
fn without_room_a_body_is_counted_and_not_held() {
    let budget = CaptureBudget::new(400);
    let (mut capture, now) = capture(&budget);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    let body = capture
        .finish(now, complete())
        .unwrap()
        .exchange
        .request
        .body;
    assert_eq!(
        (body.kept_bytes(), body.bytes, body.truncated),
        (0, 5, true)
    );
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_is_not_kept_is_timed_and_no_more() {
    let (now, wall) = (origin(), SystemTime::UNIX_EPOCH);
    let mut capture = Capture::begin(now, wall);
    capture.attempt(now);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    capture.response_head(StatusCode::OK, &HeaderMap::new(), Some(Version::HTTP_11));
    capture.response_chunk(&Bytes::from_static(b"part"), now);
    assert!(capture.first_byte().is_some());
    assert!(capture.finish(now, complete()).is_none());
}

#[test]
fn a_rule_decides_at_the_end_and_lets_go_of_what_it_does_not_take() {
    let budget = CaptureBudget::new(1 << 20);
    let (mut capture, now) = undecided(&budget);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    capture.response_head(StatusCode::OK, &HeaderMap::new(), Some(Version::HTTP_11));
    assert!(budget.used() > 500);
    assert!(capture.finish(now, complete()).is_none());
    assert_eq!(budget.used(), 0);

    let (mut capture, now) = undecided(&budget);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    capture.response_head(status, &HeaderMap::new(), Some(Version::HTTP_11));
    let Finished { exchange, short } = capture.finish(now, complete()).unwrap();
    assert_eq!(exchange.kept, Some(KeptBecause::Error));
    assert_eq!(exchange.weight, None);
    assert_eq!(
        (text(&exchange.request.body), short),
        ("hello".into(), false)
    );
}

#[test]
fn a_rule_that_the_budget_had_no_room_for_says_so() {
    let budget = CaptureBudget::new(400);
    let (mut capture, now) = undecided(&budget);
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    let dropped = capture.dropped();
    let Finished { exchange, short } = capture.finish(now, dropped).unwrap();
    assert!(short && exchange.request.body.truncated);
}

#[test]
fn what_only_its_content_can_decide_ends_undecided() {
    let budget = CaptureBudget::new(400);
    let (mut capture, now) = kept_by(&budget, |_| Keeping {
        head: Head {
            kept: None,
            weight: Some(20.0),
        },
        rules: None,
        content: true,
    });
    capture.request_chunk(&Bytes::from_static(b"hello"), now);
    let Finished { exchange, short } = capture.finish(now, complete()).unwrap();
    assert_eq!((exchange.kept, exchange.weight), (None, Some(20.0)));
    assert!(short);
}

#[test]
fn a_stream_is_whole_at_its_last_word_kept_or_not() {
    let now = origin();
    let mut capture = Capture::begin(now, SystemTime::UNIX_EPOCH);
    assert!(!capture.said_last_word());
    let mut end_after = |event: &'static str| {
        capture.response_chunk(&Bytes::from_static(event.as_bytes()), now);
        (capture.dropped().end, capture.response_bytes())
    };
    assert_eq!(end_after("data: {}\n\n"), (EndReason::Shutdown, 10));
    assert_eq!(end_after("data: [DONE]\n\n"), (EndReason::Complete, 24));
}

#[test]
fn a_client_that_left_is_offered_undecided_with_the_head_decisions_weight() {
    let budget = CaptureBudget::new(1 << 20);
    let keep = Keep {
        client_left: true,
        ..Keep::default()
    };
    let end = |end| Outcome { end, ..complete() };
    for (kept, weight) in [(None, 10.0), (Some(KeptBecause::Ratio), 10.0)] {
        let (mut capture, now) = kept_by(&budget, |now| Keeping {
            head: Head {
                kept,
                weight: Some(weight),
            },
            rules: KeepRules::new(&keep, now).map(Arc::new),
            content: false,
        });
        let finished = capture.finish(now, end(EndReason::ClientLeft)).unwrap();
        let exchange = finished.exchange;
        assert!(exchange.kept_if_left);
        assert_eq!((exchange.kept, exchange.weight), (kept, Some(weight)));
    }
    let (mut capture, now) = kept_by(&budget, |now| Keeping {
        head: Head::NOT_KEPT,
        rules: KeepRules::new(&keep, now).map(Arc::new),
        content: false,
    });
    assert!(capture.finish(now, end(EndReason::UpstreamCut)).is_none());
}
