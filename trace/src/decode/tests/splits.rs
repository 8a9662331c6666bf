//! What a trace says does not hang on where the wire cut a body, nor on how it was packed: for every
//! API that is read, whole exchanges of each.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// The exchanges in files, all there are.
const FILES: [&str; 16] = [
    "chat/mistral_thinking",
    "chat/tools_stream",
    "cohere/v2_stream",
    "converse/tools",
    "embeddings/two",
    "gemini/stream",
    "generic/html_error",
    "infer/mlserver",
    "infer/mlserver_unknown",
    "messages/tools_stream",
    "ollama/chat_stream",
    "responses/stream",
    "scoring/dataframe_split",
    "scoring/mlflow_serve",
    "scoring/mlflow_serve_csv",
    "scoring/mlflow_serve_error",
];

/// Exchanges whose bodies are no text, or of APIs without a file.
const OTHERS: [fn() -> Exchange; 6] = [
    converse_stream,
    invoke_stream,
    form,
    grpc,
    llama_completion,
    hostile_sse,
];

fn frames(path: &str, request: &str, payloads: &[(&str, String)]) -> Exchange {
    let frame = |(kind, payload): &(&str, String)| {
        let headers = [(":event-type", *kind), (":message-type", "event")];
        frame_of(&headers, payload.as_bytes())
    };
    let frames: Vec<_> = payloads.iter().flat_map(frame).collect();
    exchange(path, request, "")
        .request_header("content-type", "application/json")
        .response_header("content-type", "application/vnd.amazon.eventstream")
        .response_body(body(&[&frames]))
}

