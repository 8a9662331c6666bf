//! Chats, through OpenAI's own Python client.

use offpath_loadtest::upstream::Server;
use offpath_tests::mlflow::Tracking;
use serde_json::{Value, json};

use crate::{python, recording, tree};

#[tokio::test]
async fn chats_of_the_openai_client_arrive_with_every_column() {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let gateway = recording(model.url(""), "chats")
        .set("routes/0/name", "support")
        .set("routes/0/trace/name", "support chat")
        .set("routes/0/trace/user", json!([{"header": "x-user-id"}]))
        .set(
            "routes/0/trace/session",
            json!([{"header": "x-session-id"}]),
        )
        .set(
            "routes/0/trace/tags",
            json!({"environment": "production", "tenant": {"header": "x-tenant"}}),
        )
        .start()
        .await;
    let said: Value =
        serde_json::from_str(&python("chat.py", &[&(gateway.url() + "/v1")]).await).unwrap();
    let traces = Tracking::server().traces("chats", 2).await;
    assert_eq!(traces.len(), 2);
    for (trace, kind) in traces.iter().zip(["plain", "streamed"]) {
        check(trace, &said[kind], kind == "streamed");
    }
    for (filter, count) in [
        ("tag.environment = 'production'", 2),
        ("tag.tenant = 'acme'", 2),
        ("tag.`offpath.route` = 'support'", 2),
        ("metadata.`mlflow.trace.user` = 'user-7'", 2),
        ("metadata.`mlflow.trace.session` = 'session-9'", 2),
        ("trace.name = 'support chat'", 2),
        ("trace.status = 'OK'", 2),
        ("trace.status = 'ERROR'", 0),
        ("span.type = 'CHAT_MODEL'", 2),
        ("trace.execution_time_ms >= 0", 2),
    ] {
        assert_eq!(
            Tracking::server().search("chats", filter),
            count,
            "{filter}"
        );
    }
}

#[track_caller]
fn check(trace: &Value, said: &Value, streamed: bool) {
    assert_eq!(trace["state"], "OK");
    assert_eq!(trace["request_preview"], "Where is my parcel?");
    assert_eq!(trace["response_preview"], said["text"]);
    assert!(trace["execution_time_ms"].is_u64(), "{trace:#}");
    assert_eq!(trace["tags"]["mlflow.traceName"], "support chat");
    assert_eq!(trace["tags"]["offpath.kept_because"], "ratio");
    for (kind, count) in said["usage"].as_object().unwrap() {
        assert_eq!(&trace["token_usage"][kind], count, "{kind}");
    }
    let (root, children) = tree(trace);
    assert_eq!(
        (&root["name"], &root["type"]),
        (&"support chat".into(), &"CHAIN".into())
    );
    assert_eq!(root["attributes"]["http.response.status_code"], 200);
    assert_eq!(
        root["inputs"]["messages"][1]["content"],
        "Where is my parcel?"
    );
    assert_eq!(
        root["inputs"]["stream"],
        if streamed { json!(true) } else { Value::Null }
    );
    let message = &root["outputs"]["choices"][0]["message"];
    assert_eq!(
        (&message["role"], &message["content"]),
        (&"assistant".into(), &said["text"])
    );
    let [call] = children[..] else {
        panic!("one child: {children:#?}")
    };
    assert_eq!(
        (&call["name"], &call["type"]),
        (&"chat gpt-4o-mini".into(), &"CHAT_MODEL".into())
    );
    assert_eq!(call["outputs"], root["outputs"]);
    assert_eq!(call["attributes"]["mlflow.message.format"], "openai");
    assert_eq!(call["attributes"]["gen_ai.request.model"], "gpt-4o-mini");
    let first_byte = call["attributes"]["offpath.first_byte_ms"]
        .as_f64()
        .unwrap();
    assert!(first_byte > 0.0 && first_byte <= trace["execution_time_ms"].as_f64().unwrap() + 1.0);
}

#[tokio::test]
async fn a_callers_context_leaves_the_trace_whole() {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let gateway = recording(model.url(""), "callers").start().await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (head, _) = gateway.exchange(request).await;
    let trace = Tracking::server().trace("callers").await;
    assert_eq!(head.field("x-offpath-trace-id"), trace["id"].as_str());
    assert_eq!(
        (&trace["state"], &trace["request_preview"]),
        (&"OK".into(), &"Hello".into())
    );
    assert_eq!(trace["tags"]["mlflow.traceName"], "model");
    let (root, _) = tree(&trace);
    assert_eq!(
        root["attributes"]["offpath.caller.trace_id"],
        "0af7651916cd43dd8448eb211c80319c"
    );
}

#[tokio::test]
async fn the_environments_experiment_is_made_and_used() {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let sink = json!({"mlflow": {"type": "mlflow"}});
    let gateway = offpath_tests::Gateway::before(model.url(""))
        .set("export/sinks", sink)
        .env("MLFLOW_TRACKING_URI", Tracking::server().uri())
        .env("MLFLOW_EXPERIMENT_NAME", "from the environment")
        .start()
        .await;
    gateway
        .exchange("GET /version HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert!(gateway.terminate().await.status.success());
    Tracking::server().trace("from the environment").await;
}

#[tokio::test]
async fn metadata_and_the_clients_request_id_leave_the_rest_as_it_was() {
    let model = Server::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let trace = json!({
        "experiment": "metadata",
        "user": [{"body": "/user"}],
        "tags": {"environment": "production"},
        "metadata": {"release": "1.4", "cart": {"header": "x-cart"}},
        "client_request_id": [{"header": "x-request-id"}],
    });
    let gateway = recording(model.url(""), "metadata")
        .set("routes/0/trace", trace)
        .start()
        .await;
    let body = r#"{"model":"m","user":"u-1","messages":[{"role":"user","content":"Hello"}]}"#;
    for (n, status) in ["", "x-status: 503\r\n"].iter().enumerate() {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             x-request-id: r-{n}\r\nx-cart: c-{n}\r\n{status}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        gateway.exchange(request).await;
    }
    assert!(gateway.terminate().await.status.success());
    let traces = Tracking::server().traces("metadata", 2).await;
    for (n, (trace, state)) in traces.iter().zip(["OK", "ERROR"]).enumerate() {
        assert_eq!(trace["state"], state, "{trace:#}");
        assert_eq!(trace["client_request_id"], format!("r-{n}"));
        assert_eq!(trace["request_preview"], "Hello");
        assert_eq!(trace["tags"]["environment"], "production");
        assert_eq!(trace["tags"]["mlflow.traceName"], "model");
        let metadata = &trace["metadata"];
        assert_eq!(
            (&metadata["release"], &metadata["cart"]),
            (&"1.4".into(), &format!("c-{n}").into())
        );
        assert_eq!(metadata["mlflow.trace.user"], "u-1");
        assert!(trace["execution_time_ms"].as_u64().unwrap() < 10_000);
        assert_eq!(trace["spans"].as_array().unwrap().len(), 2);
    }
    assert!(traces[0]["token_usage"]["total_tokens"].as_u64().unwrap() > 0);
    for filter in [
        "metadata.release = '1.4'",
        "trace.client_request_id LIKE 'r-%'",
    ] {
        assert_eq!(Tracking::server().search("metadata", filter), 2, "{filter}");
    }
}
