//! Trace context, forwarding fields, rewriting, and the figures on each response.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use offpath_tests::{Collector, Gateway, Head, Setup, Trace, Upstream};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CALLER_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER_SPAN: &str = "b7ad6b7169203331";

/// One exchange: what the client got, what the upstream got, what was recorded.
struct Seen {
    answer: Head,
    upstream: Head,
    trace: Trace,
}

async fn one(fields: &str, setup: impl FnOnce(Setup) -> Setup) -> Seen {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let gateway = setup(Gateway::before(upstream.url()).collect(&collector))
        .start()
        .await;
    let request = format!("GET /llm/v1/chat?q=1 HTTP/1.1\r\nhost: model.example\r\n{fields}\r\n");
    let (answer, _) = gateway.exchange(request).await;
    let trace = collector.trace().await;
    Seen {
        answer,
        upstream: upstream.first().await.head,
        trace,
    }
}

/// The one `traceparent` that the upstream got.
fn traceparent(seen: &Seen) -> &str {
    assert_eq!(seen.upstream.all("traceparent").count(), 1);
    seen.upstream.field("traceparent").unwrap()
}

fn mlflow_id(seen: &Seen) -> String {
    format!("tr-{}", seen.trace.root.trace_id)
}

#[tokio::test]
async fn without_a_caller_the_upstream_hangs_under_offpath() {
    for context in ["own", "join"] {
        let seen = one("", |setup| setup.set("routes/0/trace/context", context)).await;
        let call = seen.trace.call.as_ref().unwrap();
        let sent = format!("00-{}-{}-01", call.trace_id, call.id);
        assert_eq!(traceparent(&seen), sent);
        assert_eq!(
            seen.answer.field("x-offpath-trace-id"),
            Some(&*mlflow_id(&seen))
        );
        assert_eq!(
            (&*seen.trace.root.parent, seen.trace.root.links.len()),
            ("", 0)
        );
    }
}

#[tokio::test]
async fn own_records_a_whole_trace_and_passes_the_callers_context_on() {
    let fields = format!("traceparent: {CALLER}\r\ntracestate: a=1\r\n");
    let seen = one(&fields, |setup| setup).await;
    assert_eq!(traceparent(&seen), CALLER);
    assert_eq!(seen.upstream.field("tracestate"), Some("a=1"));
    let root = &seen.trace.root;
    assert_ne!(root.trace_id, CALLER_TRACE);
    assert_eq!(
        (&*root.parent, &*seen.trace.call.as_ref().unwrap().parent),
        ("", &*root.id)
    );
    assert_eq!(
        root.links,
        [(CALLER_TRACE.to_owned(), CALLER_SPAN.to_owned())]
    );
    assert_eq!(seen.trace.text("offpath.caller.trace_id"), CALLER_TRACE);
    assert_eq!(seen.trace.text("offpath.caller.span_id"), CALLER_SPAN);
    assert_eq!(
        seen.answer.field("x-offpath-trace-id"),
        Some(&*mlflow_id(&seen))
    );
}

#[tokio::test]
async fn join_continues_the_callers_trace() {
    let join = |setup: Setup| {
        let setup = setup.set("routes/0/trace/tags/environment", "production");
        setup.set("routes/0/trace/context", "join")
    };
    let seen = one(&format!("traceparent: {CALLER}\r\n"), join).await;
    let (root, call) = (&seen.trace.root, seen.trace.call.as_ref().unwrap());
    assert_eq!(
        (&*root.trace_id, &*root.parent),
        (CALLER_TRACE, CALLER_SPAN)
    );
    assert_eq!((&*call.trace_id, &*call.parent), (CALLER_TRACE, &*root.id));
    assert_eq!(
        traceparent(&seen),
        format!("00-{CALLER_TRACE}-{}-01", call.id)
    );
    assert_eq!(seen.trace.text("environment"), "production");
    assert_eq!(
        seen.answer.field("x-offpath-trace-id"),
        Some(&*format!("tr-{CALLER_TRACE}"))
    );
}

#[tokio::test]
async fn a_context_that_is_malformed_or_doubled_is_no_context() {
    let doubled = format!("traceparent: {CALLER}\r\ntraceparent: {CALLER}\r\n");
    let zero = "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n";
    for fields in ["traceparent: nonsense\r\n", zero, &doubled] {
        let seen = one(fields, |setup| setup.set("routes/0/trace/context", "join")).await;
        assert_ne!(seen.trace.root.trace_id, CALLER_TRACE);
        assert_eq!(seen.trace.root.parent, "");
        assert!(traceparent(&seen).contains(&seen.trace.root.trace_id));
    }
}

#[tokio::test]
async fn what_is_not_kept_says_so_upstream_and_bears_no_id() {
    let upstream = Upstream::echo().await;
    let setup = Gateway::before(upstream.url()).set("sampling/ratio", 0);
    let gateway = setup.start().await;
    let (answer, _) = gateway.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answer.field("x-offpath-trace-id"), None);
    assert!(answer.field("server-timing").is_some());
    let seen = upstream.first().await.head;
    assert!(seen.field("traceparent").unwrap().ends_with("-00"));
}

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let kept = one("x-request-id: mine-17\r\n", |setup| setup).await;
    assert_eq!(kept.upstream.field("x-request-id"), Some("mine-17"));
    assert_eq!(
        kept.trace.text("mlflow.traceTag.offpath.request_id"),
        "mine-17"
    );
    let made = one("", |setup| setup).await;
    let id = made.upstream.field("x-request-id").unwrap();
    assert_eq!(made.trace.text("offpath.request_id"), id);
    assert!(id.len() >= 16, "{id}");
}

