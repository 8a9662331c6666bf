//! What arrives in a real MLflow, read through MLflow's own Python client.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "mlflow/agent.rs"]
mod agent;
#[path = "mlflow/chat.rs"]
mod chat;
#[path = "mlflow/cookbook.rs"]
mod cookbook;
#[path = "mlflow/health.rs"]
mod health;
#[path = "mlflow/nested.rs"]
mod nested;
#[path = "mlflow/readback.rs"]
mod readback;
#[path = "mlflow/replay.rs"]
mod replay;
#[path = "mlflow/scoring.rs"]
mod scoring;
#[path = "mlflow/trouble.rs"]
mod trouble;
#[path = "mlflow/unreadable.rs"]
mod unreadable;

use std::process::Command;

use offpath_tests::mlflow::{Tracking, script};
use offpath_tests::{Gateway, Setup};
use serde_json::{Value, json};

/// A gateway that records into this experiment of the server.
fn recording(endpoint: impl AsRef<str>, experiment: &str) -> Setup {
    let sink = json!({"type": "mlflow", "tracking_uri": Tracking::server().uri()});
    Gateway::before(endpoint)
        .set("export/sinks", json!({"mlflow": sink}))
        .set("export/batch/linger", "10ms")
        .set("routes/0/trace/experiment", experiment)
}

/// Runs a script of `py/` in MLflow's environment; what it printed.
async fn python(name: &str, arguments: &[&str]) -> String {
    let python = Tracking::server().installation().python();
    let name = script(name);
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let run = move || {
        Command::new(python)
            .arg(name)
            .args(arguments)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The span without a parent, and its children.
#[track_caller]
fn tree(trace: &Value) -> (&Value, Vec<&Value>) {
    let spans = trace["spans"].as_array().unwrap();
    let root = spans.iter().find(|span| span["parent"].is_null()).unwrap();
    let children = spans
        .iter()
        .filter(|span| span["parent"] == root["id"])
        .collect();
    (root, children)
}
