//! What is kept by what an answer says, of exchanges that sampling passes over.

use offpath_tests::{Collector, Gateway, Setup, Upstream, http2};
use serde_json::{Value, json};

const GET: &str = "GET /v1/chat/completions HTTP/1.1\r\nhost: a\r\n\r\n";

const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
    content-length: 41\r\n\r\n{\"model\":\"m\",\"stream\":true,\"messages\":[]}";

fn ruled(endpoint: impl AsRef<str>, collector: &Collector, rules: Value) -> Setup {
    let sampling = json!({"ratio": 0, "keep_content": rules});
    let setup = Gateway::before(endpoint).collect(collector);
    setup.set("routes/0/sampling", sampling)
}

/// An upstream that streams these events.
async fn streaming(events: &[&str]) -> Upstream {
    let events: String = events
        .iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    let length = events.len();
    Upstream::answering(format!("{head}content-length: {length}\r\n\r\n{events}")).await
}

const PIECE: &str =
    r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;
const STOP: &str = r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const ERROR: &str = r#"{"error":{"type":"overloaded_error","message":"busy"}}"#;

#[tokio::test]
async fn an_error_within_a_stream_keeps_it_and_a_stream_that_is_whole_is_not_kept() {
    let collector = Collector::start().await;
    for (events, kept) in [(&[PIECE, ERROR][..], 1), (&[PIECE, STOP, "[DONE]"], 0)] {
        let upstream = streaming(events).await;
        let rules = json!({"stream_errors": true});
        let gateway = ruled(upstream.url(), &collector, rules).start().await;
        gateway.exchange(CHAT).await;
        let route = async || gateway.status().await["export"]["routes"][0].clone();
        let decided = offpath_tests::eventually("the decision", async || {
            let metrics = gateway.metrics().await;
            (metrics.sum("offpath_exchanges_total", &[]) == 1.0).then_some(())
        });
        decided.await;
        assert_eq!(route().await["kept"], kept);
    }
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.kept_because"), "stream_error");
    assert_eq!(trace.text("offpath.end_reason"), "in_band_error");
}

#[tokio::test]
async fn a_call_whose_status_is_not_ok_is_kept() {
    let upstream = http2::Upstream::plain(|request| async move {
        let status = request.uri().path().trim_start_matches('/').to_owned();
        let body = http2::driven(async move |mut sender| {
            let mut trailers = http::HeaderMap::new();
            let status = status.parse().expect("a status is visible");
            trailers.insert("grpc-status", status);
            sender
                .send_trailers(trailers)
                .await
                .expect("a client reads");
        });
        let head = http::Response::builder().header("content-type", "application/grpc");
        head.body(body).expect("a head is valid")
    })
    .await;
    let collector = Collector::start().await;
    let setup = ruled(upstream.url(), &collector, json!({"grpc_errors": true}));
    let gateway = setup.set("upstreams/model/http", 2).start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    for status in ["0", "13", "0"] {
        let request = http::Request::post(format!("http://a/{status}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(http2::full(""));
        let response = client.send(request.expect("a request is valid")).await;
        let response = response.expect("the gateway answers");
        let (_, trailers) = http2::collect(response.into_body()).await;
        assert_eq!(trailers.expect("there are trailers")["grpc-status"], status);
    }
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.kept_because"), "grpc_error");
    assert_eq!(trace.text("url.path"), "/13");
}

#[tokio::test]
async fn rules_by_content_have_a_rate_cap_of_their_own() {
    let upstream = streaming(&[PIECE, ERROR]).await;
    let collector = Collector::start().await;
    let rules = json!({"stream_errors": true, "max_per_second": 0.001});
    let gateway = ruled(upstream.url(), &collector, rules).start().await;
    for _ in 0..5 {
        gateway.exchange(CHAT).await;
    }
    assert!(gateway.terminate().await.status.success());
    assert_eq!(collector.traces().len(), 1);
}

#[tokio::test]
async fn a_sampler_with_a_rate_cap_keeps_no_more_and_states_no_weight() {
    let (collector, upstream) = (Collector::start().await, Upstream::echo().await);
    let gateway = Gateway::before(upstream.url())
        .collect(&collector)
        .set(
            "routes/0/sampling",
            json!({"ratio": 1, "max_per_second": 0.001}),
        )
        .start()
        .await;
    for _ in 0..20 {
        gateway.exchange(GET).await;
    }
    assert!(gateway.terminate().await.status.success());
    let trace = collector.trace().await;
    assert!(trace.value("offpath.weight").is_null());
}

#[tokio::test]
async fn columns_are_summed_up_where_the_route_asks_for_it() {
    let upstream = Upstream::echo().await;
    let frame = r#"{"dataframe_split":{"columns":["a"],"data":[[1],[2],[3]]}}"#;
    let length = frame.len();
    let request = format!(
        "POST /invocations HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{frame}"
    );
    for asked in [true, false] {
        let collector = Collector::start().await;
        let setup = Gateway::before(upstream.url()).collect(&collector);
        let gateway = setup
            .set("routes/0/capture/statistics", asked)
            .start()
            .await;
        gateway.exchange(&request).await;
        let trace = collector.trace().await;
        let there = trace.value("offpath.input.statistics").is_string();
        assert_eq!(there, asked, "{trace:#?}");
    }
}

#[tokio::test]
async fn masked_text_is_replaced_by_the_routes_marker() {
    let (collector, upstream) = (Collector::start().await, Upstream::echo().await);
    let redact = json!({
        "patterns": ["email", {"name": "ticket", "regex": "T-[0-9]{4}"}], "replace": "<gone>",
    });
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("routes/0/redact", redact).start().await;
    let request = "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\n\
        content-length: 23\r\n\r\nmail a@b.example T-1234";
    let (_, body) = gateway.exchange(request).await;
    assert_eq!(body, "mail a@b.example T-1234");
    let trace = collector.trace().await;
    assert_eq!(trace.text("mlflow.spanInputs"), r#""mail <gone> <gone>""#);
}

#[tokio::test]
async fn a_secret_beside_a_text_of_the_same_length_is_masked_and_that_text_is_not() {
    let (secret, plain) = ("mail bob@secret.example", "tell me what to do now.");
    for (asked, answered) in [(secret, plain), (plain, secret)] {
        let length = answered.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
        let answer = format!("{head}content-length: {length}\r\n\r\n{answered}");
        let (collector, upstream) = (Collector::start().await, Upstream::answering(answer).await);
        let setup = Gateway::before(upstream.url()).collect(&collector);
        let redact = json!({"patterns": ["email"]});
        let gateway = setup.set("routes/0/redact", redact).start().await;
        let head = "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\n";
        let length = asked.len();
        let request = format!("{head}content-length: {length}\r\n\r\n{asked}");
        let (_, came) = gateway.exchange(request).await;
        assert_eq!(came, answered);
        let trace = collector.trace().await;
        let masked = |text: &str| match text == secret {
            true => "\"mail [REDACTED]\"".to_owned(),
            false => format!("\"{text}\""),
        };
        assert_eq!(trace.text("mlflow.spanInputs"), masked(asked));
        assert_eq!(trace.text("mlflow.spanOutputs"), masked(answered));
    }
}
