//! Live alerts, from the first request that breaches a threshold to the page that shows it.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

#[cfg(target_os = "linux")]
use std::{sync::Arc, time::Duration};

use offpath_tests::{Gateway, Upstream, eventually};
#[cfg(target_os = "linux")]
use offpath_tests::{Wire, World, within};
use serde_json::{Value, json};
#[cfg(target_os = "linux")]
use tokio::sync::Semaphore;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn alerts(gateway: &Gateway, until: impl Fn(&Value) -> bool) -> Value {
    eventually("the alerts", async || {
        let alerts = gateway.status().await["alerts"].clone();
        until(&alerts).then_some(alerts)
    })
    .await
}

#[tokio::test]
async fn requests_that_fail_raise_an_alert_kept_or_not() {
    let upstream = Upstream::answering("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    let thresholds = json!({"min_requests": 5, "max_error_rate": 0.5, "max_p95": "1h"});
    let gateway = Gateway::before(upstream.url())
        .set("routes/0/sampling", json!({"ratio": 0}))
        .set("routes/0/alerts", thresholds)
        .start()
        .await;
    for _ in 0..4 {
        gateway.exchange(GET).await;
    }
    let few = alerts(&gateway, |alerts| alerts[0]["requests"] == 4).await;
    assert_eq!(
        (&few[0]["alert"], &few[0]["breached"]),
        (&"error_rate".into(), &false.into())
    );
    gateway.exchange(GET).await;
    let all = alerts(&gateway, |alerts| alerts[0]["requests"] == 5).await;
    assert_eq!(
        (&all[0]["breached"], &all[0]["share"]),
        (&true.into(), &1.0.into())
    );
    assert_eq!(
        (&all[1]["alert"], &all[1]["breached"]),
        (&"p95".into(), &false.into())
    );
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("offpath_alert", &["alert=\"error_rate\""]), 1.0);
    assert_eq!(metrics.sum("offpath_alert", &["alert=\"p95\""]), 0.0);
    assert!(gateway.log().contains("An alert begins."));
}

/// Answers at once, but for requests to `/held`.
#[cfg(target_os = "linux")]
struct Holding {
    upstream: Upstream,
    /// Has a permit for each request that is held.
    held: Arc<Semaphore>,
    /// Answers a held request for each permit.
    go_on: Arc<Semaphore>,
}

#[cfg(target_os = "linux")]
async fn holding() -> Holding {
    let (held, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let semaphores = (Arc::clone(&held), Arc::clone(&go_on));
    let upstream = Upstream::script(move |_, mut wire| {
        let (held, go_on) = semaphores.clone();
        async move {
            while let Some(head) = wire.try_head().await {
                if head.line.contains("/held") {
                    held.add_permits(1);
                    go_on.acquire().await.expect("never closed").forget();
                }
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
        }
    })
    .await;
    Holding {
        upstream,
        held,
        go_on,
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_percentile_is_breached_by_as_many_slow_requests_as_it_names_within_its_window() {
    let (world, model) = (World::build(), holding().await);
    let thresholds = json!({
        "window": "30m", "min_requests": 40, "max_p50": "5m", "max_p95": "5m", "max_p99": "5m",
    });
    let gateway = Gateway::before(model.upstream.url())
        .set("upstreams/model/timeouts/read", "1h")
        .set("routes/0/alerts", thresholds)
        .within(&world)
        .start()
        .await;
    let breached = async |requests: u64| {
        let all = alerts(&gateway, |alerts| alerts[0]["requests"] == requests).await;
        let alert = |alert: &Value| (alert["breached"] == true).then(|| alert["alert"].clone());
        let all = all.as_array().into_iter().flatten();
        all.filter_map(alert).collect::<Vec<_>>()
    };
    for _ in 0..38 {
        gateway.exchange(GET).await;
    }
    // One of forty takes six minutes, then three of forty-two, then more than half of them all.
    let mut requests = 38;
    for (slow, quick, expect) in [
        (1, 1, &["p99"][..]),
        (2, 0, &["p95", "p99"]),
        (40, 0, &["p50", "p95", "p99"]),
    ] {
        let mut clients = Vec::new();
        for _ in 0..slow {
            let mut client = Wire::connect(gateway.address()).await;
            client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await;
            clients.push(client);
        }
        let all = within("all to be held", model.held.acquire_many(slow)).await;
        all.expect("never closed").forget();
        world.pass(Duration::from_secs(6 * 60), &gateway);
        model.go_on.add_permits(clients.len());
        for client in &mut clients {
            assert_eq!(client.head().await.status(), 200);
        }
        for _ in 0..quick {
            gateway.exchange(GET).await;
        }
        requests += u64::from(slow + quick);
        assert_eq!(breached(requests).await, expect);
    }
    // What is older than the window counts no more.
    world.pass(Duration::from_secs(45 * 60), &gateway);
    assert_eq!(breached(0).await, Vec::<Value>::new());
}
