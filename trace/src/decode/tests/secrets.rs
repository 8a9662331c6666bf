//! A secret in every field of every format, found in no trace.

use super::*;
use http::HeaderName;

use crate::{Pattern, Pointer, Redaction, Rules};

const MAIL: &str = "planted.secret@example.org";
const CARD: &str = "4111111111111111";

fn rules() -> Rules {
    Rules {
        headers: vec![HeaderName::from_static("x-customer")],
        fields: [
            "/messages/*/content",
            "/choices/*/message/content",
            "/*/secret",
            "/dataframe_split/data/*/1",
        ]
        .map(|pointer| Pointer::parse(pointer).unwrap())
        .into(),
        patterns: vec![
            Pattern::named("email").unwrap(),
            Pattern::named("credit_card").unwrap(),
            Pattern::custom("ticket", "T-[0-9]{4}").unwrap(),
        ],
        replace: "[REDACTED]".into(),
        hash_key: None,
        credentials: true,
    }
}

fn masked(exchange: Exchange, rules: &Rules) -> Decoded {
    let redaction = Redaction::from(rules.clone());
    Decoded::of(&exchange.plan(|plan| plan.redaction = redaction))
}

/// Only patterns: nothing else may hide what they have to find.
fn patterns() -> Rules {
    Rules {
        fields: Vec::new(),
        ..rules()
    }
}

#[track_caller]
fn check_absent(decoded: &Decoded, what: &str) {
    let shown = format!("{:?}", decoded.trace);
    let spellings = [MAIL, CARD, "planted", "411111", "T-1234"];
    for secret in spellings {
        assert!(!shown.contains(secret), "{what}: {secret} in {shown}");
    }
    assert!(!decoded.trace.redactions.is_empty(), "{what}");
}

/// A value that holds all secrets, as JSON writes it in three ways.
const SPELLINGS: [&str; 3] = [
    "planted.secret@example.org 4111111111111111 T-1234",
    r"planted.secret\u0040example.org 4111\u00311111111\u0031111 \u0054-1234",
    r#"{\"to\":\"planted.secret\\u0040example.org\",\"card\":4111111111111111,\"t\":[\"T-1234\"]}"#,
];

