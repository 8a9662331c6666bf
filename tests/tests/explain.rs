//! What `explain` says of a request is what becomes of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::process::{Command, Output};

use offpath_tests::{Collector, Gateway, Trace, Upstream, eventually, offpath};
use serde_json::{Value, json};

const REQUESTS: u64 = 120;

/// Routes that differ in every way that a head can.
fn routes() -> Value {
    let source = |kind: &str, name: &str| json!({kind: name});
    json!([
        {
            "name": "billing", "upstream": "model",
            "match": {"path": "/v1/chat", "headers": {"x-task": "billing"}},
            "trace": {
                "user": [source("header", "x-user"), source("query", "user"), "nobody"],
                "session": [source("body", "/session")],
                "tags": {"tenant": {"path": 2}, "model": source("body", "/model")},
            },
        },
        {
            "name": "faq", "upstream": "model", "match": {"path": "/v1/chat"},
            "sampling": {"ratio": 0.5, "by": "session", "parent": "cap"},
            "trace": {"session": [source("query", "session"), source("header", "x-session")]},
        },
        {
            "name": "users", "upstream": "model", "match": {"path_glob": "/users/*/ask"},
            "sampling": {"ratio": 0.5, "by": "user", "parent": "follow"},
            "trace": {"user": [{"path": 2}]},
        },
        {
            "name": "rules", "upstream": "model", "match": {"host": "rules.internal"},
            "sampling": {"ratio": 0, "keep": {"larger_than": "1GB"}},
        },
        {"name": "off", "upstream": "model", "match": {"methods": ["PUT"]}, "capture": {"level": "off"}},
        {
            "name": "traces", "upstream": "model", "match": {"path_prefix": "/v1/"},
            "sampling": {"ratio": 0.5},
        },
    ])
}

/// A request that is made of the bits of a number.
struct Asked {
    method: &'static str,
    target: String,
    fields: Vec<String>,
    body: String,
}

impl Asked {
    fn of(seed: u64) -> Self {
        let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed << 7;
        let mut next = |choices: u64| {
            bits = bits.rotate_left(23).wrapping_mul(0xd134_2543_de82_ef95) + 1;
            (bits >> 33) % choices
        };
        let who = next(12);
        let target = match next(8) {
            0..=2 => format!("/v1/chat?a=1&user=q%2F{who}&session=s{who}"),
            3 => "/v1/chat".to_owned(),
            4 => format!("/users/u%20{who}/ask"),
            5 => format!("/v1/models/{who}"),
            6 => format!("/other/{who}"),
            _ => "/".to_owned(),
        };
        let mut fields = Vec::new();
        let host = if next(4) == 0 {
            "rules.internal:80"
        } else {
            "a"
        };
        fields.push(format!("host: {host}"));
        if next(3) > 0 {
            fields.push("x-task: billing".to_owned());
        }
        if next(2) == 0 {
            fields.push(format!("x-user: user-{who}"));
        }
        if next(2) == 0 {
            fields.push(format!("x-session: session-{who}"));
        }
        if next(2) == 0 {
            let (trace, flags) = (next(u64::MAX >> 33) + 1, next(2));
            fields.push(format!(
                "traceparent: 00-{trace:032x}-00000000000000ff-0{flags}"
            ));
        }
        let method = if next(8) == 0 { "PUT" } else { "POST" };
        let body = json!({"session": format!("b-{who}"), "model": who}).to_string();
        Self {
            method,
            target,
            fields,
            body,
        }
    }

    fn request(&self) -> String {
        let Self {
            method,
            target,
            body,
            ..
        } = self;
        let fields = self.fields.join("\r\n");
        let length = body.len();
        format!("{method} {target} HTTP/1.1\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{body}")
    }
}

