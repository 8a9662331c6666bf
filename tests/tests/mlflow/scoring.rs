//! DataFrames, through a real `mlflow models serve`.

use std::net::SocketAddr;
use std::path::Path;

use offpath::demo::mlflow::{Leash, wait_until_healthy};
use offpath_loadtest::bodies;
use offpath_tests::mlflow::Tracking;
use offpath_tests::{Gateway, Head, free_address};
use serde_json::{Value, json};

use crate::{python, recording, tree};

async fn score(gateway: &Gateway, body: &[u8]) -> (Head, Value) {
    let length = body.len();
    let head = format!(
        "POST /invocations HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let (head, answer) = gateway.exchange([head.as_bytes(), body].concat()).await;
    (head, serde_json::from_slice(&answer).unwrap())
}

/// A model server of MLflow's own over a small scikit-learn model. It stops with the leash.
async fn model_server(folder: &Path) -> (Leash, SocketAddr) {
    let model = folder.join("model").display().to_string();
    python("train.py", &[&model]).await;
    let address = free_address();
    let log = folder.join("log");
    let start = move || {
        let port = address.port().to_string();
        let mut serve = vec!["models", "serve", "--env-manager", "local", "-w", "1"];
        serve.extend(["-m", &model, "-h", "127.0.0.1", "-p", &port]);
        let installation = Tracking::server().installation();
        let mut leash = installation.start("mlflow", &serve, &log).unwrap();
        wait_until_healthy(&mut leash, address, "/ping", &log).unwrap();
        (leash, address)
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

#[tokio::test]
async fn frames_scored_by_mlflows_own_server_are_kept_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (_leash, address) = model_server(folder.path()).await;
    let endpoint = format!("http://{address}");
    let gateway = recording(endpoint, "frames").start().await;
    for (before, rows) in [100, 10_000].into_iter().enumerate() {
        let frame = bodies::dataframe_split(rows, 4, 7);
        let (head, answer) = score(&gateway, &frame).await;
        assert_eq!(head.status(), 200, "{answer}");
        assert_eq!(answer["predictions"].as_array().unwrap().len(), rows);
        let traces = Tracking::server().traces("frames", before + 1).await;
        let trace = &traces[before];
        assert_eq!(trace["state"], "OK");
        let (root, children) = tree(trace);
        assert!(root["inputs"] == serde_json::from_slice::<Value>(&frame).unwrap());
        assert_eq!(root["outputs"], answer);
        let told = |name: &str| &root["attributes"][format!("offpath.input.{name}")];
        assert_eq!(told("format"), "dataframe_split");
        assert_eq!(told("shape"), &json!([rows, 4]));
        assert_eq!(told("columns"), &json!(["c0", "c1", "c2", "c3"]));
        assert_eq!((children.len(), &children[0]["type"]), (1, &"TASK".into()));
    }
    let (head, _) = score(&gateway, br#"{"dataframe_split": {"columns": ["a"]}}"#).await;
    assert_eq!(head.status(), 400);
    let traces = Tracking::server().traces("frames", 3).await;
    assert_eq!(traces[2]["state"], "ERROR");
    let preview = traces[2]["response_preview"].as_str().unwrap();
    assert!(preview.contains("BAD_REQUEST"), "{preview}");
}
