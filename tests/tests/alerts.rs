//! Live alerts, from the first request that breaches a threshold to the page that shows it.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use offpath_tests::{Gateway, Upstream, eventually};
use serde_json::{Value, json};

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
