//! Experiments by name: looked up, made, lost; and what a trace's own call tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offpath_config::ExperimentRef;
use offpath_trace::TraceInfo;

use super::stub::{Answer, Sent, Stub, status};
use super::support::{Export, config, decode, hex};
use crate::DestinationState;

const LOOK_UP: &str = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=a+b";
const CREATE: &str = "/api/2.0/mlflow/experiments/create";
const TRACES: &str = "/v1/traces";
const INFO: &str = "/api/3.0/mlflow/traces";

fn json(code: u16, body: &str) -> Answer {
    Answer {
        body: body.to_owned(),
        ..status(code)
    }
}

fn missing() -> Answer {
    json(
        404,
        r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"}"#,
    )
}

fn found(id: &str) -> Answer {
    json(
        200,
        &format!(r#"{{"experiment": {{"experiment_id": "{id}", "lifecycle_stage": "active"}}}}"#),
    )
}

/// Offers one trace for the experiment `a b`; the requests made until it is exported, by path.
#[track_caller]
fn check(script: impl Fn(&Sent) -> Answer + Send + Sync + 'static, expect: &[&str]) -> Vec<Sent> {
    let stub = Stub::start(script);
    let mut config = config(&stub);
    config.routes[0].trace.experiment = ExperimentRef::Name("a b".into());
    let export = Export::open(&config);
    export.offer(1, "{}");
    export.wait(|sinks| sinks[0].exported == 1);
    let seen = stub.seen();
    assert_eq!(
        seen.iter()
            .map(|sent| sent.path.as_str())
            .collect::<Vec<_>>(),
        expect
    );
    let last = seen
        .last()
        .unwrap()
        .header("x-mlflow-experiment-id")
        .to_owned();
    let status = export.handle.status().destinations.remove(0);
    assert_eq!(status.experiment_id.as_deref(), Some(last.as_str()));
    assert_eq!(status.state, DestinationState::Up);
    seen
}

#[test]
fn an_experiment_is_looked_up_by_name() {
    let script = |sent: &Sent| {
        if sent.path == LOOK_UP {
            found("7")
        } else {
            status(200)
        }
    };
    let sent = check(script, &[LOOK_UP, TRACES]);
    assert_eq!(sent[1].header("x-mlflow-experiment-id"), "7");
}

#[test]
fn an_experiment_that_is_not_there_is_made() {
    let sent = check(
        |sent| match sent.path.as_str() {
            LOOK_UP => missing(),
            CREATE => json(200, r#"{"experiment_id": "8"}"#),
            _ => status(200),
        },
        &[LOOK_UP, CREATE, TRACES],
    );
    assert_eq!(sent[1].body, r#"{"name":"a b"}"#);
    assert_eq!(sent[2].header("x-mlflow-experiment-id"), "8");
}

#[test]
fn an_experiment_that_another_made_in_between_is_found() {
    let script = |sent: &Sent| match (sent.path.as_str(), sent.nth) {
        (LOOK_UP, 0) => missing(),
        (LOOK_UP, _) => found("9"),
        (CREATE, _) => json(400, r#"{"error_code": "RESOURCE_ALREADY_EXISTS"}"#),
        _ => status(200),
    };
    check(script, &[LOOK_UP, CREATE, LOOK_UP, TRACES]);
}

#[test]
fn an_experiment_that_is_gone_is_looked_up_again() {
    let lookups = Arc::new(AtomicUsize::new(0));
    let script = move |sent: &Sent| match (sent.path.as_str(), sent.nth) {
        (LOOK_UP, _) => found(["1", "2"][lookups.fetch_add(1, Ordering::Relaxed)]),
        (_, 0) => missing(),
        _ => status(200),
    };
    check(script, &[LOOK_UP, TRACES, LOOK_UP, TRACES]);
}

#[test]
fn a_look_up_that_fails_is_tried_again() {
    let script = |sent: &Sent| match (sent.path.as_str(), sent.nth) {
        (LOOK_UP, 0) => status(500),
        // Not MLflow's own 404: a proxy's, or a wrong path.
        (LOOK_UP, 1) => status(404),
        (LOOK_UP, 2) => json(200, "not json"),
        (LOOK_UP, _) => found("1"),
        _ => status(200),
    };
    check(script, &[LOOK_UP, LOOK_UP, LOOK_UP, LOOK_UP, TRACES]);
}

#[test]
fn a_deleted_experiment_is_said_to_be_so() {
    let deleted = r#"{"experiment": {"experiment_id": "1", "lifecycle_stage": "deleted"}}"#;
    let stub = Stub::start(move |_| json(200, deleted));
    let mut config = config(&stub);
    config.routes[0].trace.experiment = ExperimentRef::Name("a b".into());
    let export = Export::open(&config);
    export.offer(1, "{}");
    export.wait(|_| export.handle.status().destinations[0].failures > 2);
    let status = export.handle.status().destinations.remove(0);
    assert_eq!(status.state, DestinationState::Denied);
    let expect = "experiment `a b` is deleted: restore it, or name another";
    assert_eq!(status.last_error.as_deref(), Some(expect));
}

/// Offers a trace with metadata; the requests made until it is exported, by path.
#[track_caller]
fn check_info(script: impl Fn(&Sent) -> Answer + Send + Sync + 'static, expect: &[&str]) {
    let stub = Stub::start(script);
    let mut config = config(&stub);
    config.routes[0].trace.experiment = ExperimentRef::Id("7".into());
    let export = Export::open_with(&config, |exchange| {
        let (mut trace, defects) = decode(exchange);
        trace.info = Some(Box::new(TraceInfo {
            client_request_id: Some("r-1".to_owned()),
            metadata: vec![("release".into(), "1.4".to_owned())],
        }));
        (trace, defects)
    });
    export.offer(1, "{}");
    export.wait(|sinks| sinks[0].exported == 1);
    let seen = stub.seen();
    let paths: Vec<_> = seen.iter().map(|sent| sent.path.as_str()).collect();
    assert_eq!(paths, expect);
    let told: serde_json::Value = serde_json::from_slice(&seen.last().unwrap().body).unwrap();
    let info = &told["trace"]["trace_info"];
    let location = &info["trace_location"]["mlflow_experiment"];
    assert_eq!(info["trace_id"], format!("tr-{}", hex(1)));
    assert_eq!(location["experiment_id"], "7");
    assert_eq!(info["client_request_id"], "r-1");
    assert_eq!(info["trace_metadata"]["release"], "1.4");
    assert_eq!(
        (&info["state"], &info["execution_duration"]),
        (&"OK".into(), &"0.080s".into())
    );
}

#[test]
fn what_spans_cannot_say_is_told_after_them() {
    check_info(|_| status(200), &[TRACES, INFO]);
}

#[test]
fn metadata_that_could_not_be_told_is_told_again_with_its_trace() {
    let script = |sent: &Sent| match (sent.path.as_str(), sent.nth) {
        (INFO, 0) => status(503),
        _ => status(200),
    };
    check_info(script, &[TRACES, INFO, TRACES, INFO]);
}

#[test]
fn metadata_that_is_refused_does_not_cost_its_trace() {
    let script = |sent: &Sent| status(if sent.path == INFO { 400 } else { 200 });
    check_info(script, &[TRACES, INFO]);
}
