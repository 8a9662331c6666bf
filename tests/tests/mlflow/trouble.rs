//! What MLflow shows of errors, of what broke off, and of what is too large.

use offpath_tests::mlflow::Tracking;
use offpath_tests::{Upstream, Wire, pattern};
use serde_json::Value;

use crate::{recording, tree};

const CHAT: &str =
    r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Tell me all"}]}"#;

fn chat() -> String {
    let length = CHAT.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{CHAT}"
    )
}

fn event(data: &str) -> String {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

#[tokio::test]
async fn a_stream_that_broke_off_is_an_error_with_its_part() {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let part = event(r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Only this"}}]}"#);
    let upstream = Upstream::dying_after(format!("{head}{part}")).await;
    let gateway = recording(upstream.url(), "broken off").start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(chat()).await;
    client.head().await;
    client.rest().await;
    let trace = Tracking::server().trace("broken off").await;
    assert_eq!(trace["state"], "ERROR");
    assert_eq!(trace["request_preview"], "Tell me all");
    assert_eq!(trace["response_preview"], "Only this");
    let (root, children) = tree(&trace);
    assert_eq!(root["attributes"]["offpath.end_reason"], "upstream_cut");
    assert!(root["message"].as_str().unwrap().contains("upstream_cut"));
    assert_eq!(
        (&root["status"], &children[0]["status"]),
        (&"ERROR".into(), &"ERROR".into())
    );
    assert_eq!(
        Tracking::server().search("broken off", "trace.status = 'ERROR'"),
        1
    );
}

#[tokio::test]
async fn an_upstreams_error_is_an_error_with_its_words() {
    let body = r#"{"error":{"message":"no capacity","type":"overloaded"}}"#;
    let length = body.len();
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
    .await;
    let gateway = recording(upstream.url(), "overloaded").start().await;
    assert_eq!(gateway.exchange(chat()).await.0.status(), 503);
    let trace = Tracking::server().trace("overloaded").await;
    assert_eq!(trace["state"], "ERROR");
    let (root, _) = tree(&trace);
    assert_eq!(root["outputs"]["error"]["message"], "no capacity");
    assert_eq!(root["attributes"]["error.type"], "503");
}

#[tokio::test]
async fn a_body_of_100_megabytes_passes_whole_and_is_readable_in_its_cut_form() {
    let upstream = Upstream::echo().await;
    let gateway = recording(upstream.url(), "huge").start().await;
    let words = "some words of a long text. ";
    let body = words.repeat(100_000_000 / words.len());
    let length = body.len();
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    );
    let (answer, came_back) = gateway.exchange(head + &body).await;
    assert!(answer.status() == 200 && came_back == body.as_bytes());
    let trace = Tracking::server().trace("huge").await;
    let (root, _) = tree(&trace);
    for message in ["inputs", "outputs"] {
        let cut = &root[message]["offpath.body"];
        assert_eq!(
            (&cut["truncated"], &cut["bytes"]),
            (&true.into(), &length.into()),
            "{message}"
        );
        assert_eq!(
            (&cut["kept_bytes"], &cut["content_type"]),
            (&(8 << 20).into(), &"text/plain".into())
        );
        assert!(body.starts_with(cut["text"].as_str().unwrap()) && cut["text"] != "");
    }
    assert_eq!(root["attributes"]["offpath.request.bytes"], length);
    let defects = root["attributes"]["offpath.defects"].as_array().unwrap();
    assert!(defects.contains(&"body_truncated".into()), "{defects:?}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_told_by_their_digest() {
    let upstream = Upstream::echo().await;
    let gateway = recording(upstream.url(), "binary").start().await;
    let body = pattern(10_000);
    let head =
        "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: image/png\r\ncontent-length: 10000\r\n\r\n";
    gateway.exchange([head.as_bytes(), &body].concat()).await;
    let trace = Tracking::server().trace("binary").await;
    assert_eq!(trace["state"], "OK");
    let told: &Value = &tree(&trace).0["inputs"]["offpath.body"];
    assert_eq!(told["bytes"], 10_000);
    assert_ne!(told["truncated"], true);
    assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(told["text"], Value::Null);
}