#[tokio::test]
async fn the_way_here_is_told_in_forwarding_fields() {
    let seen = one("", |setup| setup).await.upstream;
    let fields = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    let told = fields.map(|name| seen.field(name).unwrap());
    assert_eq!(told, ["127.0.0.1", "http", "model.example"]);
    let before =
        "x-forwarded-for: 10.0.0.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: outer\r\n";
    let seen = one(before, |setup| setup).await.upstream;
    let told = fields.map(|name| seen.all(name).collect::<Vec<_>>().join("|"));
    assert_eq!(told, ["10.0.0.1, 127.0.0.1", "https", "outer"]);
}

#[tokio::test]
async fn host_and_path_are_rewritten_as_the_upstream_wants() {
    let upstream = Upstream::echo().await;
    let authority = upstream.address().to_string();
    let rows = [
        ("preserve", "", "", "model.example", "/llm/v1/chat?q=1"),
        ("upstream", "/llm", "", &*authority, "/v1/chat?q=1"),
        (
            "inner.example",
            "/llm",
            "/serving",
            "inner.example",
            "/serving/v1/chat?q=1",
        ),
        (
            "preserve",
            "/other",
            "/api",
            "model.example",
            "/api/llm/v1/chat?q=1",
        ),
    ];
    for (number, (host, strip, add, expect_host, expect_path)) in rows.into_iter().enumerate() {
        let setup = Gateway::before(upstream.url())
            .set("upstreams/model/host", host)
            .set("upstreams/model/path/strip_prefix", strip)
            .set("upstreams/model/path/add_prefix", add);
        let gateway = setup.start().await;
        gateway
            .exchange("GET /llm/v1/chat?q=1 HTTP/1.1\r\nhost: model.example\r\n\r\n")
            .await;
        let seen = upstream.seen()[number].head.clone();
        assert_eq!(seen.field("host"), Some(expect_host));
        assert_eq!(seen.line, format!("GET {expect_path} HTTP/1.1"));
    }
}

#[tokio::test]
async fn a_route_and_its_rewriting_agree_on_where_a_prefix_ends() {
    for prefix in ["/llm", "/llm/"] {
        let upstream = Upstream::echo().await;
        let gateway = Gateway::before(upstream.url())
            .set("routes/0/match/path_prefix", prefix)
            .set("upstreams/model/path/strip_prefix", prefix)
            .start()
            .await;
        let mut seen = Vec::new();
        for path in ["/llm", "/llm/", "/llm/v1?q=/llm", "/llms/v1", "/llm-2", "/"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: model.example\r\n\r\n");
            seen.push(gateway.exchange(request).await.0.status());
        }
        assert_eq!(seen, [200, 200, 200, 404, 404, 404], "{prefix}");
        let upstream: Vec<_> = upstream
            .seen()
            .iter()
            .map(|e| e.head.line.clone())
            .collect();
        let lines = [
            "GET / HTTP/1.1",
            "GET / HTTP/1.1",
            "GET /v1?q=/llm HTTP/1.1",
        ];
        assert_eq!(upstream, lines, "{prefix}");
    }
}

/// Names and milliseconds of one `server-timing` field, in order.
fn figures(field: &str) -> Vec<(&str, f64)> {
    let parts = field
        .split(", ")
        .map(|part| part.split_once(";dur=").unwrap());
    parts
        .map(|(name, millis)| (name, millis.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn the_overhead_is_one_figure_in_header_and_trace_and_is_part_of_the_whole() {
    let response = "HTTP/1.1 200 OK\r\nserver-timing: db;dur=53\r\ncontent-length: 0\r\n\r\n";
    let upstream = Upstream::answering(response).await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let asked = Instant::now();
    let (head, _) = gateway.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let whole = asked.elapsed().as_secs_f64() * 1e3;
    let entries: Vec<&str> = head.all("server-timing").collect();
    assert_eq!((entries.len(), entries[0]), (2, "db;dur=53"));
    let figures = figures(entries[1]);
    let names: Vec<&str> = figures.iter().map(|figure| figure.0).collect();
    assert_eq!(names, ["offpath", "connect", "upload", "upstream"]);
    let sum: f64 = figures.iter().map(|figure| figure.1).sum();
    assert!(sum > 0.0 && sum <= whole, "{sum} ms of {whole} ms");
    let header: u64 = head
        .field("x-offpath-overhead-us")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!((figures[0].1 * 1e3).round() as u64, header);
    assert_eq!(collector.trace().await.value("offpath.overhead_us"), header);
}

#[tokio::test]
async fn headers_that_are_not_wanted_are_not_there() {
    let seen = one("", |setup| {
        let setup = setup.set("routes/0/headers/server_timing", false);
        let setup = setup.set("routes/0/headers/overhead", false);
        setup.set("routes/0/headers/trace_id", false)
    })
    .await;
    let names = seen
        .answer
        .fields
        .iter()
        .map(|field| field.0.to_ascii_lowercase());
    let ours: Vec<_> = names
        .filter(|name| name.contains("offpath") || name == "server-timing")
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}
