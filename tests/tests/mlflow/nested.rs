//! Traces of several makers that belong together: a model that traces itself, an agent that calls
//! several times, an application that has an opinion.

use std::path::PathBuf;

use offpath::demo::mlflow::{Leash, wait_until_healthy};
use offpath_loadtest::upstream::Server;
use offpath_tests::mlflow::{Tracking, script};
use offpath_tests::{eventually, free_address};
use serde_json::{Value, json};

use crate::{python, recording, tree};

const POST: &str = "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";

/// A model server that traces itself into this experiment. It stops with the leash.
async fn traced_model(
    experiment: &'static str,
    asynchronous: bool,
    log: PathBuf,
) -> (Leash, String) {
    let address = free_address();
    let start = move || {
        let server = Tracking::server();
        let port = address.port().to_string();
        let script = script("traced_model.py").display().to_string();
        let asynchronous = asynchronous.to_string();
        let command = [&*script, &*port, experiment, server.uri(), &*asynchronous];
        let mut leash = server
            .installation()
            .start("python", &command, &log)
            .unwrap();
        wait_until_healthy(&mut leash, address, "/", &log).unwrap();
        leash
    };
    let leash = tokio::task::spawn_blocking(start).await.unwrap();
    (leash, format!("http://{address}"))
}

/// The model's span hangs under the call, in whatever order the two exporters write.
async fn check_nested(experiment: &'static str, asynchronous: bool) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (_model, url) = traced_model(experiment, asynchronous, log).await;
    let gateway = recording(url, experiment)
        .set("routes/0/trace/user", json!(["user-1"]))
        .start()
        .await;
    let (head, body) = gateway.exchange(POST).await;
    assert_eq!((head.status(), &body[..]), (200, &b"predict"[..]));
    let trace = eventually("the model's span", async || {
        let traces = Tracking::server().traces(experiment, 1).await;
        let whole = traces[0]["spans"].as_array().unwrap().len() == 3;
        (whole && traces[0]["state"] == "OK").then(|| traces[0].clone())
    })
    .await;
    assert_eq!(trace["id"], head.field("x-offpath-trace-id").unwrap());
    let (_, children) = tree(&trace);
    let [call] = children[..] else {
        panic!("one call: {children:#?}")
    };
    let spans = trace["spans"].as_array().unwrap();
    let predict = spans.iter().find(|span| span["name"] == "predict").unwrap();
    assert_eq!(predict["parent"], call["id"]);
    assert_eq!(predict["inputs"], json!({"asked": 1}));
    assert_eq!(trace["tags"]["mlflow.traceName"], "model");
    assert_eq!(trace["tags"]["offpath.route"], "model");
    assert_eq!(trace["metadata"]["mlflow.trace.user"], "user-1");
    assert_eq!(trace["request_preview"], "{}");
}

#[tokio::test]
async fn a_model_that_traces_itself_nests_under_its_call() {
    check_nested("nested", false).await;
}

#[tokio::test]
async fn so_it_does_where_its_client_exports_in_the_background() {
    check_nested("nested in the background", true).await;
}

/// Five calls of an agent that has a trace of its own.
async fn agent(context: &str, experiment: &str) -> Vec<Value> {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let gateway = recording(model.url(""), experiment)
        .set("routes/0/trace/context", context)
        .start()
        .await;
    for call in 1..=5 {
        let request = format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
             content-length: 7\r\n\r\n{{\"n\":{call}}}"
        );
        gateway.exchange(request).await;
    }
    assert!(gateway.terminate().await.status.success());
    Tracking::server()
        .traces(experiment, if context == "join" { 1 } else { 5 })
        .await
}

#[tokio::test]
async fn five_calls_of_an_agent_are_five_whole_traces_or_one_tree() {
    let own = agent("own", "agent, own").await;
    assert_eq!(own.len(), 5);
    for trace in &own {
        assert_eq!(trace["state"], "OK");
        let (root, _) = tree(trace);
        let caller = &root["attributes"]["offpath.caller.trace_id"];
        assert_eq!(caller, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace["spans"].as_array().unwrap().len(), 2);
    }
    let joined = agent("join", "agent, join").await;
    let [tree] = joined.as_slice() else {
        panic!("one tree: {joined:#?}")
    };
    assert_eq!(tree["id"], "tr-0af7651916cd43dd8448eb211c80319c");
    let spans = tree["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 10);
    let under_caller = spans
        .iter()
        .filter(|span| span["parent"] == "b7ad6b7169203331");
    assert_eq!(under_caller.count(), 5);
}

#[tokio::test]
async fn an_application_says_what_it_thinks_by_the_headers_id() {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let gateway = recording(model.url(""), "feedback").start().await;
    let (head, _) = gateway
        .exchange("GET /version HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let id = head.field("x-offpath-trace-id").unwrap().to_owned();
    Tracking::server().trace("feedback").await;
    let said = python("feedback.py", &[Tracking::server().uri(), &id]).await;
    assert_eq!(said.trim(), r#"[["helpful", true]]"#);
}
