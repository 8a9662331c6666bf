use std::future;
use std::path::PathBuf;

use serde_json::json;

use super::source::read_file;
use super::*;
use crate::upstream::Server;

fn chat() -> ChatDefaults {
    ChatDefaults {
        model: "m".to_owned(),
        stream: false,
    }
}

fn plan(url: &str, exchanges: Vec<Exchange>) -> Plan {
    Plan {
        target: url.parse().unwrap(),
        exchanges: exchanges.into(),
        selection: Selection {
            window: None,
            filters: Vec::new(),
            limit: usize::MAX,
            speed: 1.0,
            loops: 1,
        },
        chat: chat(),
        headers: HeaderMap::new(),
        session_header: None,
        checks: Checks {
            status: true,
            bytes: true,
            json: true,
            tokens: true,
            tolerance: 0.0,
            ignored: Vec::new(),
        },
        http: Http::One,
        trust: None,
        connections: 64,
        timeout: Duration::from_secs(20),
        permitted_host: None,
    }
}

async fn replayed(plan: &Plan) -> Replayed {
    replay(plan, future::pending(), |_, _| ()).await.unwrap()
}

async fn start() -> Server {
    Server::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Writes a file into a temporary folder, which is removed when dropped.
fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[tokio::test]
async fn azure_arrivals_are_sent_with_prompts_of_the_recorded_lengths() {
    let rows = "2023-11-16 18:17:03.9799600,48,10\n2023-11-16 18:17:04.0319600,7000,3\n\
                2023-11-16 18:17:04.0781490,1,27";
    let text = format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}");
    let (_folder, path) = file("trace.csv", &text);
    let server = start().await;
    // The endpoint counts words as tokens, and responds with as many as the request allows.
    let mut plan = plan(
        &server.url("/v1/chat/completions?tokens=1000000"),
        read_file(&path, &chat()).unwrap(),
    );
    plan.selection.loops = 2;
    let found = replayed(&plan).await;
    assert_eq!(found.load.statuses.get(&200), Some(&6), "{found}");
    let expect = Counts {
        compared: 6,
        differing: 0,
    };
    assert_eq!(
        found.answers.kinds.get(&CheckKind::Tokens),
        Some(&expect),
        "{found}"
    );
    // The trace takes 98 ms and a mean gap of 49 ms, and it is sent twice.
    assert!((found.load.duration_s - 0.2946).abs() < 0.001, "{found}");
}

#[tokio::test]
async fn recorded_exchanges_are_sent_to_their_paths_and_mismatches_are_described() {
    let server = start().await;
    let lines = [
        json!({"timestamp": 0, "session_id": "s", "payload": [1], "recorded":
            {"path": "/echo", "status": 200, "response_bytes": 3, "response": [1]}}),
        json!({"timestamp": 5, "payload": {"dataframe_split": {"columns": ["a"], "data": [[1.0]]}},
            "recorded": {"path": "/invocations", "status": 200, "response": {"predictions": [5.0]}}}),
        json!({"timestamp": 9, "messages": [{"role": "user", "content": "a b"}],
            "recorded": {"path": "/nowhere", "status": 200}}),
    ];
    let text: String = lines.map(|line| format!("{line}\n")).concat();
    let (_folder, path) = file("trace.jsonl", &text);
    let plan = plan(&server.url("/"), read_file(&path, &chat()).unwrap());
    let found = replayed(&plan).await;
    assert_eq!(found.load.statuses.get(&404), Some(&1), "{found}");
    let counts = |kind| {
        let counts = found.answers.kinds[&kind];
        (counts.compared, counts.differing)
    };
    assert_eq!(counts(CheckKind::Status), (3, 1));
    assert_eq!(counts(CheckKind::Bytes), (1, 0));
    assert_eq!(counts(CheckKind::Json), (2, 1));
    let mut mismatches = found.answers.first.clone();
    mismatches.sort_by_key(|mismatch| mismatch.exchange);
    let (first, second) = (&mismatches[0], &mismatches[1]);
    assert_eq!((first.exchange, first.kind), (1, CheckKind::Json));
    let detail = &first.detail;
    assert!(
        detail.starts_with("/predictions/0: recorded 5, now "),
        "{detail}"
    );
    assert_eq!(
        (second.exchange, second.detail.as_str()),
        (2, "recorded 200, now 404")
    );
    let table = found.to_string();
    assert!(
        table.contains("responses    3 compared with the recorded ones, 2 differ"),
        "{table}"
    );
}

#[tokio::test]
async fn a_replay_can_be_stopped_and_a_target_that_is_down_is_an_error() {
    let server = start().await;
    let line = |at: u64| json!({"timestamp": at, "payload": 1}).to_string();
    let text = [line(0), line(3_600_000)].join("\n");
    let (_folder, path) = file("trace.jsonl", &text);
    let exchanges = read_file(&path, &chat()).unwrap();
    let plan = plan(&server.url("/echo"), exchanges);
    let (seen, mut enough) = tokio::sync::watch::channel(0);
    let stop = async {
        enough.wait_for(|finished| *finished >= 1).await.unwrap();
    };
    let progress = |_, finished| {
        seen.send_replace(finished);
    };
    let found = replay(&plan, stop, progress).await.unwrap();
    assert_eq!(found.load.requests, 1);
    drop(server);
    let error = replay(&plan, future::pending(), |_, _| ()).await;
    assert!(matches!(error, Err(Error::Down(_))), "{error:?}");
}
