//! MLflow's production cookbook, whole, of an application that does not know MLflow.

use std::collections::BTreeMap;
use std::process::Command;

use offpath_loadtest::upstream::Server;
use offpath_tests::mlflow::Tracking;
use offpath_tests::{Gateway, offpath};
use serde_json::{Value, json};

use crate::{python, recording};

const REQUESTS: usize = 1_500;

/// How long a core may be busy with others, with every second request and with one in a hundred.
/// This is a limit by the wall clock: when an exchange ended is the proxy's own word, and no event
/// outside bounds it from above. Wide enough for a machine that also compiles; a wrong unit or a
/// connection's idle time would be further off.
const BUSY_MS: [f64; 2] = [100.0, 1_000.0];

/// What MLflow's client finds for each filter.
async fn search(filters: &[&str]) -> Vec<Vec<Value>> {
    let question = json!({
        "uri": Tracking::server().uri(), "experiment": "cookbook", "filters": filters,
    });
    let answer = python("search.py", &[&question.to_string()]).await;
    serde_json::from_str(&answer).unwrap()
}

/// Two tasks on one path, told apart by a header.
async fn gateway(model: &Server) -> Gateway {
    let trace = |name: &str| {
        json!({
            "experiment": "cookbook",
            "name": name,
            "user": [{"header": "x-user-id"}],
            "session": [{"header": "x-session-id"}],
            "tags": {"environment": {"header": "x-environment"}, "model": {"body": "/model"}},
        })
    };
    let route = |name: &str, headers: Value| {
        json!({
            "name": name,
            "match": {"path": "/v1/chat/completions", "headers": headers},
            "upstream": "model",
            "trace": trace(name),
        })
    };
    let billing = route("billing", json!({"x-task": "billing"}));
    recording(model.url(""), "cookbook")
        .set("routes", json!([billing, route("faq", json!({}))]))
        .start()
        .await
}

