//! Secrets in every field of every format, through the real binary: what a route masks is in no
//! trace, spool file, log, metric or status, and passes unchanged.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "secrets/credentials.rs"]
mod credentials;
#[path = "secrets/rows.rs"]
mod rows;
#[path = "secrets/streams.rs"]
mod streams;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, Request, Response};
use memchr::memmem;
use offpath_tests::{Collector, Gateway, Setup, Upstream, Wire, ask, free_address, http2, offpath};
use serde_json::{Value, json};

use self::rows::{Row, SECRET};

/// Parts of the secret. Fewer digits of the card might be some id's by chance.
const NEEDLES: [&str; 3] = ["planted", "4111111111", "T-1234"];

/// Plays the row that a request names, if the request is as it was sent.
async fn player(rows: Arc<Vec<Row>>) -> Upstream {
    Upstream::script(move |_, mut wire| {
        let rows = Arc::clone(&rows);
        async move {
            while let Some(head) = wire.try_head().await {
                let body = wire.body(&head).await;
                let at: usize = head.field("x-row").unwrap().parse().unwrap();
                let row = &rows[at];
                let text = String::from_utf8_lossy(&row.request);
                let (sent, _) = text.split_once("\r\n\r\n").unwrap();
                let mut lines = sent.split("\r\n");
                let same = lines.next() == Some(&*head.line)
                    && lines.filter(|line| !line.is_empty()).all(|line| {
                        let (name, value) = line.split_once(": ").unwrap();
                        head.field(name) == Some(value)
                    })
                    && row.request.ends_with(&body);
                if !same {
                    wire.send("HTTP/1.1 599 Not As Sent\r\ncontent-length: 0\r\n\r\n")
                        .await;
                    continue;
                }
                wire.send(&row.response).await;
                if row.content.is_none() {
                    break;
                }
            }
        }
    })
    .await
}

/// Sends every row, checks what comes back, and gives the rows by their traces' ids.
async fn play(gateway: &Gateway, rows: &[Row]) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let line = row.request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let (line, rest) = row.request.split_at(line);
        let named = format!("x-row: {at}\r\n");
        let mut client = Wire::connect(gateway.address()).await;
        client.send([line, named.as_bytes(), rest].concat()).await;
        let head = client.head().await;
        match &row.content {
            Some(content) => {
                let body = client.body(&head).await;
                assert!(body == content[..], "{}: {head:?}", row.name);
            }
            None => drop(client.rest().await),
        }
        assert_ne!(head.status(), 599, "{}", row.name);
        let id = head.field("x-offpath-trace-id").unwrap();
        ids.insert(id.strip_prefix("tr-").unwrap().to_owned(), at);
    }
    ids
}

fn before(upstream: &Upstream, collector: &Collector) -> Setup {
    let from = |name: &str| json!([{"header": name}]);
    Gateway::before(upstream.url())
        .collect(collector)
        .set("log/level", "trace")
        .set("routes/0/capture/max_body", "16KiB")
        .set("routes/0/trace/user", from("x-customer"))
        .set("routes/0/trace/session", from("cookie"))
        .set("routes/0/trace/tags/agent", json!({"header": "user-agent"}))
        .set("routes/0/trace/tags/key", json!({"header": "x-api-key"}))
        .set(
            "routes/0/trace/tags/name",
            json!({"body": "/messages/0/name"}),
        )
}

/// What `rules` mask is nowhere.
async fn check(rules: Value) {
    check_rows(rows::all(), Some(rules)).await;
}

/// What is planted in these rows is nowhere.
async fn check_rows(rows: Vec<Row>, rules: Option<Value>) {
    let rows = Arc::new(rows);
    let upstream = player(Arc::clone(&rows)).await;
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let away = format!("http://{}/v1/traces", free_address());
    let gateway = before(&upstream, &collector)
        .spool(folder.path(), "always")
        .set(
            "export/sinks/away",
            json!({"type": "otlp", "endpoint": away, "headers": {"x-key": "planted"}}),
        )
        .set("routes/0/redact", rules.unwrap_or(Value::Null))
        .start()
        .await;
    play(&gateway, &rows).await;
    collector.wait_for(rows.len()).await;
    for (page, body) in [
        (
            "/metrics",
            ask(gateway.telemetry(), "/metrics")
                .await
                .unwrap()
                .1
                .to_vec(),
        ),
        ("/status", gateway.status().await.to_string().into_bytes()),
    ] {
        check_absent(page, &body);
    }
    for batch in collector.batches() {
        check_absent("a batch", &batch);
    }
    let mut files = Vec::new();
    walk(folder.path(), &mut files);
    assert!(files.iter().map(Vec::len).sum::<usize>() > rows.len() * 1000);
    files
        .iter()
        .for_each(|file| check_absent("the spool", file));
    let log = gateway.kill();
    check_absent("the log", log.as_bytes());
    let mut export = Command::new(offpath());
    export
        .args(["spool", "export", "--path"])
        .arg(folder.path());
    let export = export.output().unwrap();
    let said = String::from_utf8_lossy(&export.stdout);
    assert!(
        said.matches("mlflow.spanInputs").count() >= rows.len(),
        "{said}"
    );
    check_absent("`spool export`", &[export.stdout, export.stderr].concat());
}

