//! An experiment of a real MLflow, replayed against a second target.

use std::future;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use offpath_loadtest::bodies;
use offpath_loadtest::client::{Client, Http};
use offpath_loadtest::replay::source::{Experiment, Tracking as Source};
use offpath_loadtest::replay::{
    ChatDefaults, CheckKind, Checks, Counts, Plan, Replayed, Selection, replay,
};
use offpath_loadtest::upstream::Server;
use offpath_tests::mlflow::Tracking;

use crate::recording;

const CHAT: &str = "/v1/chat/completions";

async fn start() -> Server {
    Server::start(([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// What was recorded, against this endpoint, at ten times its speed.
async fn replayed(url: String) -> Replayed {
    let source = Source {
        uri: Tracking::server().uri().to_owned(),
        authorization: None,
        trust: None,
    };
    let experiment = Experiment::Name("replayed".to_owned());
    let imported = source.import(&experiment, None, 100, |_| ()).await.unwrap();
    assert!(imported.skipped.is_empty(), "{:?}", imported.skipped);
    let selection = Selection {
        window: None,
        filters: Vec::new(),
        limit: 100,
        speed: 10.0,
        loops: 1,
    };
    let plan = Plan {
        target: url.parse().unwrap(),
        exchanges: selection.apply(imported.exchanges).into(),
        selection,
        chat: ChatDefaults {
            model: "none".to_owned(),
            stream: false,
        },
        headers: HeaderMap::new(),
        session_header: None,
        checks: Checks {
            status: true,
            bytes: false,
            json: true,
            tokens: true,
            tolerance: 1e-9,
            ignored: vec!["/id".to_owned()],
        },
        http: Http::One,
        trust: None,
        connections: 8,
        timeout: Duration::from_secs(60),
        permitted_host: None,
    };
    replay(&plan, future::pending(), |_, _| ()).await.unwrap()
}

#[tokio::test]
async fn a_recorded_experiment_is_replayed_against_a_second_target_and_compared() {
    let model = start().await;
    let gateway = recording(model.url(""), "replayed").start().await;
    let client = Client::new(Http::One, None);
    let json = [("content-type", "application/json")];
    let calls = [
        (CHAT, bodies::chat(20, false, "m")),
        (CHAT, bodies::chat(7, true, "m")),
        ("/invocations", bodies::dataframe_split(50, 4, 3)),
        (CHAT, Bytes::from_static(b"{}")),
    ];
    for (path, body) in calls {
        let url = gateway.url() + path;
        client.post(&url, &json, body).await.unwrap();
    }
    Tracking::server().traces("replayed", 4).await;

    let second = start().await;
    let same = replayed(second.url("/")).await;
    let statuses: Vec<(u16, u64)> = same.load.statuses.clone().into_iter().collect();
    assert_eq!(statuses, [(200, 3), (400, 1)], "{same}");
    assert_eq!(
        (same.answers.compared, same.answers.differing),
        (4, 0),
        "{same}"
    );
    let tokens = Counts {
        compared: 2,
        differing: 0,
    };
    assert_eq!(
        same.answers.kinds.get(&CheckKind::Tokens),
        Some(&tokens),
        "{same}"
    );

    // All to one path, whose chats are shorter and which knows no frames.
    let other = replayed(second.url("/v1/chat/completions?tokens=5")).await;
    assert_eq!(other.answers.differing, 3, "{other}");
    let has = |detail: &str| {
        other
            .answers
            .first
            .iter()
            .any(|first| first.detail == detail)
    };
    assert!(has("output: recorded 32, now 5"), "{other}");
    assert!(has("recorded 200, now 400"), "{other}");
}
