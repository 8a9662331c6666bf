//! Bytes that no one would send in good faith.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::Source;
use crate::decode::defect::Notes;
use crate::decode::encoding::open;

/// What a trace holds beyond a multiple of the bodies: names, ids, sizes.
const OVERHEAD_BYTES: usize = 256 * 1024;

/// What an exchange without bodies has in its trace, and some.
const NAMES_BYTES: usize = 8 * 1024;

/// Bytes of text in a trace.
fn held(trace: &Trace) -> usize {
    let text = |value: &Value| match value {
        Value::Text(text) => text.as_bytes().len(),
        Value::Texts(list) => list.iter().map(|text| text.as_bytes().len()).sum(),
        _ => 8,
    };
    let attributes = trace.spans.iter().flat_map(|span| &span.attributes);
    attributes.map(|(key, value)| key.len() + text(value)).sum()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

const STREAM: &str = "\u{feff}: hi\r\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"h\\u00e9 😀\"}}]}\r\n\r\ndata:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo\"},\"finish_reason\":\"stop\"}],\ndata: \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\ndata: [DONE]\n\n";

proptest! {
    #[test]
    fn arbitrary_bytes_give_a_bounded_trace(
        request in prop::collection::vec(any::<u8>(), 0..2000),
        response in prop::collection::vec(any::<u8>(), 0..2000),
        types in prop::collection::vec(0..TYPES.len(), 2),
        encodings in prop::collection::vec(0..ENCODINGS.len(), 2),
        path in 0..PATHS.len(),
        truncated in any::<bool>(),
    ) {
        check_bounded(&request, &response, &types, &encodings, path, truncated);
    }

    #[test]
    fn damaged_bodies_give_a_bounded_trace(
        at in 0..STREAM.len(),
        byte in any::<u8>(),
        types in prop::collection::vec(0..TYPES.len(), 2),
        path in 0..PATHS.len(),
        sample in 0..SAMPLES.len(),
    ) {
        let mut response = STREAM.as_bytes().to_vec();
        response[at] = byte;
        let mut request = SAMPLES[sample].as_bytes().to_vec();
        let at = at % request.len();
        request[at] = byte;
        check_bounded(&request, &response, &types, &[0, 0], path, false);
        check_bounded(&request[..at], &response[..at], &types, &[0, 0], path, true);
    }
}

const TYPES: [&str; 9] = [
    "application/vnd.amazon.eventstream",
    "application/json",
    "text/event-stream",
    "text/csv",
    "text/plain",
    "application/octet-stream",
    "multipart/form-data; boundary=x",
    "application/x-ndjson",
    "nonsense",
];
const ENCODINGS: [&str; 6] = ["identity", "gzip", "deflate", "br", "zstd", "br, zstd, x"];
const PATHS: [&str; 14] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1beta/models/m:streamGenerateContent",
    "/model/m/converse-stream",
    "/model/m/invoke-with-response-stream",
    "/v1/chat",
    "/v2/chat",
    "/api/chat",
    "/v1/embeddings",
    "/invocations",
    "/x/infer",
    "/",
];
const SAMPLES: [&str; 3] = [
    r#"{"dataframe_split":{"columns":["a","b"],"data":[[1,"x"],[2,NaN]]}}"#,
    r#"{"model":"m","tools":[{}],"messages":[{"role":"user","content":"\ud83d\ude00"}]}"#,
    "a,b\n1,\"x\ny\"\n2,z",
];

fn check_bounded(
    request: &[u8],
    response: &[u8],
    types: &[usize],
    encodings: &[usize],
    path: usize,
    truncated: bool,
) {
    const DECODED_MAX: usize = 64 * 1024;

    let answered = Body {
        truncated,
        ..body(&[response])
    };
    let exchange = exchange(PATHS[path], "", "")
        .plan(|plan| plan.decoded_max = DECODED_MAX)
        .request_header("content-type", TYPES[types[0]])
        .response_header("content-type", TYPES[types[1]])
        .request_header("content-encoding", ENCODINGS[encodings[0]])
        .response_header("content-encoding", ENCODINGS[encodings[1]])
        .with(|exchange| {
            exchange.request.body = Body {
                truncated,
                ..body(&[request])
            }
        })
        .response_body(answered);
    let (trace, _) = decode(&exchange);
    // A body is on the root and on the call, a control character is six as JSON, and a column of a
    // table is a name, a type and its figures.
    let plain = |headers: &Headers, bytes: &[u8]| {
        let bytes = Bytes::copy_from_slice(bytes);
        let notes = &mut Notes::default();
        open(headers, bytes, truncated, DECODED_MAX, notes)
            .bytes
            .len()
    };
    let response_headers = &exchange.response.as_ref().unwrap().headers;
    let bodies = plain(&exchange.request.headers, request) + plain(response_headers, response);
    let held = held(&trace);
    assert!(held <= 24 * bodies + NAMES_BYTES, "{held} of {bodies}");
    for span in &trace.spans {
        for (key, value) in &span.attributes {
            if let ("mlflow.spanInputs" | "mlflow.spanOutputs", Value::Text(text)) = (&**key, value)
            {
                let json = text.as_bytes();
                assert!(
                    crate::decode::json::document(json).is_ok(),
                    "{key} {json:?}"
                );
                assert!(std::str::from_utf8(json).is_ok());
            }
        }
    }
}

