use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

fn attribute(key: &str, value: Value) -> Value {
    json!({"key": key, "value": value})
}

/// A trace written by offpath, in the form in which MLflow 3.17.2 returns it.
fn trace(at_ns: u64, inputs: Value) -> Value {
    let attributes = json!([
        attribute("mlflow.spanInputs", inputs),
        attribute(
            "mlflow.spanOutputs",
            json!({"kvlist_value": {"values": [
            attribute("usage", json!({"kvlist_value": {"values": [
                attribute("completion_tokens", json!({"int_value": 9}))]}}))]}})
        ),
        attribute("http.request.method", json!({"string_value": "POST"})),
        attribute("http.response.status_code", json!({"int_value": 200})),
        attribute("url.path", json!({"string_value": "/v1/chat/completions"})),
        attribute("url.query", json!({"string_value": "a=1"})),
        attribute("session.id", json!({"string_value": "s"})),
        attribute("offpath.response.bytes", json!({"int_value": 469})),
    ]);
    json!({"trace": {"trace_info": {}, "spans": [
        {"name": "child", "parent_span_id": "Cf+ZAPmbVEI=", "start_time_unix_nano": 1},
        {"name": "chat", "start_time_unix_nano": at_ns, "attributes": attributes},
    ]}})
}

fn chat_inputs() -> Value {
    json!({"kvlist_value": {"values": [attribute("n", json!({"int_value": 1}))]}})
}

#[test]
fn a_trace_becomes_an_exchange() {
    let found = exchange(&trace(5, chat_inputs())).unwrap();
    assert_eq!(found.at, Duration::from_nanos(5));
    assert_eq!(found.path.unwrap(), "/v1/chat/completions?a=1");
    assert_eq!(found.session.as_deref(), Some("s"));
    let RequestBody::Recorded { body, .. } = found.body else {
        panic!("it was recorded whole")
    };
    assert_eq!(body, r#"{"n":1}"#);
    let expect = RecordedResponse {
        status: Some(200),
        bytes: Some(469),
        json: Some(json!({"usage": {"completion_tokens": 9}})),
        input_tokens: None,
        output_tokens: Some(9),
    };
    assert_eq!(found.response, expect);
}

#[test]
fn a_truncated_body_cannot_be_replayed() {
    let cut = json!({"kvlist_value": {"values": [
        attribute("offpath.body", json!({"kvlist_value": {"values": []}}))]}});
    let reason = exchange(&trace(5, cut)).unwrap_err();
    assert_eq!(reason, "the request body is incomplete");
    assert_eq!(exchange(&json!({})).unwrap_err(), "no root span");
}

/// Imitates a server with two pages of traces, the last of which cannot be replayed.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let search: Value = serde_json::from_slice(&body).unwrap_or_default();
    let content = match (parts.uri.path(), parts.uri.query()) {
        ("/prefix/api/2.0/mlflow/experiments/get-by-name", Some("experiment_name=my%20own")) => {
            json!({"experiment": {"experiment_id": "12"}})
        }
        ("/prefix/api/3.0/mlflow/traces/search", None) => {
            assert_eq!(parts.headers["authorization"], "Bearer t");
            assert_eq!(search["filter"], "status = 'OK'");
            let location = &search["locations"][0]["mlflow_experiment"];
            assert_eq!(location["experiment_id"], "12");
            match search.get("page_token").and_then(Value::as_str) {
                None => json!({"traces": [{"trace_id": "tr-1"}], "next_page_token": "two"}),
                Some(_) => json!({"traces": [{"trace_id": "tr-2"}, {"trace_id": "tr-3"}]}),
            }
        }
        (_, Some("trace_id=tr-1")) => trace(2_000_000, chat_inputs()),
        (_, Some("trace_id=tr-2")) => trace(7_000_000, chat_inputs()),
        (_, Some("trace_id=tr-3")) => json!({"trace": {}}),
        _ => {
            let mut missing = Response::new(Full::from("nothing here"));
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return Ok(missing);
        }
    };
    Ok(Response::new(Full::from(content.to_string())))
}

#[tokio::test]
async fn an_experiment_is_read_page_by_page_and_skipped_traces_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/prefix/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let builder = hyper::server::conn::http1::Builder::new();
            connections.spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    let tracking = Tracking {
        uri,
        authorization: Some("Bearer t".to_owned()),
        trust: None,
    };
    let filter = Some("status = 'OK'");
    let named = Experiment::Name("my own".to_owned());
    let imported = tracking.import(&named, filter, 10, |_| ()).await.unwrap();
    let at: Vec<u128> = imported
        .exchanges
        .iter()
        .map(|found| found.at.as_millis())
        .collect();
    assert_eq!(at, [0, 5]);
    assert_eq!(imported.skipped, BTreeMap::from([("no root span", 1)]));
    let first = tracking.import(&named, filter, 1, |_| ()).await.unwrap();
    assert_eq!((first.exchanges.len(), first.skipped.len()), (1, 0));
    let missing = Experiment::Name("other".to_owned());
    let error = tracking.import(&missing, None, 1, |_| ()).await;
    let message = error.unwrap_err().to_string();
    assert!(message.contains("404 Not Found: nothing here"), "{message}");
}
