//! What a sink is sent, and when: credentials, packing, batches, and the pauses between attempts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use offpath_tests::{Authority, Collector, Gateway, Reaction, Setup, Upstream, Wire, eventually};
use serde_json::{Value, json};

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn to_sink(sink: Value) -> (Upstream, Gateway) {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::before(upstream.url())
        .set("export/sinks", json!({"sink": sink}))
        .set("export/batch/linger", "1ms")
        .start()
        .await;
    gateway.exchange(post("word")).await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_sink_is_shown_the_credentials_and_the_headers_that_are_configured() {
    let mlflow = |more: Value| (json!({"type": "mlflow"}), "tracking_uri", more);
    let otlp = |more: Value| (json!({"type": "otlp"}), "endpoint", more);
    let basic = json!({"username": "me", "password": "s3cret"});
    for ((mut sink, address, more), name, value) in [
        (
            mlflow(json!({"token": "t0ken"})),
            "authorization",
            "Bearer t0ken",
        ),
        // RFC 7617: the base64 of `me:s3cret`.
        (mlflow(basic), "authorization", "Basic bWU6czNjcmV0"),
        (
            mlflow(json!({"headers": {"x-team": "one"}})),
            "x-team",
            "one",
        ),
        (otlp(json!({"headers": {"x-key": "k"}})), "x-key", "k"),
    ] {
        let taken = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        let members = sink.as_object_mut().unwrap();
        members.insert(address.to_owned(), taken.url().into());
        members.extend(more.as_object().unwrap().clone());
        let (_upstream, gateway) = to_sink(sink).await;
        let head = taken.first().await.head;
        assert_eq!(head.field(name), Some(value), "{}", head.line);
        assert!(!gateway.log().contains(value), "{}", gateway.log());
    }
}

#[tokio::test]
async fn batches_are_packed_as_the_sinks_compression_says() {
    for (compression, coding) in [
        (None, Some("gzip")),
        (Some("gzip"), Some("gzip")),
        (Some("none"), None),
    ] {
        let taken = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let mut sink = json!({"type": "otlp", "endpoint": taken.url()});
        if let Some(compression) = compression {
            sink["compression"] = compression.into();
        }
        let (_upstream, _gateway) = to_sink(sink).await;
        let request = taken.first().await;
        assert_eq!(request.head.field("content-encoding"), coding);
        assert_eq!(
            request.head.field("content-type"),
            Some("application/x-protobuf")
        );
        let mut plain = Vec::new();
        match coding {
            None => plain.extend_from_slice(&request.body),
            Some(_) => {
                let mut unpacked = flate2::bufread::GzDecoder::new(&request.body[..]);
                unpacked.read_to_end(&mut plain).unwrap();
            }
        }
        assert!(memchr::memmem::find(&plain, b"offpath.route").is_some());
    }
}

#[tokio::test]
async fn a_sink_with_tls_is_trusted_by_the_authority_that_is_named_and_by_no_other() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (its, another) = (Authority::new(), Authority::new());
    for (authority, trusted) in [(Some(&its), true), (Some(&another), false), (None, false)] {
        for kind in ["otlp", "mlflow"] {
            let taken = Upstream::answering_tls(OK, &its).await;
            let address = if kind == "otlp" {
                "endpoint"
            } else {
                "tracking_uri"
            };
            let mut sink = json!({"type": kind, address: taken.tls_url()});
            if let Some(authority) = authority {
                sink["ca"] = authority.ca().to_str().into();
            }
            let (_upstream, gateway) = to_sink(sink).await;
            match trusted {
                true => drop(taken.first().await),
                false => {
                    eventually("the sink to fail", async || {
                        let status = gateway.status().await;
                        let failures = status.pointer("/export/destinations/0/failures");
                        failures?.as_u64().filter(|count| *count > 0)
                    })
                    .await;
                    assert!(taken.seen().is_empty());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_sink_that_does_not_answer_within_its_limit_is_asked_again() {
    for (kind, address) in [("otlp", "endpoint"), ("mlflow", "tracking_uri")] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let silent = Upstream::script(move |_, mut wire| {
            let count = Arc::clone(&count);
            async move {
                while wire.try_head().await.is_some() {
                    count.fetch_add(1, SeqCst);
                    wire.piece().await;
                }
            }
        })
        .await;
        let upstream = Upstream::echo().await;
        let sink = json!({"type": kind, address: silent.url(), "timeout": "100ms"});
        let gateway = Gateway::before(upstream.url())
            .set("export/sinks", json!({"sink": sink}))
            .set("export/retry", json!({"initial": "1ms", "max": "1ms"}))
            .start()
            .await;
        gateway.exchange(post("word")).await;
        eventually("the sink to be asked again", async || {
            (asked.load(SeqCst) >= 3).then_some(())
        })
        .await;
    }
}

/// A sink that refuses so often before it takes anything.
async fn refusing(times: usize) -> Collector {
    Collector::reacting(move |number, _| match number < times {
        true => Reaction::Refuse(503, ""),
        false => Reaction::Take,
    })
    .await
}

async fn retrying(collector: &Collector, retry: Value) -> (Upstream, Gateway) {
    let upstream = Upstream::echo().await;
    let setup: Setup = Gateway::before(upstream.url()).collect(collector);
    let gateway = setup.set("export/retry", retry).start().await;
    gateway.exchange(post("word")).await;
    (upstream, gateway)
}

#[tokio::test]
async fn pauses_between_attempts_begin_with_the_first_and_double() {
    // After ten refusals a second; from the usual half of one on it would be eight minutes.
    let collector = refusing(10).await;
    let retry = json!({"initial": "1ms", "max": "1h", "give_up_after": "2h"});
    let (_upstream, _gateway) = retrying(&collector, retry).await;
    collector.trace().await;
}

#[tokio::test]
async fn no_pause_between_attempts_is_longer_than_the_longest() {
    // A thousand doublings of a millisecond have no end.
    let collector = refusing(1_000).await;
    let retry = json!({"initial": "1ms", "max": "2ms", "give_up_after": "2h"});
    let (_upstream, _gateway) = retrying(&collector, retry).await;
    collector.trace().await;
}

#[tokio::test]
async fn a_trace_that_no_sink_accepts_within_the_limit_is_dropped_and_counted() {
    let collector = refusing(usize::MAX).await;
    let retry = json!({"initial": "1ms", "max": "5ms", "give_up_after": "100ms"});
    let (_upstream, gateway) = retrying(&collector, retry).await;
    let account = gateway
        .account(|account| account["dropped"]["gave_up"] == 1)
        .await;
    assert_eq!(
        (&account["kept"], &account["exported"]),
        (&1.into(), &0.into())
    );
}

/// How many traces each batch has of ten traces with bodies of ten thousand bytes.
async fn batches(key: &str, value: Value) -> Vec<usize> {
    let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let all = Arc::clone(&sizes);
    let collector = Collector::reacting(move |_, spans| {
        let is_root = |span: &&offpath_tests::Span| span.attributes.contains_key("offpath.route");
        all.lock()
            .unwrap()
            .push(spans.iter().filter(is_root).count());
        Reaction::Take
    })
    .await;
    let upstream = Upstream::echo().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let setup = setup.set("export/batch/linger", "1h");
    let gateway = setup
        .set(&format!("export/batch/{key}"), value)
        .start()
        .await;
    let mut client = Wire::connect(gateway.address()).await;
    for _ in 0..10 {
        client.exchange(post(&"x".repeat(10_000))).await;
    }
    gateway.account(|account| account["kept"] == 10).await;
    assert!(gateway.terminate().await.status.success());
    let sizes = sizes.lock().unwrap().clone();
    assert_eq!(sizes.iter().sum::<usize>(), 10, "{sizes:?}");
    sizes
}

#[tokio::test]
async fn a_batch_has_no_more_traces_and_bytes_than_it_may_and_waits_for_company() {
    // Each trace holds its two bodies.
    assert_eq!(batches("max_traces", 4.into()).await, [4, 4, 2]);
    assert_eq!(batches("max_bytes", "30KiB".into()).await, [1; 10]);
    assert_eq!(batches("max_bytes", "1MiB".into()).await, [10]);
}

#[tokio::test]
async fn a_trace_over_its_limit_keeps_a_preview_and_says_so() {
    let (collector, upstream) = (Collector::start().await, Upstream::echo().await);
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("export/batch/max_trace", "32KiB").start().await;
    gateway.exchange(post(&"word ".repeat(20_000))).await;
    let trace = collector.trace().await;
    let defects = trace.value("offpath.defects");
    assert!(
        defects
            .as_array()
            .unwrap()
            .contains(&"trace_too_large".into()),
        "{defects}"
    );
    assert_eq!(trace.value("offpath.request.bytes"), 100_000);
    let inputs = trace.text("mlflow.spanInputs");
    assert!(
        inputs.contains("word word") && inputs.len() < 32 << 10,
        "{}",
        inputs.len()
    );
}
