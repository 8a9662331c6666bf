//! Credentials that no route has a rule for, in heads, bodies and streams, and in what a sink answers:
//! they are nowhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offpath_tests::{Collector, Gateway, Upstream, ask, eventually, offpath};
use serde_json::{Value, json};

use super::rows::{Row, post};
use super::{before, check_absent, check_rows, play, player, walk};

const TYPES: [&str; 8] = [
    "application/json",
    "application/problem+json",
    "text/plain",
    "text/html",
    "text/csv",
    "application/x-ndjson",
    "text/event-stream",
    "application/octet-stream",
];

fn document() -> String {
    json!({
        "model": "m",
        "messages": [{"role": "user", "content": "use {\"apiKey\": \"planted-1\"}"}],
        "tools": [
            {"type": "mcp", "authorization": "planted-2", "headers": {"X-Team": "planted-3"}},
            {"type": "mcp", "server_url": "https://u:planted-4@host/?sig=planted-5"},
        ],
        "mcp_servers": [{"authorization_token": "planted-6", "name": "gh"}],
        "deep": [[{"credentials": {"user": "planted-7", "of": ["planted-8"]}}]],
        "arguments": json!({"client_secret": "planted-9", "in": json!({"pwd": "planted-10"}).to_string()}).to_string(),
        "words": "Bearer planted-11",
    })
    .to_string()
}