#[track_caller]
fn check_absent(place: &str, bytes: &[u8]) {
    for needle in needles() {
        if let Some(at) = memmem::find(bytes, &needle) {
            let from = at.saturating_sub(600);
            let shown = String::from_utf8_lossy(&bytes[from..bytes.len().min(at + 200)]);
            panic!(
                "{place} holds `{}`: {shown}",
                String::from_utf8_lossy(&needle)
            );
        }
    }
}

/// The parts as they are, and the secret in base64, wherever it begins in a group of three bytes.
fn needles() -> Vec<Vec<u8>> {
    let packed = (0..3).map(|offset| {
        let text = STANDARD_NO_PAD.encode(format!("{}{SECRET}", "x".repeat(offset)));
        text.as_bytes()[4..20].to_vec()
    });
    let plain = NEEDLES.iter().map(|needle| needle.as_bytes().to_vec());
    plain.chain(packed).collect()
}

fn walk(folder: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, files),
            false => files.push(std::fs::read(path).unwrap()),
        }
    }
}

fn patterns() -> Value {
    json!(["email", "credit_card", {"name": "ticket", "regex": "T-[0-9]{4}"}])
}

#[tokio::test]
async fn what_patterns_find_is_nowhere() {
    check(json!({"headers": ["x-customer"], "patterns": patterns()})).await;
}

#[tokio::test]
async fn what_fields_name_is_nowhere_either() {
    let fields = [
        "/messages/*/content",
        "/*/*/message/content",
        "/inputs/*/data",
        "/a",
    ];
    check(json!({
        "headers": ["x-customer"],
        "fields": fields,
        "patterns": patterns(),
        "hash_key": "planted",
    }))
    .await;
}

#[tokio::test]
async fn without_rules_each_secret_would_be_in_its_trace() {
    let rows = Arc::new(rows::all());
    let upstream = player(Arc::clone(&rows)).await;
    let collector = Collector::start().await;
    let gateway = before(&upstream, &collector).start().await;
    let ids = play(&gateway, &rows).await;
    let traces = collector.wait_for(rows.len()).await;
    let wrong = traces.iter().filter_map(|trace| {
        let row = &rows[ids[&trace.root.trace_id]];
        let shown = format!("{trace:?}");
        let found = NEEDLES.iter().any(|needle| shown.contains(needle));
        (found != row.shown).then(|| format!("{}: {shown}", row.name))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_call_of_grpc_tells_no_more() {
    let upstream = http2::Upstream::plain(|_| async {
        let message = [&[0, 0, 0, 0, 50], SECRET.as_bytes()].concat();
        let body = http2::driven(|mut sender| async move {
            sender.send_data(message.into()).await.ok();
            let fields = [("grpc-status", "13"), ("grpc-message", SECRET)];
            let fields =
                fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            sender
                .send_trailers(HeaderMap::from_iter(fields))
                .await
                .ok();
        });
        let response = Response::builder().header("content-type", "application/grpc");
        response.body(body).unwrap()
    })
    .await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = setup
        .set("upstreams/model/http", 2)
        .set("log/level", "trace")
        .set("routes/0/redact", json!({"patterns": patterns()}))
        .start()
        .await;
    let request = Request::post(format!("{}/T-1234/Say", gateway.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-api-key", "planted")
        .body(http2::full([&[0, 0, 0, 0, 50], SECRET.as_bytes()].concat()))
        .unwrap();
    let mut client = http2::Client::plain(gateway.address()).await;
    let (_, trailers) = http2::collect(client.send(request).await.unwrap().into_body()).await;
    assert_eq!(trailers.unwrap()["grpc-message"], SECRET);
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.end_reason"), "in_band_error");
    check_absent("the trace", format!("{trace:?}").as_bytes());
    check_absent("the log", gateway.kill().as_bytes());
}

/// What tells of a message without being its content: whose it is, by name, and how it is built.
const METADATA: [&str; 9] = [
    "gen_ai.request.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "mlflow.llm.model",
    "mlflow.traceTag.name",
    "offpath.input.columns",
    "offpath.model.version",
    "offpath.output.columns",
];

#[tokio::test]
async fn where_only_metadata_is_kept_no_content_is_in_a_trace() {
    let rows = Arc::new(rows::all());
    let upstream = player(Arc::clone(&rows)).await;
    let collector = Collector::start().await;
    let gateway = before(&upstream, &collector)
        .set("routes/0/capture/level", "metadata")
        .start()
        .await;
    let ids = play(&gateway, &rows).await;
    for trace in collector.wait_for(rows.len()).await {
        let row = &rows[ids[&trace.root.trace_id]];
        if row.name == "head" {
            continue;
        }
        let mut spans = vec![trace.root];
        spans.extend(trace.call);
        for mut span in spans {
            span.attributes.retain(|key, _| !METADATA.contains(&&**key));
            let held = format!("{:?} {:?}", span.error, span.attributes);
            check_absent(&row.name, held.as_bytes());
        }
    }
    check_absent("the log", gateway.kill().as_bytes());
}