fn explain(config: &Path, asked: &Asked, more: &[&str]) -> Output {
    let body = config.with_file_name("body");
    std::fs::write(&body, &asked.body).unwrap();
    let mut command = Command::new(offpath());
    command.arg("explain").arg("--config").arg(config);
    command.args([asked.method, asked.target.as_str(), "--body"]);
    command.arg(&body).args(more);
    for field in &asked.fields {
        command.args(["-H", field]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output
}

fn explained(config: &Path, asked: &Asked) -> Value {
    let output = explain(config, asked, &["--json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `/status`'s count of what a route kept.
async fn kept(gateway: &Gateway) -> u64 {
    let status = gateway.status().await;
    let routes = status["export"]["routes"].as_array().unwrap();
    routes
        .iter()
        .map(|route| route["kept"].as_u64().unwrap())
        .sum()
}

#[tokio::test]
async fn explain_agrees_with_what_happens() {
    let (collector, upstream) = (Collector::start().await, Upstream::echo().await);
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("routes", routes()).start().await;
    let (mut seen, mut expected) = (Vec::new(), 0);
    for seed in 0..REQUESTS {
        let asked = Asked::of(seed);
        let said = explained(&gateway.config(), &asked);
        let request = asked.request();
        let (head, _) = gateway.exchange(&request).await;
        let route = &said["route"];
        let traced = &route["tracing"];
        assert_eq!(head.status() == 404, route.is_null(), "{request}\n{said:#}");
        let (decision, id) = (
            &traced["sampling"]["decision"],
            head.field("x-offpath-trace-id"),
        );
        let rules = traced["sampling"]["rules"].as_array();
        let may = decision == "kept" || rules.is_some_and(|rules| !rules.is_empty());
        let is_kept = match decision.as_str() {
            Some("by_chance") => id.is_some(),
            _ => {
                assert_eq!(id.is_some(), may, "{request}\n{said:#}");
                decision == "kept"
            }
        };
        if is_kept {
            expected += 1;
            let trace = trace(&collector, id.unwrap()).await;
            check(&trace, route, &request);
        }
        let decision = decision.as_str().unwrap_or("untraced").to_owned();
        seen.push(format!(
            "{} {decision}",
            route["name"].as_str().unwrap_or("none")
        ));
    }
    assert_eq!(kept(&gateway).await, expected);
    seen.sort();
    seen.dedup();
    let all = [
        "billing kept",
        "faq kept",
        "faq passed_over",
        "none untraced",
        "off untraced",
        "rules passed_over",
        "traces by_chance",
        "users kept",
        "users passed_over",
    ];
    for one in all {
        assert!(seen.iter().any(|seen| seen == one), "no {one} in {seen:?}");
    }
}

async fn trace(collector: &Collector, id: &str) -> Trace {
    eventually("the trace", async || {
        let mut traces = collector.traces().into_iter();
        traces.find(|trace| format!("tr-{}", trace.root.trace_id) == id)
    })
    .await
}

#[track_caller]
fn check(trace: &Trace, route: &Value, request: &str) {
    let (sampling, identity) = (&route["tracing"]["sampling"], &route["tracing"]["identity"]);
    assert_eq!(trace.value("offpath.route"), route["name"], "{request}");
    assert_eq!(trace.value("user.id"), identity["user"], "{request}");
    assert_eq!(trace.value("session.id"), identity["session"], "{request}");
    for (key, value) in identity["tags"].as_object().unwrap() {
        let tag = format!("mlflow.traceTag.{key}");
        assert_eq!(trace.value(&tag), *value, "{request}");
    }
    let weight = trace.value("offpath.weight").as_f64();
    assert_eq!(weight, sampling["weight"].as_f64(), "{request}");
    if sampling["decision"] == "kept" {
        assert_eq!(trace.value("offpath.kept_because"), sampling["because"]);
    }
}

#[tokio::test]
async fn the_page_for_people_says_the_same() {
    let (collector, upstream) = (Collector::start().await, Upstream::echo().await);
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup.set("routes", routes()).start().await;
    let mut asked = Asked::of(0);
    asked.method = "POST";
    asked.target = "/v1/chat?user=u-7".to_owned();
    asked.fields = vec!["x-task: billing".to_owned()];
    let output = explain(&gateway.config(), &asked, &[]);
    let page = String::from_utf8(output.stdout).unwrap();
    for line in [
        "route       billing",
        "user        u-7",
        "session     b-",
        "tag         tenant = chat",
        "sinks       collector",
    ] {
        assert!(page.contains(line), "no `{line}` in:\n{page}");
    }
    assert!(
        page.contains("and 1 of all are") || page.contains("probability 1"),
        "{page}"
    );
}
