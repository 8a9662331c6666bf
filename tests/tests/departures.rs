//! Clients that leave. Before the answer is whole, what they saw is recorded and the upstream is let
//! go; after its last word they are as good as those that wait for the body's end.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "departures/apis.rs"]
mod apis;

use std::sync::Arc;
use std::time::Duration;

use offpath_tests::{Collector, Ending, Gateway, Trace, Upstream, Wire, eventually, http2, within};
use serde_json::{Value, json};

use self::apis::Api;

/// A trace of an exchange whose client left, which is no failure of the server.
#[track_caller]
fn check_left(trace: &Trace) {
    assert_eq!(trace.text("offpath.end_reason"), "client_left");
    assert!(trace.root.error.is_none(), "{trace:#?}");
}

const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
    content-length: 78\r\n\r\n{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi there!\"}]}";

const FIRST_EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
    52\r\ndata: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Half an answer, \"}}]}\n\n\r\n";

/// Answers with the events of the API whose index the request has, and ends as it asks.
async fn upstream(apis: &Arc<Vec<Api>>) -> Upstream {
    let apis = Arc::clone(apis);
    Upstream::script(move |_, mut wire| {
        let apis = Arc::clone(&apis);
        async move {
            while let Some(head) = wire.try_head().await {
                wire.body(&head).await;
                let api = &apis[head.field("x-api").unwrap().parse::<usize>().unwrap()];
                wire.send(format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
                    api.content_type
                ))
                .await;
                if !Ending::asked(&head).send(&mut wire, &api.events).await {
                    break;
                }
            }
        }
    })
    .await
}

/// Keeps nothing but what its rules for errors and for clients that leave keep, and watches both.
async fn watched(upstream: &Upstream) -> Gateway {
    let keep = json!({"errors": true, "client_left": true, "max_per_second": 100_000});
    let alerts = json!({"min_requests": 1, "max_error_rate": 0, "max_client_left_rate": 0});
    Gateway::before(upstream.url())
        .set("routes/0/sampling", json!({"ratio": 0, "keep": keep}))
        .set("routes/0/alerts", alerts)
        .start()
        .await
}

fn request(api: &Api, index: usize, ending: Ending) -> String {
    format!(
        "POST {} HTTP/1.1\r\nhost: a\r\nx-api: {index}\r\n{}: {}\r\ncontent-length: 2\r\n\r\n{{}}",
        api.path,
        Ending::FIELD,
        ending.value()
    )
}

/// Reads so many bytes of a body, and closes.
async fn read_and_leave(gateway: &Gateway, request: &str, bytes: usize) {
    let mut client = Wire::connect(gateway.address()).await;
    client.send(request).await;
    client.head().await;
    let mut seen = 0;
    while seen < bytes {
        seen += client.chunk().await.expect("the body goes on").len();
    }
}

/// The same over HTTP/2, where leaving is a reset of the stream.
async fn read_and_reset(gateway: &Gateway, api: &Api, index: usize, ending: Ending, bytes: usize) {
    let mut client = http2::Client::plain(gateway.address()).await;
    let request = http::Request::post(format!("http://a{}", api.path))
        .header("x-api", index)
        .header(Ending::FIELD, ending.value())
        .body(http2::full("{}"));
    let mut body = client.send(request.unwrap()).await.unwrap().into_body();
    let mut seen = 0;
    while seen < bytes {
        seen += http2::piece(&mut body)
            .await
            .expect("the body goes on")
            .len();
    }
}

/// How exchanges ended, once there are so many: by reason, which must be all.
async fn check_ends(gateway: &Gateway, count: usize, reason: &str) {
    let metrics = eventually("all exchanges to end", async || {
        let metrics = gateway.metrics().await;
        let ended = metrics.sum("offpath_ends_total", &["route=\"model\""]);
        (ended >= count as f64).then_some(metrics)
    })
    .await;
    let reason = format!("reason=\"{reason}\"");
    let ended = metrics.sum("offpath_ends_total", &["route=\"model\"", &reason]);
    assert_eq!(ended, count as f64, "{metrics:#?}");
}

