//! Each figure on `/metrics`, in headers and on traces is of the latency, the size or the status that
//! its name says: the test makes one of each, by cause, and no two alike.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use offpath_tests::{
    Collector, Gateway, Head, Metrics, Reaction, Upstream, Wire, eventually, pattern,
};
use serde_json::json;
use tokio::sync::Semaphore;

/// Before the response's head.
const BEFORE_HEAD: Duration = Duration::from_millis(150);
/// Between its head and the first byte of its body, from when the client has the head.
const BEFORE_BODY: Duration = Duration::from_millis(300);
/// Between its first byte and its last, from when the client has the first.
const BEFORE_END: Duration = Duration::from_millis(600);

const POST: &str = "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nword";

/// An upstream that takes these pauses, the later ones once it may begin them.
async fn paced() -> (Upstream, Arc<Semaphore>) {
    let go_on = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&go_on);
    let upstream = Upstream::script(move |_, mut wire| {
        let go_on = Arc::clone(&permits);
        async move {
            let head = wire.head().await;
            wire.body(&head).await;
            tokio::time::sleep(BEFORE_HEAD).await;
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n")
                .await;
            for (pause, piece) in [(BEFORE_BODY, "half"), (BEFORE_END, "more")] {
                go_on.acquire().await.unwrap().forget();
                tokio::time::sleep(pause).await;
                wire.send(piece).await;
            }
            wire.rest().await;
        }
    })
    .await;
    (upstream, go_on)
}

/// The metrics once so many requests are counted.
async fn counted(gateway: &Gateway, count: f64) -> Metrics {
    eventually("the requests to be counted", async || {
        let metrics = gateway.metrics().await;
        (metrics.sum("offpath_requests_total", &[]) == count).then_some(metrics)
    })
    .await
}

/// A figure of `server-timing`, in seconds.
fn timing(head: &Head, name: &str) -> f64 {
    let field = head.field("server-timing").unwrap();
    let mut figures = field
        .split(", ")
        .filter_map(|figure| figure.split_once(";dur="));
    let (_, millis) = figures.find(|figure| figure.0 == name).unwrap();
    millis.parse::<f64>().unwrap() / 1e3
}

#[tokio::test]
async fn each_latency_is_the_one_that_its_name_says() {
    let (upstream, go_on) = paced().await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    let begun = Instant::now();
    client.send(POST).await;
    let head = client.head().await;
    let until_head = begun.elapsed().as_secs_f64();
    go_on.add_permits(1);
    assert_eq!(client.exact(4).await, "half");
    let until_body = begun.elapsed().as_secs_f64();
    go_on.add_permits(1);
    assert_eq!(client.exact(4).await, "more");
    let metrics = counted(&gateway, 1.0).await;
    // The exchange ended before it was counted.
    let until_end = begun.elapsed().as_secs_f64();

    let [before_head, before_body, before_end] =
        [BEFORE_HEAD, BEFORE_BODY, BEFORE_END].map(|pause| pause.as_secs_f64());
    let sum = |name: &str, labels: &[&str]| metrics.sum(&format!("offpath_{name}_sum"), labels);
    let first_byte = sum("first_byte_seconds", &[]);
    let duration = sum("request_duration_seconds", &[]);
    let own = sum("overhead_seconds", &["phase=\"head\""]);
    let body = sum("overhead_seconds", &["phase=\"body\""]);
    let expected = before_head + before_body;
    assert!(
        first_byte >= expected && first_byte <= until_body,
        "{first_byte}"
    );
    let expected = expected + before_end;
    assert!(duration >= expected && duration <= until_end, "{duration}");
    assert!(duration - first_byte >= before_end);
    // What is offpath's own is none of the pauses, and two different things before and after.
    assert!(own > 0.0 && own <= until_head - before_head, "{own}");
    assert!(body > 0.0 && body <= until_end - expected, "{body}");
    for name in ["first_byte_seconds", "request_duration_seconds"] {
        assert_eq!(
            metrics.sum(&format!("offpath_{name}_count"), &["route=\"model\""]),
            1.0
        );
    }

    // Headers and trace have the same figures, cut to their units.
    let header: f64 = head
        .field("x-offpath-overhead-us")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(header, (own * 1e6).floor(), "{own}");
    assert!((timing(&head, "offpath") - own).abs() <= 2e-6);
    assert!((before_head..=until_head).contains(&timing(&head, "upstream")));
    assert!(timing(&head, "connect") > 0.0);
    let trace = collector.trace().await;
    let number = |key| trace.value(key).as_f64().unwrap();
    assert_eq!(number("offpath.overhead_us"), header);
    assert!((number("offpath.first_byte_ms") / 1e3 - first_byte).abs() <= 1e-3);
    let took = Duration::from_nanos(trace.root.nanos).as_secs_f64();
    assert!((took - duration).abs() <= 1e-3, "{took} and {duration}");
}