/// Bodies with `SECRET` in every string, and the path and content type they go with.
const JSON_BODIES: [(&str, &str, &str); 9] = [
    (
        "/v1/chat/completions",
        r#"{"model":"SECRET","messages":[{"role":"user","name":"SECRET","content":"SECRET"}],"stop":["SECRET"],"user":"SECRET","tools":[{"type":"function","function":{"name":"SECRET"}}],"SECRET":1}"#,
        r#"{"id":"SECRET","model":"SECRET","choices":[{"finish_reason":"SECRET","message":{"content":"SECRET","tool_calls":[{"function":{"arguments":"SECRET"}}]}}],"error":{"type":"SECRET","message":"SECRET"}}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"SECRET","system":"SECRET","messages":[{"content":[{"type":"text","text":"SECRET"}]}],"tools":[{"name":"SECRET","description":"SECRET"}]}"#,
        r#"{"id":"SECRET","content":[{"text":"SECRET"}],"stop_reason":"SECRET"}"#,
    ),
    (
        "/v1/responses",
        r#"{"input":"SECRET","instructions":"SECRET"}"#,
        r#"{"object":"response","output":[{"content":[{"text":"SECRET"}]}],"status":"SECRET"}"#,
    ),
    (
        "/v1beta/models/m:generateContent",
        r#"{"contents":[{"parts":[{"text":"SECRET"},{"functionCall":{"name":"SECRET","args":{"a":"SECRET"}}}]}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"SECRET"}}]},"finishReason":"SECRET"}]}"#,
    ),
    (
        "/v1/chat",
        r#"{"message":"SECRET","chat_history":[{"role":"USER","message":"SECRET"}]}"#,
        r#"{"text":"SECRET","generation_id":"SECRET"}"#,
    ),
    (
        "/api/generate",
        r#"{"prompt":"SECRET"}"#,
        r#"{"response":"SECRET","done_reason":"SECRET"}"#,
    ),
    (
        "/invocations",
        r#"{"dataframe_split":{"columns":["SECRET"],"data":[["SECRET"]]}}"#,
        r#"{"predictions":["SECRET"]}"#,
    ),
    (
        "/v2/models/m/infer",
        r#"{"id":"SECRET","inputs":[{"name":"SECRET","datatype":"SECRET","shape":[1],"data":["SECRET"]}]}"#,
        r#"{"model_version":"SECRET","outputs":[{"name":"SECRET","datatype":"BYTES","shape":[1],"data":["SECRET"]}],"error":"SECRET"}"#,
    ),
    ("/other", r#"{"a":"SECRET"}"#, r#"["SECRET"]"#),
];

#[test]
fn secrets_in_json_are_in_no_trace() {
    for (path, request, response) in JSON_BODIES {
        for spelling in SPELLINGS {
            let put = |body: &str| body.replace("SECRET", spelling);
            let (request, response) = (put(request), put(response));
            let whole = exchange(path, &request, &response)
                .request_header("content-type", "application/json")
                .response_header("content-type", "application/json");
            check_absent(&masked(whole, &patterns()), path);
            // Cut after the last secret, so that all of it was kept.
            let kept = response.rfind('"').unwrap_or_default();
            let cut = exchange(path, &request, "")
                .response_header("content-type", "application/json")
                .response_body(cut_body(response.as_bytes(), kept));
            check_absent(&masked(cut, &patterns()), &format!("{path}, cut"));
        }
    }
}

#[test]
fn secrets_in_streams_are_in_no_trace() {
    let rows = [
        (
            "/v1/chat/completions",
            vec![
                r#"{"choices":[{"index":0,"delta":{"content":"to planted.secr"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"et@example.org T-1"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"234 411111111111"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"1111."},"finish_reason":"stop"}]}"#,
            ],
        ),
        (
            "/v1/messages",
            vec![
                r#"{"type":"message_start","message":{"id":"m","role":"assistant","type":"message"}}"#,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":\"planted.secret\\u00"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"40example.org\"}"}}"#,
                r#"{"type":"message_stop"}"#,
            ],
        ),
        (
            "/unknown",
            vec![r#"{"a":"planted.secret\u0040example.org"}"#, "T-1234"],
        ),
    ];
    for (path, datas) in rows {
        let stream: String = datas
            .iter()
            .map(|data| format!("data: {data}\n\n"))
            .collect();
        let events = exchange(path, r#"{"messages":[]}"#, &stream)
            .response_header("content-type", "text/event-stream");
        check_absent(&masked(events, &patterns()), path);
    }
    let cut = exchange("/unknown", "", "")
        .response_header("content-type", "text/event-stream")
        .response_body(cut_body(b"data: \"planted.secret\\u0040example.org\"", 38));
    let shown = format!("{:?}", masked(cut, &patterns()).trace);
    assert!(!shown.contains("planted"), "{shown}");
}

#[test]
fn secrets_in_what_is_no_json_are_in_no_trace() {
    for content_type in [
        "text/plain",
        "text/csv",
        "application/json",
        "application/xml",
    ] {
        let text = format!("{MAIL}, {CARD}\n\"T-1234\"");
        let broken = exchange("/x", &text, &text)
            .request_header("content-type", content_type)
            .response_header("content-type", content_type);
        check_absent(&masked(broken, &patterns()), content_type);
    }
}

#[test]
fn secrets_in_heads_are_in_no_trace() {
    let target = format!(
        "/users/{MAIL}/x?mail={}&key=T-1234",
        MAIL.replace('@', "%40")
    );
    let head = exchange(&target, "", "{}")
        .request_header("authorization", "Bearer planted")
        .request_header("cookie", "session=planted")
        .request_header("x-customer", "planted")
        .request_header("user-agent", MAIL)
        .plan(|plan| {
            let from = |name: &str| crate::Source::Header(name.parse().unwrap());
            plan.user = vec![from("x-customer")];
            plan.session = vec![from("cookie")];
            plan.tags = vec![
                ("auth".into(), from("authorization")),
                ("agent".into(), from("user-agent")),
            ];
            plan.join = true;
        });
    let decoded = masked(head, &patterns());
    check_absent(&decoded, "head");
    decoded.check_root(&[
        ("user.id", "[REDACTED]"),
        ("session.id", "[REDACTED]"),
        ("mlflow.traceTag.auth", "[REDACTED]"),
    ]);
}

#[test]
fn fields_are_masked_before_anything_is_read_from_them() {
    let decoded = masked(
        chat(
            r#"{"model":"m","messages":[{"role":"user","content":"planted"}]}"#,
            r#"{"choices":[{"message":{"content":"planted"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        ),
        &rules(),
    );
    check_absent(&decoded, "chat");
    decoded.check_root(&[
        (
            "mlflow.spanInputs",
            r#"{"model":"m","messages":[{"role":"user","content":"[REDACTED]"}]}"#,
        ),
        (
            "offpath.redactions",
            "/messages/*/content=1,/choices/*/message/content=1",
        ),
    ]);
    decoded.check_upstream(&[(
        "mlflow.chat.tokenUsage",
        r#"{"input_tokens":1,"output_tokens":2}"#,
    )]);
    let stream = masked(
        stream(&[
            r#"{"choices":[{"index":0,"delta":{"content":"plan"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"ted"},"finish_reason":"stop"}]}"#,
        ]),
        &rules(),
    );
    check_absent(&stream, "stream");
    let frame = exchange(
        "/invocations",
        r#"{"dataframe_split":{"columns":["a","b"],"data":[[1,"planted"],[2,null]]}}"#,
        "{}",
    );
    let frame = masked(frame, &rules());
    check_absent(&frame, "frame");
    let inputs = r#"{"dataframe_split":{"columns":["a","b"],"data":[[1,"[REDACTED]"],[2,null]]}}"#;
    frame.check_root(&[("mlflow.spanInputs", inputs)]);
}

#[test]
fn what_cannot_be_taken_apart_is_not_kept_where_fields_are_masked() {
    let broken = r#"{"messages":[{"content":"planted"}],,}"#;
    for (content_type, text) in [
        ("application/json", broken),
        ("", broken),
        ("application/x-ndjson", "{}\n{\"secret\":\"planted\",}\n"),
    ] {
        let decoded = masked(
            exchange("/x", "{}", text).response_header("content-type", content_type),
            &rules(),
        );
        let shown = format!("{:?}", decoded.trace);
        assert!(!shown.contains("planted"), "{content_type}: {shown}");
        assert!(shown.contains("sha256"), "{content_type}: {shown}");
    }
    let lines = "{\"a\":{\"secret\":\"planted\"}}\n{}\n";
    let lines = exchange("/x", "{}", lines).response_header("content-type", "application/x-ndjson");
    check_absent(&masked(lines, &rules()), "lines");
}

#[test]
fn equal_values_have_equal_masks_under_a_key() {
    let keyed = Rules {
        hash_key: Some(b"k".to_vec()),
        ..rules()
    };
    let body = format!(r#"{{"a":"{MAIL}","b":"{MAIL}","c":"other@example.org"}}"#);
    let decoded = masked(exchange("/x", &body, "{}"), &keyed);
    check_absent(&decoded, "keyed");
    let inputs: serde_json::Value =
        serde_json::from_str(&decoded.root("mlflow.spanInputs")).unwrap();
    assert_eq!(inputs["a"], inputs["b"]);
    assert_ne!(inputs["a"], inputs["c"]);
    assert_eq!(decoded.root("offpath.redactions"), "email=3");
}

#[test]
fn a_secret_beside_a_text_of_the_same_length_is_masked_and_that_text_is_not() {
    let secret = "mail bob@secret.example";
    let plain = "tell me what to do now.";
    assert_eq!(secret.len(), plain.len());
    for (asked, answered) in [(secret, plain), (plain, secret), (plain, plain)] {
        let exchange = exchange("/x", asked, answered)
            .request_header("content-type", "text/plain")
            .response_header("content-type", "text/plain");
        let decoded = masked(exchange, &patterns());
        for (key, body) in [
            ("mlflow.spanInputs", asked),
            ("mlflow.spanOutputs", answered),
        ] {
            let expect = match body == secret {
                true => r#""mail [REDACTED]""#,
                false => r#""tell me what to do now.""#,
            };
            assert_eq!(decoded.root(key), expect, "{asked} / {answered}");
        }
    }
}

#[test]
fn headers_of_the_same_length_are_masked_each_by_itself() {
    let values = ["a@secret.example", "nobody is listed", "b@secret.example"];
    let source = |name: &str| crate::Source::Header(name.parse().unwrap());
    let exchange = exchange("/x", "", "")
        .request_header("x-a", values[0])
        .request_header("x-b", values[1])
        .request_header("x-c", values[2])
        .plan(|plan| {
            plan.tags = ["x-a", "x-b", "x-c"]
                .map(|name| (name.into(), source(name)))
                .into();
        });
    masked(exchange, &patterns()).check_root(&[
        ("mlflow.traceTag.x-a", "[REDACTED]"),
        ("mlflow.traceTag.x-b", values[1]),
        ("mlflow.traceTag.x-c", "[REDACTED]"),
    ]);
}

#[test]
fn the_bytes_that_pass_are_not_touched() {
    let exchange = exchange("/x", &format!(r#"{{"a":"{MAIL}"}}"#), "{}");
    let before = exchange.request.body.chunks[0].bytes.clone();
    let exchange = exchange.plan(|plan| plan.redaction = Redaction::from(rules()));
    let decoded = Decoded::of(&exchange);
    check_absent(&decoded, "copy");
    assert_eq!(exchange.request.body.chunks[0].bytes, before);
}