/// What became of them: each kept for this reason, or none.
async fn check_kept(gateway: &Gateway, count: usize, because: Option<&str>) {
    let decision = if because.is_some() {
        "kept"
    } else {
        "not_kept"
    };
    let decision = format!("decision=\"{decision}\"");
    let metrics = eventually("all exchanges to be decided", async || {
        let metrics = gateway.metrics().await;
        let decided = metrics.sum("offpath_exchanges_total", &[]);
        (decided >= count as f64).then_some(metrics)
    })
    .await;
    let decided = metrics.sum("offpath_exchanges_total", &[&decision]);
    assert_eq!(decided, count as f64, "{metrics:#?}");
    let because = because.map(|because| format!("because=\"{because}\""));
    let kept = because.map(|because| metrics.sum("offpath_kept_total", &[&because]));
    assert_eq!(kept.unwrap_or(count as f64), count as f64, "{metrics:#?}");
}

/// Which alerts there are once so many requests are seen: for errors, and for clients that left.
async fn check_alerts(gateway: &Gateway, count: usize, expect: [bool; 2]) {
    let alerts = eventually("the alerts", async || {
        let alerts = gateway.status().await["alerts"].clone();
        (alerts[0]["requests"] == count).then_some(alerts)
    })
    .await;
    let names = ["error_rate", "client_left_rate"];
    for (at, (name, breached)) in names.into_iter().zip(expect).enumerate() {
        let found = (&alerts[at]["alert"], &alerts[at]["breached"]);
        assert_eq!(
            found,
            (&Value::from(name), &Value::from(breached)),
            "{alerts}"
        );
    }
}

#[tokio::test]
async fn a_client_that_closes_at_the_last_word_of_any_api_had_a_complete_answer() {
    let apis = Arc::new(apis::all());
    let upstream = upstream(&apis).await;
    let gateway = watched(&upstream).await;
    let mut count = 0;
    for (index, api) in apis.iter().enumerate() {
        let bytes = api.events.concat().len();
        for tail in [0, 1, 5, 50] {
            let tail = Ending::Tail(Duration::from_millis(tail));
            read_and_leave(&gateway, &request(api, index, tail), bytes).await;
            read_and_reset(&gateway, api, index, tail, bytes).await;
            count += 2;
        }
    }
    check_ends(&gateway, count, "complete").await;
    check_kept(&gateway, count, None).await;
    check_alerts(&gateway, count, [false, false]).await;
}

#[tokio::test]
async fn a_client_that_closes_one_event_before_left_whatever_the_api() {
    let apis = Arc::new(apis::all());
    let upstream = upstream(&apis).await;
    let gateway = watched(&upstream).await;
    for (index, api) in apis.iter().enumerate() {
        let bytes = api.events[..api.events.len() - 1].concat().len();
        read_and_leave(&gateway, &request(api, index, Ending::Held), bytes).await;
        read_and_reset(&gateway, api, index, Ending::Held, bytes).await;
    }
    let count = 2 * apis.len();
    check_ends(&gateway, count, "client_left").await;
    check_kept(&gateway, count, Some("client_left")).await;
    check_alerts(&gateway, count, [false, true]).await;
}

#[tokio::test]
async fn a_stream_that_its_upstream_cuts_is_an_error_whatever_the_api() {
    let apis = Arc::new(apis::all());
    let upstream = upstream(&apis).await;
    let gateway = watched(&upstream).await;
    for (index, api) in apis.iter().enumerate() {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(request(api, index, Ending::Cut)).await;
        client.rest().await;
    }
    check_ends(&gateway, apis.len(), "upstream_cut").await;
    check_kept(&gateway, apis.len(), Some("error")).await;
    check_alerts(&gateway, apis.len(), [true, false]).await;
}

#[tokio::test]
async fn a_large_download_that_is_abandoned_is_one_that_its_client_left() {
    const BYTES: usize = 50_000_000;
    let upstream = Upstream::script(|_, mut wire| async move {
        wire.head().await;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {BYTES}\r\n\r\n"
        );
        wire.send([head.as_bytes(), &vec![b' '; BYTES]].concat())
            .await;
        wire.rest().await;
    })
    .await;
    let gateway = watched(&upstream).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    client.exact(1_000_000).await;
    drop(client);
    let mut client = http2::Client::plain(gateway.address()).await;
    let request = http::Request::get("http://a/").body(http2::full(""));
    let mut body = client.send(request.unwrap()).await.unwrap().into_body();
    http2::piece(&mut body).await.unwrap();
    drop(body);
    check_ends(&gateway, 2, "client_left").await;
    check_kept(&gateway, 2, Some("client_left")).await;
}