#[tokio::test]
async fn the_time_in_the_taps_of_a_long_body_is_on_the_trace() {
    let body = pattern(16 << 20);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let upstream = Upstream::answering([head.as_bytes(), &body].concat()).await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let (_, came) = gateway.exchange(POST).await;
    assert!(came == body);
    let trace = collector.trace().await;
    let micros = trace.value("offpath.overhead_body_us").as_f64().unwrap();
    let metrics = counted(&gateway, 1.0).await;
    let body = metrics.sum("offpath_overhead_seconds_sum", &["phase=\"body\""]);
    assert!(
        micros > 0.0 && (micros - body * 1e6).abs() <= 1.0,
        "{micros} and {body}"
    );
}

#[tokio::test]
async fn a_slow_sink_shows_in_the_time_of_exporting_and_nowhere_else() {
    const PAUSE: Duration = Duration::from_millis(300);
    let upstream = Upstream::echo().await;
    let collector = Collector::reacting(|_, _| Reaction::TakeSlowly(PAUSE)).await;
    let gateway = Gateway::before(upstream.url())
        .collect(&collector)
        .start()
        .await;
    gateway.exchange(POST).await;
    gateway.account(|account| account["exported"] == 1).await;
    let metrics = counted(&gateway, 1.0).await;
    let export = metrics.sum("offpath_export_seconds_sum", &["sink=\"collector\""]);
    let encode = metrics.sum("offpath_encode_seconds_sum", &[]);
    assert!(export >= PAUSE.as_secs_f64(), "{export}");
    assert_eq!(metrics.sum("offpath_encode_seconds_count", &[]), 1.0);
    assert!(encode > 0.0 && encode < export, "{encode} and {export}");
}

/// Status codes of each class, some that no table knows.
const STATUSES: [u16; 9] = [200, 201, 204, 299, 302, 404, 429, 503, 599];

#[tokio::test]
async fn each_status_code_is_counted_by_itself() {
    let upstream = Upstream::script(|_, mut wire| async move {
        while let Some(head) = wire.try_head().await {
            let status = head.line.split(['/', ' ']).nth(2).unwrap().to_owned();
            let length = if status == "204" {
                ""
            } else {
                "content-length: 0\r\n"
            };
            wire.send(format!("HTTP/1.1 {status} As Asked\r\n{length}\r\n"))
                .await;
        }
    })
    .await;
    let setup = Gateway::before(upstream.url()).set("routes/0/match", json!({"methods": ["GET"]}));
    let gateway = setup.start().await;
    let mut sent = 0;
    for (times, status) in (1..).zip(STATUSES) {
        for _ in 0..times {
            let mut client = Wire::connect(gateway.address()).await;
            client
                .send(format!("GET /{status} HTTP/1.1\r\nhost: a\r\n\r\n"))
                .await;
            assert_eq!(client.head().await.status(), status);
            sent += 1;
        }
    }
    let (head, _) = gateway.exchange(POST).await;
    assert_eq!(head.status(), 404);
    let metrics = counted(&gateway, f64::from(sent + 1)).await;
    for (times, status) in (1..).zip(STATUSES) {
        let labels = ["route=\"model\"", &format!("code=\"{status}\"")];
        let count = metrics.sum("offpath_requests_total", &labels);
        assert_eq!(count, f64::from(times), "{status}");
    }
    let unrouted = ["route=\"none\"", "code=\"404\""];
    assert_eq!(metrics.sum("offpath_requests_total", &unrouted), 1.0);
}

#[tokio::test]
async fn the_gateways_own_time_is_in_the_latency_budgets_figure() {
    let upstream = Upstream::echo().await;
    let budget = json!({"overhead_p99": "1h"});
    let setup = Gateway::before(upstream.url()).set("routes/0/latency_budget", budget);
    let gateway = setup.start().await;
    // The figure is of the last seconds, from twenty requests on.
    let figure = eventually("the budget's figure", async || {
        let mut client = Wire::connect(gateway.address()).await;
        for _ in 0..50 {
            client.exchange(POST).await;
        }
        let status = gateway.status().await;
        let figure = status.pointer("/latency/0/overhead_p99_us").unwrap();
        figure.as_f64().filter(|figure| *figure > 0.0)
    })
    .await;
    assert!(figure >= 1.0, "{figure}");
}
