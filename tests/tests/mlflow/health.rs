//! `offpath health` over what a real MLflow has: three verdicts, and figures that are true.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use offpath_loadtest::upstream::Server;
use offpath_tests::mlflow::Tracking;
use offpath_tests::{Gateway, offpath};
use serde_json::{Value, json};

use crate::recording;

const CHATS: usize = 60;

fn health(config: PathBuf, more: &[&str]) -> Output {
    let mut command = Command::new(offpath());
    command.arg("health").arg("--config").arg(config).args(more);
    command.output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, says: &str) {
    let all = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&all);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "no `{says}` in:\n{said}");
}

/// The same configuration with a route more, which nobody has called yet.
fn beside_a_fresh_route(config: &Path, folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(config).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let route = json!({
        "name": "fresh",
        "match": {"path": "/fresh"},
        "upstream": "model",
        "trace": {"experiment": "health of a fresh route"},
    });
    config["routes"].as_array_mut().unwrap().insert(0, route);
    let file = folder.join("offpath.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

/// A chat; every fifth fails, and belongs to another tenant.
async fn chat(gateway: &Gateway, n: usize) {
    let failing = n.is_multiple_of(5);
    let tenant = if failing { "unlucky" } else { "acme" };
    let status = if failing { "x-status: 503\r\n" } else { "" };
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         x-tenant: {tenant}\r\nx-delay-us: 3000\r\n{status}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (head, _) = gateway.exchange(request).await;
    assert_eq!(head.status(), if failing { 503 } else { 200 });
}

#[tokio::test]
async fn health_is_good_bad_or_not_to_be_told() {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let gateway = recording(model.url(""), "health")
        .set(
            "routes/0/trace/tags",
            json!({"tenant": {"header": "x-tenant"}}),
        )
        .start()
        .await;
    let config = gateway.config();
    check(
        &health(config.clone(), &[]),
        2,
        "there is no experiment `health`",
    );
    for n in 0..CHATS {
        chat(&gateway, n).await;
    }
    Tracking::server().traces("health", CHATS).await;

    let fine = ["--max-error-rate", "0.2", "--max-p99", "1m"];
    check(&health(config.clone(), &fine), 0, "healthy");
    let strict = ["--max-error-rate", "0.19"];
    check(&health(config.clone(), &strict), 1, "error_rate");
    let quick = ["--max-p50", "1ms"];
    check(&health(config.clone(), &quick), 1, "p50");
    let nobody = ["--filter", "tag.tenant = 'nobody'"];
    check(&health(config.clone(), &nobody), 2, "cannot tell");
    check(&health(config.clone(), &["--by", "color"]), 2, "tag:KEY");

    let folder = tempfile::tempdir().unwrap();
    let fresh = beside_a_fresh_route(&config, folder.path());
    let no_traffic = "fresh: no traffic yet, there is no experiment `health of a fresh route`";
    check(&health(fresh.clone(), &fine), 0, no_traffic);
    check(&health(fresh.clone(), &strict), 1, no_traffic);
    let misspelt = ["--experiment", "health", "--experiment", "helth"];
    check(
        &health(fresh, &misspelt),
        2,
        "there is no experiment `helth`",
    );

    let output = health(config, &["--by", "tag:tenant", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [acme, unlucky] = report["groups"].as_array().unwrap().as_slice() else {
        panic!("{report:#}");
    };
    assert_eq!(
        (&acme["name"], &acme["traces"]),
        (&"acme".into(), &48.into())
    );
    assert_eq!(
        (&acme["error_rate"], &unlucky["error_rate"]),
        (&0.0.into(), &1.0.into())
    );
    assert_eq!(acme["unweighted"], 0);
    assert!(acme["total_tokens"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_server_that_is_away_leaves_health_untold() {
    let gateway = recording("http://127.0.0.1:9", "away")
        .set("export/sinks/mlflow/tracking_uri", "http://127.0.0.1:9")
        .start()
        .await;
    check(
        &health(gateway.config(), &["--experiment", "0"]),
        2,
        "did not answer",
    );
}
