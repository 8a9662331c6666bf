use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::bodies;
use crate::client::{Client, Error, Http, Response};

async fn start() -> Server {
    Server::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

async fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
    let server = start().await;
    let client = Client::default();
    client
        .post(&server.url(path), headers, body.into())
        .await
        .unwrap()
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// Parses the `data` of each event. Checks that `[DONE]` comes last, and omits it.
fn events(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    let events = text.strip_suffix("data: [DONE]\n\n").unwrap();
    let events = events.split_terminator("\n\n");
    events
        .map(|event| json_of(event.strip_prefix("data: ").unwrap().as_bytes()))
        .collect()
}

const NO_GAP: (&str, &str) = ("x-gap-us", "0");

#[tokio::test]
async fn a_streamed_chat_has_the_role_first_the_usage_last_and_the_text_of_the_complete_one() {
    for http in [Http::One, Http::Two] {
        let server = start().await;
        let client = Client::new(http, None);
        let url = server.url("/v1/chat/completions?tokens=5");
        let body = bodies::chat(7, true, "m\"1");
        let streamed = client.post(&url, &[NO_GAP], body).await.unwrap();
        assert_eq!(streamed.headers["content-type"], "text/event-stream");
        let events = events(&streamed.body);
        let (first, last) = (&events[0], &events[events.len() - 1]);
        assert_eq!(
            first["choices"][0]["delta"],
            json!({"role": "assistant", "content": ""})
        );
        assert_eq!(first["model"], "m\"1");
        assert_eq!(last["choices"], json!([]));
        // The prompt has 7 words, the system message 5.
        let usage = json!({"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17});
        assert_eq!(last["usage"], usage);
        assert_eq!(
            events[events.len() - 2]["choices"][0]["finish_reason"],
            "stop"
        );
        assert_eq!(events.len(), 1 + 5 + 1 + 1);
        let contents = events
            .iter()
            .filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
        let text: String = contents.collect();

        let whole = client
            .post(&url, &[], bodies::chat(7, false, "m\"1"))
            .await
            .unwrap();
        let whole = json_of(&whole.body);
        assert_eq!(whole["choices"][0]["message"]["content"], text);
        assert_eq!(whole["usage"], usage);
        assert_eq!(whole["object"], "chat.completion");
    }
}

#[tokio::test]
async fn max_tokens_limits_the_response_and_sets_the_finish_reason() {
    let body = json!({"messages": [], "max_tokens": 2}).to_string();
    let answer = json_of(&post("/v1/chat/completions", &[], body).await.body);
    assert_eq!(answer["usage"]["completion_tokens"], 2);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn a_tool_is_called_with_streamed_arguments() {
    let request = |stream: bool| {
        json!({
            "messages": [{"role": "user", "content": "where is it"}],
            "tools": [{"type": "function", "function": {"name": "find_parcel"}}],
            "stream": stream,
        })
        .to_string()
    };
    let path = "/v1/chat/completions?tokens=4";
    let whole = json_of(&post(path, &[], request(false)).await.body);
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let function = &choice["message"]["tool_calls"][0]["function"];
    assert_eq!(function["name"], "find_parcel");

    let events = events(&post(path, &[NO_GAP], request(true)).await.body);
    let calls = events
        .iter()
        .map(|event| &event["choices"][0]["delta"]["tool_calls"][0]["function"]);
    let pieces: Vec<&str> = calls
        .clone()
        .filter_map(|call| call["arguments"].as_str())
        .collect();
    assert!(pieces.len() > 4);
    assert_eq!(pieces.concat(), function["arguments"].as_str().unwrap());
    assert!(json_of(pieces.concat().as_bytes())["query"].is_string());
    assert_eq!(
        calls.filter(|call| call["name"] == "find_parcel").count(),
        1
    );
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn scoring_returns_one_number_per_row_for_each_format() {
    let json = "application/json; charset=utf-8";
    let records = r#"{"dataframe_records": [{"a": 1}, {"a": 2}]}"#;
    for (content_type, body, rows) in [
        (json, bodies::dataframe_split(1000, 20, 1), 1000),
        (json, Bytes::from(records), 2),
        (json, Bytes::from(r#"{"instances": [[1], [2], [3]]}"#), 3),
        (json, Bytes::from(r#"{"inputs": {"a": [1, 2]}}"#), 2),
        ("text/csv", Bytes::from("a,b\n1,2\n"), 1),
    ] {
        let response = post("/invocations", &[("content-type", content_type)], body).await;
        assert_eq!(response.status, StatusCode::OK);
        let answer = json_of(&response.body);
        let predictions = answer["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), rows);
        assert!(predictions.iter().all(Value::is_number));
    }
}

#[tokio::test]
async fn an_invalid_table_gets_the_error_of_mlflow() {
    let json = [("content-type", "application/json")];
    let response = post("/invocations", &json, r#"{"dataframe_split": {"data": 3}}"#).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    let error = json_of(&response.body);
    assert_eq!(error["error_code"], "BAD_REQUEST");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("a list of rows")
    );
    let response = post("/invocations", &[], "a\n1\n").await;
    assert_eq!(response.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn health_checks_succeed_and_echo_returns_the_body() {
    let server = start().await;
    let client = Client::default();
    for (path, body) in [("/ping", "\n"), ("/health", "\n"), ("/version", "0.1.0")] {
        let response = client.get(&server.url(path), &[]).await.unwrap();
        assert_eq!(
            (response.status, &response.body[..]),
            (StatusCode::OK, body.as_bytes())
        );
    }
    let missing = client.get(&server.url("/echo"), &[]).await.unwrap();
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let echoed = post("/echo", &[("content-type", "image/png")], "\0\u{1}").await;
    assert_eq!(echoed.headers["content-type"], "image/png");
    assert_eq!(&echoed.body[..], b"\0\x01");
}

#[tokio::test]
async fn a_status_can_be_injected_and_an_invalid_knob_is_rejected() {
    let response = post("/echo", &[("x-status", "503")], "a").await;
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        json_of(&response.body)["error"]["message"],
        "injected status 503"
    );
    let response = post("/echo", &[("x-gap-us", "soon")], "a").await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_cut_within_the_body_is_an_error_and_a_cut_past_its_end_is_not() {
    let server = start().await;
    let stream = bodies::chat(1, true, "m");
    for http in [Http::One, Http::Two] {
        let client = Client::new(http, None);
        for (path, cut, is_cut) in [
            ("/echo", "0", true),
            ("/echo", "3", true),
            ("/echo", "1000000", false),
            ("/v1/chat/completions?gap-us=0", "300", true),
            ("/v1/chat/completions?gap-us=0", "1000000", false),
        ] {
            let headers = [("x-cut-after", cut)];
            let result = client
                .post(&server.url(path), &headers, stream.clone())
                .await;
            assert_eq!(
                matches!(result, Err(Error::Cut(_))),
                is_cut,
                "{http:?} {path} {cut}"
            );
        }
    }
}

#[tokio::test]
async fn a_cut_comes_after_exactly_that_many_bytes() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let server = start().await;
    let mut socket = TcpStream::connect(server.addr()).await.unwrap();
    let request =
        b"POST /echo HTTP/1.1\r\nhost: a\r\nx-cut-after: 7\r\ncontent-length: 10\r\n\r\n0123456789";
    socket.write_all(request).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("content-length: 10\r\n"));
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, "0123456");
}

#[tokio::test]
async fn gaps_stalls_and_delays_never_end_early() {
    let headers = [
        ("x-delay-us", "1500"),
        ("x-gap-us", "700"),
        ("x-stall-ms", "5"),
    ];
    let stream = bodies::chat(1, true, "m");
    let response = post("/v1/chat/completions?tokens=3", &headers, stream).await;
    // No event is sent before the delay, and event n not before n gaps and the stall after that.
    let due = |event: u64| match event {
        0 => 1500,
        later => 1500 + later * 700 + 5000,
    };
    let mut seen = 0;
    for (at, chunk) in &response.chunks {
        for _ in chunk.windows(2).filter(|pair| *pair == b"\n\n") {
            assert!(
                *at >= Duration::from_micros(due(seen)),
                "event {seen} at {at:?}"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 1 + 3 + 1 + 1 + 1);
}

#[tokio::test]
async fn a_dropped_server_accepts_no_more_connections() {
    let server = start().await;
    let url = server.url("/ping");
    drop(server);
    // The accept loop ends at the runtime's next turn.
    while Client::default().get(&url, &[]).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn faults_apply_unless_the_request_overrides_them_and_never_to_health_checks() {
    let behaviour = Behaviour {
        errors: ErrorFault {
            rate: 1.0,
            status: StatusCode::TOO_MANY_REQUESTS,
        },
        tokens: 3,
        ..Behaviour::default()
    };
    let addr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start_with(addr, behaviour, None).await.unwrap();
    let client = Client::default();
    let chat = || bodies::chat(1, false, "m");
    let post = async |path: &str| client.post(&server.url(path), &[], chat()).await.unwrap();
    let path = "/v1/chat/completions";
    assert_eq!(post(path).await.status, StatusCode::TOO_MANY_REQUESTS);
    let overridden = format!("{path}?status=418");
    assert_eq!(post(&overridden).await.status, StatusCode::IM_A_TEAPOT);
    let probe = client.get(&server.url("/ping"), &[]).await.unwrap();
    assert_eq!(probe.status, StatusCode::OK);
}

#[tokio::test]
async fn tls_works_with_both_versions_and_an_invalid_key_is_an_error_with_the_path() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert_file, key_file) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let identity = Identity::from_pem_files(&cert_file, &key_file).unwrap();
    let addr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start_with(addr, Behaviour::default(), Some(identity))
        .await
        .unwrap();
    let trust = crate::client::Trust::from_pem_file(&cert_file).unwrap();
    for http in [Http::One, Http::Two] {
        let client = Client::new(http, Some(trust.clone()));
        let url = server.url("/echo");
        assert!(url.starts_with("https://"), "{url}");
        let echo = client.post(&url, &[], Bytes::from("whole")).await.unwrap();
        assert_eq!(echo.body, "whole");
    }
    let error = Identity::from_pem_files(&cert_file, &cert_file).unwrap_err();
    assert!(error.to_string().contains("c.pem"), "{error}");
}

#[tokio::test]
async fn the_ceiling_is_measured_for_each_kind_of_request() {
    let ceiling = ceiling(Duration::from_millis(300)).await.unwrap();
    assert_eq!(ceiling.rates.len(), 3);
    assert!(
        ceiling.rates.iter().all(|rate| rate.per_second > 0.0),
        "{ceiling}"
    );
}
