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
    recording_of(Version::HTTP_11, 1_000, budget, keeping)
}

/// Of a request in this version, with so many bytes of each body.
fn recording_of(
    version: Version,
    max_body: usize,
    budget: &CaptureBudget,
    keeping: Keeping,
) -> Box<Recording> {
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
        version,
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
        max_body,
        budget,
    )
}

/// By its head.
fn kept() -> Keeping {
    let head = Head {
        kept: Some(KeptBecause::Ratio),
        weight: Some(1.0),
    };
    Keeping {
        head,
        rules: None,
        content: false,
    }
}

fn capture(budget: &CaptureBudget) -> (Capture, Instant) {
    kept_by(budget, |_| kept())
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
fn a_recording_is_charged_with_itself_and_its_head() {
    let budget = CaptureBudget::new(1 << 20);
    let (capture, _) = capture(&budget);
    assert_eq!(budget.used(), 500 + size_of::<Recording>());
    drop(capture);
    assert_eq!(budget.used(), 0);
}

/// What an exchange is charged for one chunk of each body, the request's in the first version and the
/// response's in the second.
fn charged(asked: Version, answered: Version) -> [usize; 2] {
    let budget = CaptureBudget::new(1 << 20);
    let (mut capture, now) = capture(&budget);
    capture.record(recording_of(asked, 1 << 20, &budget, kept()));
    let chunk = Bytes::from(vec![7; 10_000]);
    let before = budget.used();
    capture.request_chunk(&chunk, now);
    let between = budget.used();
    capture.response_head(StatusCode::OK, &HeaderMap::new(), Some(answered));
    capture.response_chunk(&chunk, now);
    [between - before, budget.used() - between]
}

#[test]
fn a_body_that_came_over_http2_is_charged_with_the_buffers_that_it_was_cut_from() {
    const EXACT: std::ops::Range<usize> = 10_000..10_500;
    const SLICED: std::ops::Range<usize> = 32_768..33_268;
    for (asked, asked_as) in [(Version::HTTP_11, EXACT), (Version::HTTP_2, SLICED)] {
        for (answered, answered_as) in [(Version::HTTP_11, EXACT), (Version::HTTP_2, SLICED)] {
            let [request, response] = charged(asked, answered);
            assert!(asked_as.contains(&request), "{asked:?}: {request}");
            assert!(answered_as.contains(&response), "{answered:?}: {response}");
        }
    }
}

#[test]
fn the_end_has_the_times_of_the_whole_of_the_first_byte_and_of_the_taps() {
    let budget = CaptureBudget::new(1 << 20);
    let (mut capture, now) = capture(&budget);
    let at = |ms| now + Duration::from_millis(ms);
    capture.attempt(at(1));
    capture.marks().connected(at(3), false);
    capture.marks().head_sent(at(3));
    capture.marks().response_received(at(20));
    capture.response_head(StatusCode::OK, &HeaderMap::new(), Some(Version::HTTP_11));
    capture.response_composed(at(24));
    for piece in 0..3 {
        let began = at(50 + 10 * piece);
        capture.response_chunk(&Bytes::from_static(b"part"), began);
        let ended = began + Duration::from_micros(7);
        capture.marks().response_tapped(began, ended);
    }
    let timing = capture.finish(at(90), complete()).unwrap().exchange.timing;
    assert_eq!(timing.end, Duration::from_millis(90));
    assert_eq!(timing.first_byte, Some(Duration::from_millis(50)));
    assert_eq!(timing.response_head, Some(Duration::from_millis(20)));
    assert_eq!(timing.overhead_head, Duration::from_millis(1 + 4));
    assert_eq!(timing.overhead_body, Duration::from_micros(21));
}

/// Why an exchange is kept by these rules that asks with so many bytes, is answered with so many
/// after a tenth of a second, and ends after a second.
fn kept_because(rules: Keep, asked: usize, answered: usize) -> Option<KeptBecause> {
    let budget = CaptureBudget::new(1 << 20);
    let (mut capture, now) = kept_by(&budget, |now| Keeping {
        head: Head::NOT_KEPT,
        rules: KeepRules::new(&rules, now).map(Arc::new),
        content: false,
    });
    capture.request_chunk(&vec![7; asked].into(), now);
    capture.response_head(StatusCode::OK, &HeaderMap::new(), Some(Version::HTTP_11));
    let first = now + Duration::from_millis(100);
    capture.response_chunk(&vec![7; answered].into(), first);
    let finished = capture.finish(now + Duration::from_secs(1), complete());
    finished.and_then(|finished| finished.exchange.kept)
}

#[test]
fn rules_look_at_the_whole_time_and_at_the_larger_body() {
    let ms = Duration::from_millis;
    let rules = |change: &dyn Fn(&mut Keep)| {
        let mut rules = Keep {
            max_per_second: 1e6,
            ..Keep::default()
        };
        change(&mut rules);
        rules
    };
    let slow = |than| rules(&|rules| rules.slower_than = Some(ms(than)));
    assert_eq!(kept_because(slow(999), 1, 1), Some(KeptBecause::Slow));
    assert_eq!(kept_because(slow(1_000), 1, 1), None);
    let late = |than| rules(&|rules| rules.first_byte_slower_than = Some(ms(than)));
    assert_eq!(kept_because(late(99), 1, 1), Some(KeptBecause::FirstByte));
    assert_eq!(kept_because(late(100), 1, 1), None);
    let large = |asked, answered| {
        let rules = rules(&|rules| rules.larger_than = Some(700));
        kept_because(rules, asked, answered)
    };
    assert_eq!(large(701, 1), Some(KeptBecause::Large));
    assert_eq!(large(1, 701), Some(KeptBecause::Large));
    assert_eq!(large(700, 700), None);
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