#[tokio::test]
async fn an_end_that_waits_for_room_in_its_clients_window_is_not_delivered() {
    const WINDOW: u32 = 10_000;
    const BYTES: usize = 30_000;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n");
    let upstream = Upstream::answering([head.as_bytes(), &[b' '; BYTES]].concat()).await;
    let gateway = watched(&upstream).await;
    let mut client = http2::Client::with_window(gateway.address(), WINDOW).await;
    let request = http::Request::get("http://a/").body(http2::full(""));
    let response = client.send(request.unwrap()).await.unwrap();
    eventually("all of the body to pass", async || {
        let held = gateway.status().await["capture_bytes"].as_u64();
        (held >= Some(BYTES as u64)).then_some(())
    })
    .await;
    drop(response);
    check_ends(&gateway, 1, "client_left").await;
}

#[tokio::test]
async fn a_client_of_mcp_that_stops_listening_ends_its_stream() {
    let upstream = Upstream::script(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n8\r\n: ping\n\n\r\n")
            .await;
        wire.rest().await;
    })
    .await;
    let gateway = watched(&upstream).await;
    for field in ["mcp-session-id: 1", "mcp-protocol-version: 2025-06-18"] {
        let request =
            format!("GET /mcp HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n{field}\r\n\r\n");
        read_and_leave(&gateway, &request, 8).await;
    }
    check_ends(&gateway, 2, "complete").await;
    let others = "GET /events HTTP/1.1\r\nhost: a\r\n\r\n";
    read_and_leave(&gateway, others, 8).await;
    eventually("who listens to anything else to have left", async || {
        let metrics = gateway.metrics().await;
        let left = metrics.sum("offpath_ends_total", &["reason=\"client_left\""]);
        (left == 1.0).then_some(())
    })
    .await;
}
#[tokio::test]
async fn a_client_that_leaves_a_stream_is_recorded_with_what_it_saw() {
    let (left, mut upstream_sees) = tokio::sync::mpsc::channel(1);
    let upstream = Upstream::script(move |_, mut wire| {
        let left = left.clone();
        async move {
            let head = wire.head().await;
            wire.body(&head).await;
            wire.send(FIRST_EVENTS).await;
            wire.rest().await;
            left.send(()).await.unwrap();
        }
    })
    .await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(CHAT).await;
    client.head().await;
    assert_eq!(client.chunk().await.unwrap().len(), 0x52);
    drop(client);
    let closed = within("the upstream's connection to close", upstream_sees.recv());
    assert!(closed.await.is_some());
    let trace = collector.trace().await;
    check_left(&trace);
    let said = &trace.json("mlflow.spanOutputs")["choices"][0]["message"]["content"];
    assert_eq!(said, "Half an answer, ");
}

#[tokio::test]
async fn a_client_that_leaves_its_upload_is_recorded() {
    let upstream = Upstream::hanging().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf")
        .await;
    eventually("the upload to be under way", async || {
        (gateway.status().await["requests_in_flight"] == 1).then_some(())
    })
    .await;
    drop(client);
    let trace = collector.trace().await;
    check_left(&trace);
    assert!(trace.value("http.response.status_code").is_null());
}

#[tokio::test]
async fn a_client_that_resets_its_http2_stream_is_recorded() {
    let upstream = Upstream::script(|_, mut wire| async move {
        let head = wire.head().await;
        wire.body(&head).await;
        wire.send(FIRST_EVENTS).await;
        wire.rest().await;
    })
    .await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    let request = http::Request::get("http://a/stream").body(http2::full(""));
    let response = client.send(request.unwrap()).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(http2::piece(&mut body).await.unwrap().len(), 0x52);
    drop(body);
    check_left(&collector.trace().await);
}
