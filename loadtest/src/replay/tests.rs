use std::future;
use std::path::PathBuf;

use serde_json::json;

use super::source::read_file;
use super::*;
use crate::upstream::Server;

fn chat() -> Chat {
    Chat {
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

/// A file in a folder of its own, which goes when dropped.
fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[tokio::test]
async fn arrivals_of_azure_are_sent_with_prompts_of_their_lengths() {
    let rows = "2023-11-16 18:17:03.9799600,48,10\n2023-11-16 18:17:04.0319600,7000,3\n\
                2023-11-16 18:17:04.0781490,1,27";
    let text = format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}");
    let (_folder, path) = file("trace.csv", &text);
    let server = start().await;
    // The endpoint counts words as tokens, and gives as many as a request allows.
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
        found.answers.kinds.get(&Kind::Tokens),
        Some(&expect),
        "{found}"
    );
    // 98 ms and a mean gap of 49, twice.
    assert!((found.load.duration_s - 0.2946).abs() < 0.001, "{found}");
}

#[tokio::test]
async fn recorded_exchanges_go_to_their_paths_and_what_differs_is_told() {
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
    assert_eq!(counts(Kind::Status), (3, 1));
    assert_eq!(counts(Kind::Bytes), (1, 0));
    assert_eq!(counts(Kind::Json), (2, 1));
    let mut told: Vec<_> = found.answers.first.clone();
    told.sort_by_key(|told| told.exchange);
    assert_eq!((told[0].exchange, told[0].kind), (1, Kind::Json));
    assert!(
        told[0].told.starts_with("/predictions/0: 5 is now "),
        "{}",
        told[0].told
    );
    assert_eq!(
        (told[1].exchange, told[1].told.as_str()),
        (2, "200 is now 404")
    );
    let table = found.to_string();
    assert!(
        table.contains("answers      3 compared with the recorded ones, 2 differ"),
        "{table}"
    );
}

#[tokio::test]
async fn a_replay_stops_when_told_and_a_target_that_is_down_is_an_error() {
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