fn ids<'a>(traces: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let mut ids: Vec<_> = traces
        .into_iter()
        .map(|trace| trace["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn the_cookbook_holds_for_an_application_without_mlflow() {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let gateway = gateway(&model).await;
    let count = REQUESTS.to_string();
    let said = python("cookbook.py", &[&(gateway.url() + "/v1"), &count]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    let requests = said["requests"].as_array().unwrap();
    assert_eq!(requests.len(), REQUESTS);
    gateway_is_done(&gateway).await;

    let since = format!("trace.timestamp_ms > {}", said["between_ms"]);
    let slow_errors = "tag.environment = 'production' AND trace.status = 'ERROR' AND trace.execution_time_ms > 5000";
    type Wanted = fn(&Value) -> bool;
    let rows: [(&str, Wanted); 10] = [
        ("", |_| true),
        ("tag.environment = 'production'", |r| {
            r["environment"] == "production"
        }),
        ("trace.status = 'ERROR'", |r| r["failed"] == true),
        (&since, |r| r["part"] == 1),
        ("metadata.`mlflow.trace.user` = 'user-0001'", |r| {
            r["user"] == "user-0001"
        }),
        (slow_errors, |r| {
            r["environment"] == "production" && r["failed"] == true && r["delay_ms"] == 5200
        }),
        ("metadata.`mlflow.trace.session` = 's-0007'", |r| {
            r["session"] == "s-0007"
        }),
        ("tag.`offpath.route` = 'billing'", |r| {
            r["task"] == "billing"
        }),
        ("trace.name = 'faq'", |r| r["task"] == "faq"),
        ("tag.model = 'gpt-4o-mini'", |_| true),
    ];
    let filters: Vec<_> = rows.iter().map(|(filter, _)| *filter).collect();
    let found = search(&filters).await;
    for ((filter, wanted), found) in rows.iter().zip(&found) {
        let expect = ids(requests.iter().filter(|request| wanted(request)));
        assert!(!expect.is_empty(), "{filter} is no test of anything");
        assert_eq!(ids(found), expect, "{filter}");
    }
    check_figures(requests, &found[0]);
    check_health(&gateway, requests);
}

/// Waits until the sink has all, and has lost none.
async fn gateway_is_done(gateway: &Gateway) {
    offpath_tests::eventually("all traces at MLflow", async || {
        let status = gateway.status().await;
        let routes = status["export"]["routes"].as_array().unwrap();
        let sinks = routes.iter().map(|route| &route["sinks"][0]);
        let exported: u64 = sinks.map(|sink| sink["exported"].as_u64().unwrap()).sum();
        (exported == REQUESTS as u64).then_some(())
    })
    .await;
}

/// Of requests or traces: how many, failed, tokens, and times in ascending order.
#[derive(Debug, Default)]
struct Sums {
    count: u64,
    failed: u64,
    tokens: [u64; 3],
    times: Vec<f64>,
}

impl Sums {
    fn add(&mut self, failed: bool, usage: &Value, took: f64) {
        self.count += 1;
        self.failed += u64::from(failed);
        let kinds = ["input_tokens", "output_tokens", "total_tokens"];
        for (sum, kind) in self.tokens.iter_mut().zip(kinds) {
            *sum += usage[kind].as_u64().unwrap_or(0);
        }
        let at = self.times.partition_point(|time| *time < took);
        self.times.insert(at, took);
    }

    fn mean(&self) -> f64 {
        self.times.iter().sum::<f64>() / self.times.len() as f64
    }

    fn percentile(&self, share: f64) -> f64 {
        self.times[(share * self.times.len() as f64).ceil() as usize - 1]
    }
}

/// By user, and of all under an empty name.
fn sums<'a>(
    all: &'a [Value],
    of: impl Fn(&'a Value) -> (&'a str, bool, &'a Value, f64),
) -> BTreeMap<&'a str, Sums> {
    let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
    for one in all {
        let (user, failed, usage, took) = of(one);
        for name in ["", user] {
            sums.entry(name).or_default().add(failed, usage, took);
        }
    }
    sums
}

/// Error rates and tokens are the client's own. Times lie between what the model was asked to take,
/// and what the client saw: MLflow keeps whole milliseconds, and the proxy's end may be on a busy
/// core's waiting list when the client has its last byte.
#[track_caller]
fn check_figures(requests: &[Value], traces: &[Value]) {
    let client = |time: &'static str| {
        sums(requests, move |r| {
            (
                r["user"].as_str().unwrap(),
                r["failed"] == true,
                r,
                r[time].as_f64().unwrap(),
            )
        })
    };
    let (asked, seen) = (client("delay_ms"), client("took_ms"));
    let stored = sums(traces, |trace| {
        let user = trace["metadata"]["mlflow.trace.user"].as_str().unwrap();
        let took = trace["execution_time_ms"].as_f64().unwrap();
        (user, trace["state"] == "ERROR", &trace["token_usage"], took)
    });
    assert_eq!(stored.len(), 26);
    for (user, stored) in &stored {
        let (asked, seen) = (&asked[user], &seen[user]);
        assert_eq!(
            (stored.count, stored.failed, stored.tokens),
            (seen.count, seen.failed, seen.tokens),
            "{user}"
        );
        let between = |busy: f64, stored: f64, asked: f64, seen: f64| {
            assert!(
                asked - 1.0 <= stored && stored <= seen + busy,
                "{user}: {asked} {stored} {seen}"
            );
        };
        let [usually, at_worst] = BUSY_MS;
        between(usually, stored.mean(), asked.mean(), seen.mean());
        for (share, busy) in [(0.5, usually), (0.95, at_worst), (0.99, at_worst)] {
            let of = |sums: &Sums| sums.percentile(share);
            between(busy, of(stored), of(asked), of(seen));
        }
    }
}

/// `offpath health` comes to the same, user by user.
#[track_caller]
fn check_health(gateway: &Gateway, requests: &[Value]) {
    let mut health = Command::new(offpath());
    health.arg("health").arg("--config").arg(gateway.config());
    let output = health.args(["--by", "user", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let seen = sums(requests, |r| {
        (r["user"].as_str().unwrap(), r["failed"] == true, r, 0.0)
    });
    let groups = report["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 25);
    for group in groups {
        let seen = &seen[group["name"].as_str().unwrap()];
        let rate = seen.failed as f64 / seen.count as f64;
        assert!((group["error_rate"].as_f64().unwrap() - rate).abs() < 1e-9);
        assert_eq!(group["traces"], seen.count);
        assert_eq!(group["total_tokens"], seen.tokens[2] as f64);
    }
}