#[test]
fn a_bomb_stays_within_the_cap() {
    let zeros = gzip(&vec![b'1'; 64 << 20]);
    let twice = gzip(&zeros);
    let exchange = exchange("/x", "", "")
        .plan(|plan| plan.decoded_max = 1 << 20)
        .response_header("content-type", "text/plain")
        .response_header("content-encoding", "gzip, gzip")
        .response_body(body(&[&twice]));
    let (trace, defects) = decode(&exchange);
    assert!(held(&trace) < (1 << 20) + OVERHEAD_BYTES);
    assert_eq!(defects, [Defect::OutputCap]);
}

#[test]
fn a_million_brackets_overflow_no_stack() {
    let deep = "[".repeat(1_000_000);
    let object = "{\"messages\":".repeat(100_000);
    let event = format!("data: {{\"choices\":{deep}\n\n");
    // A small stack: the default of a thread would hide much.
    let run = move || {
        for deep in [&deep, &object] {
            let decoded = Decoded::of(&chat(deep, deep));
            assert_eq!(decoded.defects, [Defect::TooDeep]);
            Decoded::of(&exchange("/invocations", deep, deep));
        }
        let decoded = Decoded::of(&stream(&[]).response_body(body(&[event.as_bytes()])));
        assert_eq!(decoded.defects, [Defect::MalformedSse]);
    };
    std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn no_header_holds_what_chokes_the_reader() {
    for value in ["[".repeat(5000), "9".repeat(5000)] {
        let exchange = exchange(&format!("/{value}?{value}"), "", "")
            .request_header("user-agent", &value)
            .request_header("x-tenant", &value)
            .plan(|plan| {
                plan.join = true;
                plan.tags = vec![("tenant".into(), Source::Header("x-tenant".parse().unwrap()))];
            })
            .with(|exchange| exchange.request_id = value.as_str().into());
        for span in Decoded::of(&exchange).trace.spans {
            for (key, value) in &span.attributes {
                if let Value::Text(text) = value {
                    assert!(crate::decode::json::is_harmless(text.as_bytes()), "{key}");
                }
            }
        }
    }
}

#[test]
fn parts_without_end_are_passed_over() {
    let choice =
        |n: usize| format!("{{\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":\"x\"}}}}]}}");
    let call = |n: usize| {
        format!(
            "{{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":{n},\"id\":\"{n}\"}}]}}}}]}}"
        )
    };
    let member = |n: usize| format!("{{\"choices\":[{{\"delta\":{{\"k{n}\":\"x\"}}}}]}}");
    for event in [&choice as &dyn Fn(usize) -> String, &call, &member] {
        let mut events: Vec<_> = (0..2000).map(event).collect();
        events.push("[DONE]".into());
        let events: Vec<_> = events.iter().map(String::as_str).collect();
        let decoded = Decoded::of(&stream(&events));
        assert_eq!(decoded.defects, [Defect::TooManyParts]);
        assert!(held(&decoded.trace) < OVERHEAD_BYTES);
    }
}

#[test]
fn an_event_that_is_too_large_is_passed_over() {
    let large = format!(
        "{{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}",
        "x".repeat(5 << 20)
    );
    let small = r#"{"choices":[{"index":0,"delta":{"content":"y"},"finish_reason":"stop"}]}"#;
    let decoded = Decoded::of(&stream(&[&large, small]));
    assert_eq!(decoded.defects, [Defect::EventTooLarge]);
    assert!(decoded.root("mlflow.spanOutputs").contains("\"y\""));
}
