//! Which endpoint a request goes to, and how often.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use offpath_tests::{Authority, Collector, Gateway, Upstream, Wire, eventually};
use serde_json::{Value, json};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn requests_go_to_the_endpoints_in_turn() {
    let mut upstreams = Vec::new();
    for _ in 0..3 {
        upstreams.push(Upstream::echo().await);
    }
    let urls: Vec<_> = upstreams.iter().map(Upstream::url).collect();
    let setup = Gateway::before("").set("upstreams/model/endpoints", json!(urls));
    let gateway = setup.start().await;
    for round in 1..=4 {
        for _ in 0..3 {
            assert_eq!(gateway.exchange(GET).await.0.status(), 200);
        }
        let counts: Vec<_> = upstreams.iter().map(|up| up.seen().len()).collect();
        assert_eq!(counts, [round; 3]);
    }
}

/// An endpoint with TLS that closes each connection before a handshake, and counts them.
async fn refusing() -> (Upstream, Arc<AtomicUsize>) {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let upstream = Upstream::script(move |_, _| {
        count.fetch_add(1, SeqCst);
        std::future::ready(())
    })
    .await;
    (upstream, tries)
}

#[tokio::test]
async fn an_endpoint_that_refused_is_left_alone_for_a_while() {
    let authority = Authority::new();
    let good = Upstream::answering_tls("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &authority);
    let (good, (bad, tries)) = (good.await, refusing().await);
    let setup = Gateway::before("")
        .set(
            "upstreams/model/endpoints",
            json!([bad.tls_url(), good.tls_url()]),
        )
        .set("upstreams/model/tls/ca", authority.ca().to_str());
    let gateway = setup.start().await;
    let begun = Instant::now();
    for _ in 0..40 {
        assert_eq!(gateway.exchange(GET).await.0.status(), 200);
    }
    // Once, and again each time that a while of five seconds is over.
    let whiles = begun.elapsed().as_secs() / 5;
    let tries = tries.load(SeqCst) as u64;
    assert!((1..=1 + whiles).contains(&tries), "{tries} tries");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_endpoint_that_refused_is_tried_again_after_a_while() {
    let world = offpath_tests::World::build();
    let (good, (bad, tries)) = (Upstream::echo().await, refusing().await);
    let endpoints = json!([bad.tls_url(), good.url()]);
    let gateway = Gateway::before("")
        .set("upstreams/model/endpoints", endpoints)
        .within(&world)
        .start()
        .await;
    let before = async || {
        gateway.exchange(GET).await;
        gateway.exchange(GET).await;
        tries.load(SeqCst)
    };
    let first = before().await;
    assert!(first > 0);
    world.pass(Duration::from_secs(6), &gateway);
    assert!(before().await > first);
}

/// Reads whole requests, counts them by their bodies, and does with each what `answer` says of the
/// connection and its request: `None` closes without a word.
async fn counting(
    answer: impl Fn(usize, usize) -> Option<&'static str> + Copy + Send + Sync + 'static,
) -> (Upstream, Arc<Mutex<BTreeMap<String, usize>>>) {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let all = Arc::clone(&counts);
    let upstream = Upstream::script(move |connection, mut wire| {
        let all = Arc::clone(&all);
        async move {
            let mut number = 0;
            while let Some(head) = wire.try_head().await {
                let body = String::from_utf8_lossy(&wire.body(&head).await).into_owned();
                *all.lock().unwrap().entry(body).or_insert(0) += 1;
                let Some(response) = answer(connection, number) else {
                    return;
                };
                wire.send(response).await;
                number += 1;
            }
        }
    })
    .await;
    (upstream, counts)
}

const NOTHING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn request(method: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} /v1 HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_whose_fresh_connection_dies_unanswered_is_sent_once() {
    let (upstream, counts) = counting(|_, _| None).await;
    let gateway = Gateway::before(upstream.url()).start().await;
    for method in ["POST", "PUT", "GET"] {
        let (head, _) = gateway.exchange(request(method, method)).await;
        assert_eq!(head.status(), 502, "{method}");
    }
    let once = ["GET", "POST", "PUT"].map(|method| (method.to_owned(), 1));
    assert_eq!(*counts.lock().unwrap(), BTreeMap::from(once));
}

#[tokio::test]
async fn a_request_whose_answer_has_begun_is_sent_once() {
    const TORN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let upstream = Upstream::script(|connection, mut wire| async move {
        for answer in [NOTHING, TORN] {
            let head = wire.head().await;
            wire.body(&head).await;
            assert_eq!(connection, 0);
            wire.send(answer).await;
        }
    })
    .await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let mut client = Wire::connect(gateway.address()).await;
    assert_eq!(client.exchange(request("POST", "a")).await.0.status(), 200);
    client.send(request("POST", "b")).await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.rest().await, "half");
    let ends = collector.wait_for(2).await;
    let mut ends: Vec<_> = ends.iter().map(|t| t.text("offpath.end_reason")).collect();
    ends.sort();
    assert_eq!(ends, ["complete", "upstream_cut"]);
}

#[tokio::test]
async fn a_request_on_a_stale_connection_is_sent_twice_and_no_more() {
    // The first connection answers once; all that come later die.
    let (upstream, counts) =
        counting(|at, number| (at == 0 && number == 0).then_some(NOTHING)).await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let (head, _) = client.exchange(request("POST", "first")).await;
    assert_eq!(head.status(), 200);
    let (head, _) = client.exchange(request("POST", "again")).await;
    assert_eq!(head.status(), 502);
    let expect = [("first".to_owned(), 1), ("again".to_owned(), 2)];
    assert_eq!(*counts.lock().unwrap(), BTreeMap::from(expect));
    let trace = eventually("the failed request's trace", async || {
        let mut traces = collector.traces().into_iter();
        traces.find(|trace| trace.value("http.response.status_code") == 502)
    })
    .await;
    let call = trace.call.unwrap();
    assert_eq!(
        call.attributes.get("http.request.resend_count"),
        Some(&1.into())
    );
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_held_is_not_sent_again() {
    let (upstream, counts) =
        counting(|at, number| (at == 0 && number == 0).then_some(NOTHING)).await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let (head, _) = client.exchange(request("POST", "first")).await;
    assert_eq!(head.status(), 200);
    let long = "x".repeat(1 << 20);
    let (head, _) = client.exchange(request("POST", &long)).await;
    assert_eq!(head.status(), 502);
    assert_eq!(counts.lock().unwrap().get(&long), Some(&1));
}

#[cfg(target_os = "linux")]
mod names {
    use offpath_tests::World;

    use super::*;

    /// How long a name's addresses are believed, and a second.
    const A_LOOK_UP: Duration = Duration::from_secs(11);

    async fn ask(gateway: &Gateway) -> (u16, Value) {
        let (head, body) = gateway.exchange(GET).await;
        (
            head.status(),
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    #[tokio::test]
    async fn a_name_that_is_not_known_yet_is_503_until_it_is() {
        let world = World::build();
        let upstream = Upstream::echo().await;
        let collector = Collector::start().await;
        let endpoint = format!("http://model.test:{}", upstream.address().port());
        let setup = Gateway::before(endpoint).collect(&collector).within(&world);
        let gateway = setup.start().await;
        let (status, body) = ask(&gateway).await;
        let kind = body.pointer("/error/type").cloned();
        assert_eq!((status, kind), (503, Some("no_healthy_endpoint".into())));
        let trace = collector.trace().await;
        assert_eq!(trace.text("offpath.end_reason"), "upstream_error");
        assert!(trace.root.error.is_some());
        world.name(&[("model.test", "127.0.0.1")]);
        world.pass(A_LOOK_UP, &gateway);
        eventually("the name to be found", async || {
            (ask(&gateway).await.0 == 200).then_some(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_name_that_moves_is_followed_and_one_that_is_lost_is_not_forgotten() {
        let world = World::build();
        let old = Upstream::answering("HTTP/1.1 201 Old\r\ncontent-length: 0\r\n\r\n").await;
        let port = old.address().port();
        // The same port at another of this machine's own addresses (RFC 1122, section 3.2.1.3).
        let new = Upstream::script_at(([127, 0, 0, 2], port).into(), |_, mut wire| async move {
            while wire.try_head().await.is_some() {
                wire.send("HTTP/1.1 202 New\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
        });
        let _new = new.await;
        world.name(&[("model.test", "127.0.0.1")]);
        let setup = Gateway::before(format!("http://model.test:{port}")).within(&world);
        let gateway = setup.start().await;
        assert_eq!(ask(&gateway).await.0, 201);
        world.name(&[("model.test", "127.0.0.2")]);
        world.pass(A_LOOK_UP, &gateway);
        eventually("requests to go to the new address", async || {
            (ask(&gateway).await.0 == 202).then_some(())
        })
        .await;
        // A name server's bad moment is no outage.
        world.name(&[]);
        for _ in 0..3 {
            world.pass(A_LOOK_UP, &gateway);
            assert_eq!(ask(&gateway).await.0, 202);
        }
        // All addresses of a name take their turn.
        world.name(&[("model.test", "127.0.0.1"), ("model.test", "127.0.0.2")]);
        world.pass(A_LOOK_UP, &gateway);
        eventually("requests to go to both addresses", async || {
            let mut statuses = Vec::new();
            for _ in 0..4 {
                statuses.push(ask(&gateway).await.0);
            }
            let in_turn = statuses.windows(3).all(|three| three[0] == three[2]);
            (in_turn && statuses[0] != statuses[1]).then_some(())
        })
        .await;
    }
}