fn converse_stream() -> Exchange {
    let text = |text: &str| {
        let payload = format!(r#"{{"contentBlockIndex":0,"delta":{{"text":"{text}"}}}}"#);
        ("contentBlockDelta", payload)
    };
    frames(
        "/model/amazon.nova-lite-v1%3A0/converse-stream",
        r#"{"messages":[{"role":"user","content":[{"text":"h\u00e9 😀"}]}]}"#,
        &[
            ("messageStart", r#"{"role":"assistant"}"#.into()),
            text("Sun"),
            text("n\u{fd} 😀"),
            ("messageStop", r#"{"stopReason":"end_turn"}"#.into()),
            (
                "metadata",
                r#"{"usage":{"inputTokens":5,"outputTokens":7,"totalTokens":12}}"#.into(),
            ),
        ],
    )
}

fn invoke_stream() -> Exchange {
    use base64::Engine as _;
    let chunk = |payload: &str| {
        let packed = base64::engine::general_purpose::STANDARD.encode(payload);
        ("chunk", format!(r#"{{"bytes":"{packed}"}}"#))
    };
    frames(
        "/model/meta.llama/invoke-with-response-stream",
        r#"{"prompt":"Hi","max_gen_len":5}"#,
        &[
            chunk(r#"{"generation":"Hel","prompt_token_count":3}"#),
            chunk(r#"{"generation":"lo","generation_token_count":2,"stop_reason":"stop"}"#),
        ],
    )
}

fn form() -> Exchange {
    let part = "--x\r\ncontent-disposition: form-data; name=\"";
    let request = format!(
        "{part}model\"\r\n\r\nwhisper\r\n{part}file\"; filename=\"a.wav\"\r\n\
         content-type: audio/wav\r\n\r\nRIFF\u{1}\u{2}\r\n--x--\r\n"
    );
    exchange("/v1/audio/transcriptions", &request, r#"{"text":"Hello"}"#)
        .request_header("content-type", "multipart/form-data; boundary=x")
        .response_header("content-type", "application/json")
}

fn grpc() -> Exchange {
    let message = |text: &str| [&[0, 0, 0, 0, text.len() as u8], text.as_bytes()].concat();
    let sent = [message("one"), message("two")].concat();
    exchange("/inference.Service/Infer", "", "")
        .request_header("content-type", "application/grpc")
        .response_header("content-type", "application/grpc")
        .with(|exchange| exchange.request.body = body(&[&sent]))
        .response_body(body(&[&sent]))
}

fn llama_completion() -> Exchange {
    let stream = "data: {\"index\":0,\"content\":\"Par\",\"stop\":false}\n\n\
        data: {\"index\":0,\"content\":\"is\",\"stop\":true,\"stop_type\":\"eos\",\"tokens_predicted\":2}\n\n";
    exchange("/completion", r#"{"prompt":"The capital is"}"#, stream)
        .response_header("content-type", "text/event-stream")
}

/// A byte order mark, comments, both line ends, a torn character, data on two lines.
fn hostile_sse() -> Exchange {
    let events = "\u{feff}: hi\r\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\
        \"assistant\",\"content\":\"h\\u00e9 😀\"}}]}\r\n\r\ndata:{\"choices\":[{\"index\":0,\
        \"delta\":{\"content\":\"llo\"},\"finish_reason\":\"stop\"}],\ndata: \"usage\":\
        {\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\ndata: [DONE]\n\n";
    stream(&[]).response_body(body(&[events.as_bytes()]))
}

/// Every exchange there is, by its number.
fn case(number: usize) -> (String, Exchange) {
    match FILES.get(number) {
        Some(name) => {
            let file = format!("{}/tests/data/{name}.http", env!("CARGO_MANIFEST_DIR"));
            let wire = std::fs::read_to_string(file).unwrap();
            ((*name).to_owned(), golden::parse(&wire))
        }
        None => {
            let number = number - FILES.len();
            (format!("other {number}"), OTHERS[number]())
        }
    }
}

const CASES: std::ops::Range<usize> = 0..FILES.len() + OTHERS.len();

/// Everything a trace says, comparable.
fn shown(exchange: &Exchange) -> String {
    shown_but(exchange, &[])
}

/// When pieces came is not known where one coding lies on another.
const TIMES: &[&str] = &[
    "offpath.first_content_ms",
    "gen_ai.response.time_to_first_chunk",
    "offpath.tokens_per_second",
];

/// The same, without these attributes.
fn shown_but(exchange: &Exchange, ignored: &[&str]) -> String {
    let (mut trace, defects) = decode(exchange);
    for span in &mut trace.spans {
        span.attributes
            .retain(|(key, _)| !ignored.contains(&&**key));
    }
    format!("{trace:?} {defects:?}")
}

fn joined(body: &Body) -> Vec<u8> {
    let chunks = body.chunks.iter();
    chunks.flat_map(|chunk| chunk.bytes.to_vec()).collect()
}

/// The bytes, cut at these shares of their length; what passed counts as `size` bytes.
fn cut(bytes: &[u8], shares: &[f64], size: u64) -> Body {
    let mut cuts: Vec<_> = shares
        .iter()
        .map(|share| (share * bytes.len() as f64) as usize)
        .chain([0, bytes.len()])
        .collect();
    cuts.sort_unstable();
    let chunks: Vec<_> = cuts
        .windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect();
    Body {
        bytes: size,
        ..body(&chunks)
    }
}

/// The same exchange, with each body made anew.
fn remade(exchange: Exchange, make: impl Fn(&[u8], u64) -> Body) -> Exchange {
    let request = make(&joined(&exchange.request.body), exchange.request.body.bytes);
    let response = exchange.response.as_ref().map(|response| &response.body);
    let response = response.map(|body| make(&joined(body), body.bytes));
    exchange
        .with(|exchange| exchange.request.body = request)
        .response_body(response.unwrap_or_default())
}

#[test]
fn every_file_is_among_the_cases() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut found = Vec::new();
    for api in std::fs::read_dir(&folder).unwrap() {
        for file in std::fs::read_dir(api.unwrap().path()).unwrap() {
            let file = file.unwrap().path().with_extension("");
            let name = file.strip_prefix(&folder).unwrap().to_str().unwrap();
            if folder.join(format!("{name}.http")).exists() {
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found, FILES);
}

#[test]
fn each_case_is_read_by_what_knows_its_api() {
    // A case that nobody reads is the same however it is split.
    for (name, exchange) in CASES.map(case) {
        let (trace, _) = decode(&exchange);
        let outputs = show(&trace.spans[0], "mlflow.spanOutputs");
        assert!(outputs.len() > 2, "{name}: {outputs}");
    }
}

proptest! {
    #[test]
    fn any_split_of_any_apis_bodies_gives_the_same_trace(
        number in CASES,
        shares in prop::collection::vec(0.0..1.0, 0..40),
    ) {
        let (name, whole) = case(number);
        let split = remade(case(number).1, |bytes, size| cut(bytes, &shares, size));
        prop_assert_eq!(shown(&split), shown(&whole), "{}", name);
    }

    #[test]
    fn any_split_of_a_body_that_is_packed_in_any_coding_gives_the_trace_of_the_plain_one(
        number in CASES,
        coding in 0..CODINGS.len(),
        shares in prop::collection::vec(0.0..1.0, 0..10),
    ) {
        let (name, plain) = case(number);
        let (coding, pack) = CODINGS[coding];
        let packed = remade(case(number).1, |bytes, size| cut(&pack(bytes), &shares, size))
            .request_header("content-encoding", coding)
            .response_header("content-encoding", coding);
        let ignored = if coding.contains(',') { TIMES } else { &[] };
        let same = shown_but(&packed, ignored) == shown_but(&plain, ignored);
        prop_assert!(same, "{} in {}: {}\n{}", name, coding, shown(&packed), shown(&plain));
    }
}

/// Packs a plain body.
type Pack = fn(&[u8]) -> Vec<u8>;

/// Content codings (RFC 9110, section 8.4.1; RFC 7932; RFC 8878) and their encoders.
const CODINGS: [(&str, Pack); 7] = [
    ("gzip", gzip),
    ("x-gzip", gzip),
    ("deflate", deflate),
    ("br", br),
    ("zstd", zstd),
    ("identity", <[u8]>::to_vec),
    // The last that is named was put on last.
    ("gzip, br, zstd", |plain| zstd(&br(&gzip(plain)))),
];

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// In zlib's format, whatever the name says.
fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn br(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    brotli::CompressorWriter::new(&mut packed, 4096, 3, 20)
        .write_all(plain)
        .unwrap();
    packed
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 1).unwrap()
}
