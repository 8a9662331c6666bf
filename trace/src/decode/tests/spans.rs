use super::*;
use crate::{Link, Source, SpanKind, Status, TraceContext};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn the_root_says_all_of_the_exchange_and_the_child_of_the_call() {
    let exchange = exchange("/predict?a=1&token=t", r#"{"a":1}"#, r#"{"b":2}"#)
        .request_header("user-agent", "curl/8")
        .request_header("authorization", "Bearer sesame");
    let decoded = Decoded::of(&exchange);
    decoded.check_root(&[
        ("offpath.route", "support"),
        ("offpath.version", env!("CARGO_PKG_VERSION")),
        ("offpath.overhead_us", "43"),
        ("offpath.overhead_body_us", "5"),
        ("offpath.kept_because", "ratio"),
        ("offpath.weight", "1"),
        ("offpath.first_byte_ms", "51"),
        ("offpath.end_reason", "complete"),
        ("offpath.request.bytes", "7"),
        ("offpath.response.bytes", "7"),
        ("offpath.request_id", "r-1"),
        ("offpath.caller.trace_id", "-"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("url.path", "/predict"),
        ("url.query", "a=1&token=[REDACTED]"),
        ("server.address", "models.example"),
        ("server.port", "8080"),
        ("client.address", "10.0.0.9"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("error.type", "-"),
        ("mlflow.traceTag.mlflow.traceName", "support-chat"),
        ("mlflow.traceTag.offpath.route", "support"),
        ("mlflow.traceTag.offpath.kept_because", "ratio"),
        ("mlflow.traceTag.offpath.request_id", "r-1"),
    ]);
    decoded.check_upstream(&[
        ("offpath.first_byte_ms", "50"),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
        ("server.port", "9000"),
        ("http.request.resend_count", "-"),
    ]);
    let [root, child] = decoded.trace.spans.as_slice() else {
        panic!("two spans")
    };
    assert_eq!(
        (&*root.name, root.kind, root.parent),
        ("support-chat", SpanKind::Server, None)
    );
    assert_eq!(
        (&*child.name, child.kind),
        ("POST /predict", SpanKind::Client)
    );
    assert_eq!(child.parent, Some(root.id));
    assert_eq!(child.end, root.end);
    assert_eq!(
        child.start.duration_since(root.start).unwrap(),
        Duration::from_millis(1)
    );
    assert!(!format!("{:?}", decoded.trace).contains("sesame"));
}

#[test]
fn what_its_content_keeps_says_so_once() {
    for undecided in [false, true] {
        let mut exchange = exchange("/x", "", "");
        exchange.kept = exchange.kept.filter(|_| !undecided);
        exchange.weight = Some(20.0);
        let mut decoded = Decoded::of(&exchange);
        let before = if undecided { "-" } else { "ratio" };
        decoded.check_root(&[
            ("offpath.kept_because", before),
            ("mlflow.traceTag.offpath.kept_because", before),
        ]);
        decoded.trace.keep(KeptBecause::FinishReason, Some(1.0));
        decoded.check_root(&[
            ("offpath.kept_because", "finish_reason"),
            ("mlflow.traceTag.offpath.kept_because", "finish_reason"),
            ("offpath.weight", "1"),
            ("mlflow.traceTag.offpath.weight", "1"),
        ]);
        decoded.trace.keep(KeptBecause::GrpcError, None);
        decoded.check_root(&[
            ("offpath.weight", "-"),
            ("mlflow.traceTag.offpath.weight", "-"),
        ]);
        let root = decoded.trace.spans.first().unwrap();
        let because = |(key, _): &&(_, _)| *key == "offpath.kept_because";
        assert_eq!(root.attributes.iter().filter(because).count(), 1);
    }
}

#[test]
fn no_key_stands_twice() {
    let tags: Vec<(Arc<str>, Source)> = ["http.request.method", "offpath.route", "tier", "tier"]
        .map(|key| (key.into(), Source::Constant("x".into())))
        .to_vec();
    for join in [false, true] {
        let exchange = super::chat(r#"{"model":"m"}"#, "{}").plan(|plan| {
            plan.tags.clone_from(&tags);
            plan.join = join;
        });
        for span in Decoded::of(&exchange).trace.spans {
            let mut keys: Vec<_> = span.attributes.iter().map(|(key, _)| key.clone()).collect();
            keys.sort();
            let len = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), len);
        }
    }
}

#[test]
fn who_is_asking_comes_from_the_first_source_that_is_there() {
    let header = |name: &str| Source::Header(name.parse().unwrap());
    let exchange = exchange("/x", "", "")
        .request_header("x-b", &"ä".repeat(200))
        .request_header("x-empty", "")
        .plan(|plan| {
            plan.user = vec![
                header("x-a"),
                header("x-empty"),
                Source::Constant("svc".into()),
            ];
            plan.session = vec![header("x-b")];
            plan.tags = vec![
                ("tenant".into(), header("x-missing")),
                ("env".into(), Source::Constant("prod".into())),
                ("long".into(), Source::Constant("é".repeat(3000).into())),
            ];
        });
    let decoded = Decoded::of(&exchange);
    // Header bytes above ASCII are read as UTF-8.
    decoded.check_root(&[
        ("user.id", "svc"),
        ("session.id", &"ä".repeat(125)),
        ("mlflow.traceTag.tenant", "-"),
        ("mlflow.traceTag.env", "prod"),
        ("env", "-"),
        ("mlflow.traceTag.long", &"é".repeat(2048)),
    ]);
}

