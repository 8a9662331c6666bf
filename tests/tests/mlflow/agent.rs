//! An agent behind MLflow's own `AgentServer`, whose streams end with `[DONE]` alone.

use std::path::PathBuf;

use offpath::demo::mlflow::{Leash, wait_until_healthy};
use offpath_tests::clients::{Call, Client, installation, program, two_routes};
use offpath_tests::mlflow::Tracking;
use offpath_tests::{Collector, free_address, relay};
use serde_json::json;

/// Starts the agent in MLflow's environment. It stops with the leash.
async fn agent_server(log: PathBuf) -> (Leash, std::net::SocketAddr) {
    let address = free_address();
    let start = move || {
        let script = program("serve_agent.py").display().to_string();
        let port = address.port().to_string();
        let mlflow = Tracking::server().installation();
        let mut leash = mlflow.start("python", &[&script, &port], &log).unwrap();
        wait_until_healthy(&mut leash, address, "/health", &log).unwrap();
        leash
    };
    (tokio::task::spawn_blocking(start).await.unwrap(), address)
}

#[tokio::test]
async fn each_exchange_of_mlflows_agent_server_ends_as_its_client_saw_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_agent, address) = agent_server(folder.path().join("log")).await;
    let relay = relay(address).await;
    let collector = Collector::start().await;
    let experiment = "agent server";
    let sink = json!({"type": "mlflow", "tracking_uri": Tracking::server().uri()});
    let setup = two_routes(relay.url())
        .collect(&collector)
        .set("export/sinks/mlflow", sink)
        .set(
            "routes/0/trace",
            json!({"experiment": "agent server, by rules"}),
        )
        .set("routes/1/trace", json!({"experiment": experiment}));
    let calls = [
        Call::streamed("responses"),
        Call::streamed("invocations"),
        Call::with_length("responses_whole"),
        Call::with_length("invocations_whole"),
    ];
    let client = Client {
        installation: &installation(),
        driver: "drive_agent_server.py",
        calls: &calls,
        times: 3,
    };
    client.check_with(setup, &collector).await;
    for trace in Tracking::server().traces(experiment, 1).await {
        let id = trace["tags"]["offpath.request_id"].as_str().unwrap();
        let state = if id.contains("cut") { "ERROR" } else { "OK" };
        assert_eq!(trace["state"], state, "{id}");
        if !id.contains("cut") && !id.contains("held") {
            assert_eq!(trace["response_preview"], "Your parcel is in Köln.", "{id}");
        }
    }
}