fn rows() -> Vec<Row> {
    let document = document();
    let mut rows = Vec::new();
    for kind in TYPES {
        let request = post("/v1/chat/completions", kind, document.as_bytes());
        let row = Row::new(kind, request, kind, document.as_bytes());
        rows.push(match kind {
            "application/octet-stream" => row.hidden(),
            _ => row,
        });
    }
    let chat = |content: &str, kind: &str, name: &str| {
        let request = post("/v1/chat/completions", "application/json", b"{}");
        Row::new(name, request, kind, content.as_bytes())
    };
    let piece = |arguments: &str| {
        let call =
            json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": arguments}});
        let delta = json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
        format!("data: {delta}\n\n")
    };
    let split = [r#"{"n": 1, "api_k"#, r#"ey": "plan"#, r#"ted-12"}"#];
    let split: String = split.iter().map(|arguments| piece(arguments)).collect();
    rows.push(chat(
        &format!("{split}data: [DONE]\n\n"),
        "text/event-stream",
        "split arguments",
    ));
    rows.push(chat(
        &format!(")]}}',\n{document}"),
        "text/plain",
        "a prefix",
    ));
    rows.push(chat(
        &format!(": hi\n\nid: 1\ndata: {document}\n\n"),
        "text/plain",
        "events in text",
    ));
    rows.push(chat(
        &format!("{document}\n{document}\n"),
        "text/plain",
        "lines in text",
    ));
    let long = json!({"a": "x".repeat(16_300), "password": "planted-".repeat(100)}).to_string();
    rows.push(chat(&long, "application/json", "cut"));
    rows.push(chat(
        "api_key=planted-13&n=1",
        "text/plain",
        "a form in text",
    ));
    let head = "GET /v1/models?x-api-key=planted-14&X-Amz-Credential=planted-15&api%5Ftoken=planted-16&bearer=planted-17 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer planted-18\r\nx-api-key: planted-19\r\nx-goog-api-key: planted-20\r\ncookie: session=planted-21\r\nx-session-token: planted-22\r\nreferer: https://u:planted-23@host/\r\n\r\n";
    rows.push(Row::new("a head", head.into(), "application/json", b"{}").hidden());
    rows
}

#[tokio::test]
async fn credentials_are_nowhere_without_a_rule() {
    check_rows(rows(), None).await;
}

#[tokio::test]
async fn where_bodies_are_left_alone_each_credential_of_a_body_would_be_in_its_trace() {
    let rows = Arc::new(rows());
    let upstream = player(Arc::clone(&rows)).await;
    let collector = Collector::start().await;
    let gateway = before(&upstream, &collector)
        .set("routes/0/redact", json!({"credentials": false}))
        .start()
        .await;
    let ids: BTreeMap<_, _> = play(&gateway, &rows).await;
    for trace in collector.wait_for(rows.len()).await {
        let row = &rows[ids[&trace.root.trace_id]];
        let shown = format!("{trace:?}");
        assert_eq!(
            shown.contains("planted"),
            row.shown,
            "{}: {shown}",
            row.name
        );
    }
}

/// A sink that answers with what it was sent, and counts how often.
async fn echo(status: &'static str, echoed: Arc<AtomicUsize>) -> Upstream {
    Upstream::script(move |_, mut wire| {
        let echoed = Arc::clone(&echoed);
        async move {
            while let Some(head) = wire.try_head().await {
                wire.body(&head).await;
                let fields = head.fields.iter().filter(|(name, _)| {
                    ["authorization", "x-key", "x-tenant"].contains(&name.to_ascii_lowercase().as_str())
                });
                let fields: BTreeMap<_, _> = fields.cloned().collect();
                let words: Vec<_> = fields.values().map(|value| value.rsplit(' ').next().unwrap()).collect();
                // By name, by value alone, and as a list of pairs.
                let body = format!("{words:?} {} {fields:?}", json!(fields));
                echoed.fetch_add(usize::from(!fields.is_empty()), Ordering::Relaxed);
                wire.send(format!(
                    "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ))
                .await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_a_sink_repeats_of_its_credentials_is_nowhere() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let echoed = Arc::new(AtomicUsize::new(0));
    let refusing = echo("400 Bad Request", Arc::clone(&echoed)).await;
    let denying = echo("401 Unauthorized", Arc::clone(&echoed)).await;
    let busy = echo("503 Busy", Arc::clone(&echoed)).await;
    let folder = tempfile::tempdir().unwrap();
    let traces = |upstream: &Upstream| format!("{}/v1/traces", upstream.url());
    let gateway = Gateway::before(upstream.url())
        .set("log/level", "trace")
        .set(
            "export/sinks",
            json!({
                "refusing": {
                    "type": "otlp", "endpoint": traces(&refusing),
                    "headers": {"authorization": "Bearer planted-token", "x-key": "planted-key", "x-tenant": "planted-tenant"},
                },
                "denying": {"type": "mlflow", "tracking_uri": denying.url(), "token": "planted-token"},
                "busy": {"type": "mlflow", "tracking_uri": busy.url(), "username": "bob", "password": "planted-word"},
            }),
        )
        .set("export/batch/linger", "1ms")
        .spool(folder.path(), "always")
        .start()
        .await;
    gateway
        .exchange(post("/x", "application/json", b"{}"))
        .await;
    let status = eventually("each sink answered", async || {
        let status = gateway.status().await.to_string();
        (status.matches("REDACTED").count() >= 2 && refused(folder.path()).contains("REDACTED"))
            .then_some(status)
    })
    .await;
    assert!(echoed.load(Ordering::Relaxed) >= 3);
    let pair = STANDARD.encode("bob:planted-word");
    let mut files = Vec::new();
    walk(folder.path(), &mut files);
    let (_, metrics) = ask(gateway.telemetry(), "/metrics").await.unwrap();
    let places = [
        ("`/status`", status.into_bytes()),
        ("`/metrics`", metrics.to_vec()),
        ("the spool", files.concat()),
        ("the log", gateway.kill().into_bytes()),
    ];
    for (place, bytes) in places {
        check_absent(place, &bytes);
        assert!(
            memchr::memmem::find(&bytes, pair.as_bytes()).is_none(),
            "{place}"
        );
    }
}

/// What was set aside.
fn refused(folder: &Path) -> String {
    let mut files = Vec::new();
    walk(folder, &mut files);
    String::from_utf8_lossy(&files.concat()).into_owned()
}

#[tokio::test]
async fn explain_prints_no_credential() {
    let upstream = Upstream::echo().await;
    let collector = Collector::start().await;
    let gateway = Gateway::before(upstream.url())
        .collect(&collector)
        .set("routes/0/sampling", json!({"ratio": 0.5, "by": "session"}))
        .set("routes/0/trace/session", json!([{"header": "cookie"}]))
        .set("routes/0/trace/user", json!([{"query": "api_token"}]))
        .set(
            "routes/0/trace/tags",
            json!({"key": {"header": "x-api-key"}, "in": {"body": "/client_secret"}}),
        )
        .start()
        .await;
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    std::fs::write(&body, r#"{"client_secret": "planted"}"#).unwrap();
    let explain = |url: &str, more: &[&str]| {
        let mut command = Command::new(offpath());
        command.arg("explain").arg("--config").arg(gateway.config());
        command.args([
            "GET",
            url,
            "-H",
            "cookie: planted",
            "-H",
            "x-api-key: planted",
        ]);
        command.arg("--body").arg(&body).args(more);
        let output = command.output().unwrap();
        [output.stdout, output.stderr].concat()
    };
    for more in [&[][..], &["--json"]] {
        let printed = explain("/x?api_token=planted", more);
        let text = String::from_utf8_lossy(&printed);
        assert!(text.matches("[REDACTED]").count() >= 4, "{text}");
        check_absent("`explain`", &printed);
    }
    check_absent("an error", &explain("http://u:planted@a b/", &[]));
    check_absent(
        "an error",
        &explain("/x", &["-H", "authorization Bearer planted-1"]),
    );
}

#[tokio::test]
async fn a_credential_in_a_wrong_place_of_the_configuration_is_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offpath.yaml");
    let config: Value = json!({
        "listeners": [{"address": "127.0.0.1:0"}],
        "upstreams": {"model": {"endpoints": ["http://127.0.0.1:9"], "timeouts": {"connect": "${env:KEY}"}}},
        "routes": [{"name": "${env:KEY} x", "upstream": "${env:KEY}"}],
        "export": {"sinks": {"m": {"type": "mlflow", "token": "${env:TWO_LINES}", "tracking_uri": "http://u:${env:KEY}@h"}}},
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let mut validate = Command::new(offpath());
    validate.arg("validate").arg("--config").arg(&file);
    validate
        .env("KEY", "planted-key")
        .env("TWO_LINES", "planted\nline");
    let output = validate.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&printed).contains("${env:KEY}"));
    check_absent("`validate`", &printed);
}