#[test]
fn a_caller_is_linked_to_or_continued() {
    let caller = TraceContext::parse(CALLER.as_bytes()).unwrap();
    let own = exchange("/x", "", "").with(|exchange| exchange.ids.caller = Some(caller));
    let decoded = Decoded::of(&own);
    let link = Link {
        trace_id: caller.trace_id,
        span_id: caller.span_id,
    };
    assert_eq!(decoded.trace.spans[0].links, [link]);
    decoded.check_root(&[
        (
            "offpath.caller.trace_id",
            "0af7651916cd43dd8448eb211c80319c",
        ),
        ("offpath.caller.span_id", "b7ad6b7169203331"),
    ]);
    let join = exchange("/x", "", "")
        .plan(|plan| {
            plan.join = true;
            plan.tags = vec![("env".into(), Source::Constant("prod".into()))];
        })
        .with(|exchange| {
            exchange.ids.caller = Some(caller);
            exchange.ids.parent = Some(caller.span_id);
        });
    let decoded = Decoded::of(&join);
    assert_eq!(decoded.trace.spans[0].parent, Some(caller.span_id));
    assert!(decoded.trace.spans[0].links.is_empty());
    decoded.check_root(&[("offpath.caller.trace_id", "-"), ("env", "prod")]);
}

#[track_caller]
fn check(exchange: Exchange, spans: usize, error: Option<(&str, &str)>) {
    let decoded = Decoded::of(&exchange);
    assert_eq!(decoded.trace.spans.len(), spans);
    for span in &decoded.trace.spans {
        let expect = error.map_or(Status::Ok, |(message, _)| Status::Error(message.into()));
        assert_eq!(span.status, expect);
        assert_eq!(
            show(span, "error.type"),
            error.map_or("-", |(_, kind)| kind)
        );
    }
}

#[test]
fn failures_are_named_on_every_span() {
    let ended = |end, error: Option<&str>| {
        exchange("/x", "", "").with(|exchange| {
            exchange.outcome.end = end;
            exchange.outcome.error = error.map(Into::into);
        })
    };
    let status = |code| {
        exchange("/x", "", "").with(|exchange| {
            exchange.response.as_mut().unwrap().status = StatusCode::from_u16(code).unwrap();
        })
    };
    check(exchange("/x", "", ""), 2, None);
    check(status(404), 2, Some(("HTTP 404 Not Found", "404")));
    check(status(302), 2, None);
    check(
        ended(EndReason::UpstreamCut, Some("connection reset")),
        2,
        Some(("upstream_cut: connection reset", "upstream_cut")),
    );
    check(
        ended(EndReason::Shutdown, None),
        2,
        Some(("shutdown", "shutdown")),
    );
    let refused = ended(EndReason::UpstreamError, Some("no healthy endpoint")).with(|exchange| {
        exchange.timing.upstream_start = None;
        let response = exchange.response.as_mut().unwrap();
        response.status = StatusCode::SERVICE_UNAVAILABLE;
        response.from_upstream = false;
    });
    check(
        refused,
        1,
        Some((
            "HTTP 503 Service Unavailable: upstream_error: no healthy endpoint",
            "503",
        )),
    );
    let refused_and_left = status(503).with(|exchange| {
        exchange.outcome.end = EndReason::ClientLeft;
        exchange.outcome.error = Some("connection reset".into());
    });
    let words = "HTTP 503 Service Unavailable: client_left: connection reset";
    check(refused_and_left, 2, Some((words, "503")));
    // A client that leaves is no failure of the server.
    let unanswered = ended(EndReason::ClientLeft, None).with(|exchange| exchange.response = None);
    check(unanswered, 2, None);
}

#[test]
fn a_body_as_long_as_its_head_announced_is_whole_whoever_left() {
    for (length, reason) in [
        ("7", "complete"),
        ("8", "client_left"),
        ("x", "client_left"),
    ] {
        let left = exchange("/x", "", "seventy")
            .response_header("content-type", "text/plain")
            .response_header("content-length", length)
            .with(|exchange| exchange.outcome.end = EndReason::ClientLeft);
        let decoded = Decoded::of(&left);
        assert_eq!(decoded.root("offpath.end_reason"), reason, "{length}");
    }
}

#[test]
fn clocks_that_cannot_be_do_no_harm() {
    let exchange = exchange("/x", "", "").with(|exchange| {
        exchange.timing.end = Duration::MAX;
        exchange.timing.upstream_start = Some(Duration::MAX);
        exchange.timing.first_byte = Some(Duration::ZERO);
        exchange.timing.overhead_head = Duration::MAX;
    });
    let decoded = Decoded::of(&exchange);
    for span in &decoded.trace.spans {
        assert!(span.end >= span.start);
    }
    assert_eq!(decoded.upstream("offpath.first_byte_ms"), "0");
}
