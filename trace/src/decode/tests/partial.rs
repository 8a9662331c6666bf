//! What every API has in common when something is missing or refused.

use super::*;

const OUT: &str = "mlflow.spanOutputs";

/// An API, and a whole stream of it.
pub(super) struct Streamed {
    pub(super) path: &'static str,
    request: &'static str,
    pub(super) content_type: &'static str,
    pub(super) stream: Vec<u8>,
}

/// The body after the second empty line of a golden file.
fn golden(file: &str) -> Vec<u8> {
    let (_, response) = file.split_once("\n=====\n").unwrap();
    let (_, body) = response.split_once("\n\n").unwrap();
    body.as_bytes().to_vec()
}

pub(super) fn streams() -> Vec<Streamed> {
    let events = |path, request, file| Streamed {
        path,
        request,
        content_type: "text/event-stream",
        stream: golden(file),
    };
    let converse = [
        ("messageStart", r#"{"role":"assistant"}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"Hi"}}"#,
        ),
        ("messageStop", r#"{"stopReason":"end_turn"}"#),
        (
            "metadata",
            r#"{"usage":{"inputTokens":1,"outputTokens":1}}"#,
        ),
    ];
    let frames =
        converse.map(|(kind, payload)| frame_of(&[(":event-type", kind)], payload.as_bytes()));
    vec![
        events(
            "/v1/chat/completions",
            r#"{"model":"m","messages":[]}"#,
            include_str!("../../../tests/data/chat/tools_stream.http"),
        ),
        events(
            "/v1/messages",
            r#"{"model":"m","messages":[]}"#,
            include_str!("../../../tests/data/messages/tools_stream.http"),
        ),
        events(
            "/v1/responses",
            r#"{"model":"m","input":""}"#,
            include_str!("../../../tests/data/responses/stream.http"),
        ),
        events(
            "/v1beta/models/m:streamGenerateContent",
            r#"{"contents":[]}"#,
            include_str!("../../../tests/data/gemini/stream.http"),
        ),
        events(
            "/v2/chat",
            r#"{"model":"m","messages":[]}"#,
            include_str!("../../../tests/data/cohere/v2_stream.http"),
        ),
        Streamed {
            path: "/api/chat",
            request: r#"{"model":"m","messages":[]}"#,
            content_type: "application/x-ndjson",
            stream: golden(include_str!("../../../tests/data/ollama/chat_stream.http")),
        },
        Streamed {
            path: "/model/m/converse-stream",
            request: r#"{"messages":[]}"#,
            content_type: "application/vnd.amazon.eventstream",
            stream: frames.concat(),
        },
    ]
}

impl Streamed {
    pub(super) fn exchange(&self, body: Body) -> Exchange {
        exchange(self.path, self.request, "")
            .request_header("content-type", "application/json")
            .response_header("content-type", self.content_type)
            .response_body(body)
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_keeps_what_came() {
    for streamed in streams() {
        let path = streamed.path;
        let whole = Decoded::of(&streamed.exchange(body(&[&streamed.stream])));
        assert_eq!(whole.defects, [], "{path}");
        assert_eq!(whole.root("offpath.end_reason"), "complete", "{path}");
        for kept in (1..streamed.stream.len()).step_by(13) {
            let cut = Decoded::of(&streamed.exchange(cut_body(&streamed.stream, kept)));
            assert_eq!(cut.defects, [Defect::BodyTruncated], "{path} at {kept}");
            let outputs = cut.root(OUT);
            let json = serde_json::from_str::<serde_json::Value>(&outputs);
            assert!(json.is_ok(), "{path} at {kept}: {outputs}");
            assert_eq!(
                cut.root("offpath.end_reason"),
                "complete",
                "{path} at {kept}"
            );
        }
    }
}

#[test]
fn a_stream_that_ends_early_says_how() {
    for streamed in streams() {
        let path = streamed.path;
        let half = &streamed.stream[..streamed.stream.len() / 2];
        for (end, reason) in [
            (EndReason::ClientLeft, "client_left"),
            (EndReason::UpstreamCut, "upstream_cut"),
            (EndReason::Timeout, "timeout"),
            (EndReason::Complete, "incomplete"),
        ] {
            let left = streamed
                .exchange(body(&[half]))
                .with(|exchange| exchange.outcome.end = end);
            let decoded = Decoded::of(&left);
            assert_eq!(decoded.root("offpath.end_reason"), reason, "{path}");
            assert!(decoded.root(OUT).starts_with('{'), "{path}");
            let expect = if reason == "client_left" { "-" } else { reason };
            assert_eq!(decoded.upstream("error.type"), expect, "{path}");
        }
    }
}

#[test]
fn a_refusal_is_an_error_of_its_api() {
    let refusal = r#"{"error":{"type":"rate_limit_error","message":"Slow down"}}"#;
    for streamed in streams() {
        let path = streamed.path;
        let refused = exchange(path, streamed.request, refusal)
            .response_header("content-type", "application/json")
            .with(|exchange| {
                exchange.response.as_mut().unwrap().status = StatusCode::TOO_MANY_REQUESTS;
            });
        let decoded = Decoded::of(&refused);
        assert_eq!(decoded.root(OUT), refusal, "{path}");
        assert_eq!(decoded.upstream("error.type"), "429", "{path}");
        assert_eq!(decoded.upstream("mlflow.chat.tokenUsage"), "-", "{path}");
        let status = format!("{:?}", decoded.trace.spans[0].status);
        assert!(
            status.contains("rate_limit_error: Slow down"),
            "{path}: {status}"
        );
    }
}

#[test]
fn a_cut_request_still_tells_what_its_beginning_says() {
    for path in [
        "/v1/messages",
        "/v1/responses",
        "/v2/chat",
        "/api/chat",
        "/v1/completions",
    ] {
        let whole = br#"{"model":"named","max_tokens":5,"messages":[{"content":"long"#;
        let cut = exchange(path, "", "{}")
            .request_header("content-type", "application/json")
            .with(|exchange| exchange.request.body = cut_body(whole, whole.len() - 2));
        let decoded = Decoded::of(&cut);
        assert_eq!(decoded.upstream("gen_ai.request.model"), "named", "{path}");
        assert_eq!(decoded.upstream("gen_ai.request.max_tokens"), "5", "{path}");
        assert!(
            decoded
                .root("mlflow.spanInputs")
                .contains("\"truncated\":true")
        );
    }
}

#[test]
fn the_manual_names_tests_that_there_are() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let sources = [
        include_str!("chat.rs"),
        include_str!("credentials.rs"),
        include_str!("drawn.rs"),
        include_str!("generic.rs"),
        include_str!("golden.rs"),
        include_str!("hostile.rs"),
        include_str!("infer.rs"),
        include_str!("models.rs"),
        include_str!("partial.rs"),
        include_str!("scoring.rs"),
        include_str!("secrets.rs"),
        include_str!("spans.rs"),
        include_str!("splits.rs"),
        include_str!("verdict.rs"),
        include_str!("../arrival.rs"),
        include_str!("../media.rs"),
        include_str!("../../../tests/cases.rs"),
        include_str!("../../redact/credential/tests.rs"),
        include_str!("../../redact/names.rs"),
        include_str!("../../redact/prose.rs"),
        include_str!("../../redact/value.rs"),
        include_str!("../../../tests/corpus.rs"),
        include_str!("../../../tests/servers/mod.rs"),
        include_str!("../../../../tests/tests/corpus.rs"),
        include_str!("../../../../tests/tests/secrets.rs"),
        include_str!("../../../../tests/tests/secrets/credentials.rs"),
    ];
    let mut named = 0;
    for name in manual.split('`').skip(1).step_by(2) {
        let is_test = name.matches('_').count() > 2
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_test {
            let there = |source: &&str| source.contains(&format!("fn {name}("));
            assert!(sources.iter().any(there), "{name}");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}
