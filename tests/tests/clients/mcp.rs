//! Sessions of MCP's Python client over streamable HTTP, with a server of the same SDK.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use offpath::demo::mlflow::{Installation, Leash, wait_until_healthy};
use offpath_tests::clients::{
    Report, Step, Wrong, by_request, drive, installation, program, two_routes,
};
use offpath_tests::{Collector, Ending, Trace, eventually, free_address, relay};
use serde_json::Value;

/// Between a JSON-RPC response and the last chunk of its stream.
const TAILS_MS: [u64; 6] = [0, 1, 2, 5, 20, 50];

#[tokio::test]
async fn each_exchange_of_mcps_client_ends_as_the_client_saw_it() {
    let clients = installation();
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let _server = start(&clients, address, &folder.path().join("log")).await;
    let relay = relay(address).await;
    let collector = Collector::start().await;
    let setup = two_routes(relay.url()).collect(&collector);
    let gateway = setup.start().await;
    let sessions = sessions();
    let reports = drive(&clients, "drive_mcp.py", &gateway.url(), &sessions).await;
    eventually("all exchanges to end", async || {
        (gateway.status().await["requests_in_flight"] == 0).then_some(())
    })
    .await;
    assert!(gateway.terminate().await.status.success());
    let mut traces = by_request(&collector);
    let mut wrong = Wrong::default();
    for (session, report) in sessions.iter().zip(&reports) {
        let traces = traces.remove(&session.id).unwrap_or_default();
        let kind = session.id.rsplit_once(' ').unwrap().0;
        wrong.add(kind, look(session, report, &traces));
    }
    wrong.check("MCP");
}

/// The server, which stops with the leash.
async fn start(clients: &Installation, address: SocketAddr, log: &Path) -> Leash {
    let (clients, log) = (clients.clone(), log.to_owned());
    let start = move || {
        let script = program("serve_mcp.py").display().to_string();
        let port = address.port().to_string();
        let mut leash = clients.start("python", &[&script, &port], &log).unwrap();
        wait_until_healthy(&mut leash, address, "/health", &log).unwrap();
        leash
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// A session with each end, of both protocols, on both routes.
fn sessions() -> Vec<Step> {
    let tails = TAILS_MS.map(|tail| Ending::Tail(Duration::from_millis(tail)));
    let endings = tails.iter().chain(&[Ending::Held, Ending::Cut]);
    let session = |route: &'static str, call: &str, ending: &Ending, number: usize| Step {
        id: format!("{route} {call} {} {number}", ending.value()),
        call: call.to_owned(),
        ending: *ending,
        headers: vec![("x-route", route.to_owned())],
    };
    let mut sessions = Vec::new();
    for (route, times) in [("all", 3), ("rules", 1)] {
        for call in ["session_2025", "session_2026"] {
            for number in 0..times {
                let each = endings.clone();
                sessions.extend(each.map(|ending| session(route, call, ending, number)));
            }
        }
    }
    sessions
}

/// What is wrong with the traces of a session.
fn look(session: &Step, report: &Report, traces: &[Trace]) -> Vec<String> {
    let keeps_all = session.id.starts_with("all");
    let mut wrong: Vec<String> = traces
        .iter()
        .filter_map(|trace| fault(session, trace, keeps_all))
        .collect();
    let searches = traces.iter().filter(|trace| is_search(trace)).count();
    let is_whole = matches!(session.ending, Ending::Tail(_));
    if searches != usize::from(keeps_all || !is_whole) {
        wrong.push(format!("{searches} traces of the last call"));
    }
    match report {
        Ok(_) if session.ending == Ending::Cut => wrong.push("the client saw no error".to_owned()),
        Ok(results) if keeps_all => wrong.extend(results.iter().filter_map(|result| {
            let text = result["text"].as_str().unwrap();
            let outputs = |trace: &Trace| trace.text("mlflow.spanOutputs");
            let recorded = traces.iter().any(|trace| outputs(trace).contains(text));
            (!recorded).then(|| format!("`{text}` is in no trace"))
        })),
        Err(error) if session.ending != Ending::Cut => {
            wrong.push(format!("the client failed: {error}"));
        }
        _ => {}
    }
    wrong
}

/// How an exchange ended otherwise than it did, or that it should not have been kept.
///
/// A standing GET has no last word: its client ends it with the session, as does the server. Which is
/// first is nobody's fault.
fn fault(session: &Step, trace: &Trace, keeps_all: bool) -> Option<String> {
    let method = trace.text("http.request.method");
    let end = trace.text("offpath.end_reason");
    let status = if trace.root.error.is_some() {
        "ERROR"
    } else {
        "OK"
    };
    let because = trace.text("offpath.kept_because");
    let found = (&*end, status, &*because);
    let right = |end: &'static str, status: &'static str, rule: &'static str| {
        found == (end, status, if keeps_all { "ratio" } else { rule })
    };
    let is_right = match session.ending {
        // A tool that fails says so in its result.
        _ if inputs(trace)["params"]["name"] == "lose_parcel" => {
            right("in_band_error", "ERROR", "no rule")
        }
        Ending::Held if is_search(trace) => right("client_left", "OK", "client_left"),
        Ending::Cut if is_search(trace) => right("upstream_cut", "ERROR", "error"),
        _ if method == "GET" && end == "client_left" => right("client_left", "OK", "client_left"),
        _ => right("complete", "OK", "no rule"),
    };
    (!is_right).then(|| format!("{method} {}: {found:?}", rpc_method(trace)))
}

/// Whether this is the call that an early end befalls.
fn is_search(trace: &Trace) -> bool {
    rpc_method(trace) == "tools/call" && inputs(trace)["params"]["name"] == "search"
}

fn rpc_method(trace: &Trace) -> String {
    inputs(trace)["method"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn inputs(trace: &Trace) -> Value {
    serde_json::from_str(&trace.text("mlflow.spanInputs")).unwrap_or_default()
}
