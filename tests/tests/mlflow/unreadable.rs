//! The remedies of `docs/mlflow.md`, taken from the page and run against a server that holds traces
//! which it cannot return.

use std::path::Path;
use std::process::Command;

use offpath_tests::mlflow::{Own, Tracking};
use offpath_tests::{Gateway, Upstream};
use serde_json::json;

/// A sink that does not know that an MLflow server reads it leaves values as they are.
async fn poison(own: &Own, values: &[String]) {
    let upstream = Upstream::echo().await;
    let sink = json!({
        "type": "otlp",
        "endpoint": format!("{}/v1/traces", own.uri()),
        "compression": "none",
        "headers": {"x-mlflow-experiment-id": "0"},
    });
    let gateway = Gateway::before(upstream.url())
        .set("export/sinks", json!({"raw": sink}))
        .set("export/batch/linger", "10ms")
        .start()
        .await;
    for value in values {
        let body = format!(r#"{{"x":{value}}}"#);
        let head = "POST /ask HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
        let length = format!("content-length: {}\r\n\r\n", body.len());
        gateway.exchange(format!("{head}{length}{body}")).await;
    }
    let all = values.len();
    gateway.account(|account| account["exported"] == all).await;
}

/// Runs the page's code of this name; what it printed.
fn remedy(name: &str, own: &Own, folder: &Path, arguments: &[&str]) -> String {
    let page = include_str!("../../../docs/mlflow.md");
    let begin = format!("```python {name}\n");
    let code = page
        .split_once(&begin)
        .unwrap()
        .1
        .split_once("```")
        .unwrap()
        .0;
    let script = folder.join(name);
    std::fs::write(&script, code).unwrap();
    let python = Tracking::server().installation().python();
    let mut command = Command::new(python);
    command.arg(script).args(arguments);
    let output = command
        .env("MLFLOW_TRACKING_URI", own.uri())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_remedies_of_the_manual_find_delete_and_mend_what_mlflow_cannot_return() {
    let own = Own::start();
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(60), close.repeat(60));
    let values = [
        "1".to_owned(),
        "9223372036854775808".to_owned(),
        deep("[", "]"),
        "2".to_owned(),
        deep(r#"{"n":"#, "}"),
    ];
    poison(&own, &values).await;
    let folder = tempfile::tempdir().unwrap();
    let found = remedy("find", &own, folder.path(), &["Default"]);
    let ids: Vec<&str> = found.lines().collect();
    assert_eq!(ids.len(), 3, "{found}");

    let list = |name: &str, ids: &[&str]| {
        let file = folder.path().join(name);
        std::fs::write(&file, ids.join("\n")).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let doomed = list("doomed", &ids[..1]);
    let deleted = remedy("delete", &own, folder.path(), &["Default", &doomed]);
    assert_eq!(deleted.trim(), "1");
    let ill = list("ill", &ids[1..]);
    remedy("mend", &own, folder.path(), &[&own.store(), &ill]);

    assert_eq!(remedy("find", &own, folder.path(), &["Default"]), "");
    let traces = own.traces("Default");
    assert_eq!(traces.len(), 4);
    for trace in &traces {
        let span = &trace["spans"][0];
        assert_eq!(span["inputs"], span["outputs"]);
    }
    let shown: Vec<String> = traces
        .iter()
        .map(|trace| trace["spans"][0]["inputs"].to_string())
        .collect();
    assert!(shown.contains(&r#"{"x":1}"#.to_owned()), "{shown:?}");
}
