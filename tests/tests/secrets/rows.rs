//! A secret in every field of every format, as messages to the byte.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use offpath_tests::chunked;

use super::streams::{frames, streams};

/// What is planted: an address, a card and a ticket.
pub(crate) const SECRET: &str = "planted.secret@example.org 4111111111111111 T-1234";

/// The same in JSON, with escapes, and in JSON in a string of JSON.
pub(crate) const ESCAPED: &str =
    r"planted.secret\u0040example.org 4111\u00311111111\u0031111 \u0054-1234";
const NESTED: &str = r#"{\"to\":\"planted.secret\\u0040example.org\",\"card\":4111111111111111,\"of\":[\"T-1234\"]}"#;

/// Chunks of a response: no secret comes in one piece.
const CHUNKS: &[usize] = &[7, 11, 3];

/// One exchange.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) request: Vec<u8>,
    /// To the byte, framing included.
    pub(crate) response: Vec<u8>,
    /// The response's content, where it comes whole.
    pub(crate) content: Option<Vec<u8>>,
    /// Whether a trace would show the secret, were nothing masked: else it holds sizes and hashes.
    pub(crate) shown: bool,
}

impl Row {
    pub(crate) fn new(
        name: impl Into<String>,
        request: Vec<u8>,
        kind: &str,
        content: &[u8],
    ) -> Self {
        Self::answered(name, request, "200 OK", kind, content)
    }

    fn answered(
        name: impl Into<String>,
        request: Vec<u8>,
        status: &str,
        kind: &str,
        content: &[u8],
    ) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        Self {
            name: name.into(),
            request,
            response: [head.as_bytes(), &chunked(content, CHUNKS)].concat(),
            content: Some(content.to_vec()),
            shown: true,
        }
    }

    /// A response that breaks off, or that no client can be given.
    fn broken(name: &str, response: &str) -> Self {
        Self {
            name: name.to_owned(),
            request: post("/broken", "application/json", b"{}"),
            response: response.as_bytes().to_vec(),
            content: None,
            shown: true,
        }
    }

    pub(crate) fn hidden(self) -> Self {
        Self {
            shown: false,
            ..self
        }
    }
}

pub(crate) fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    post_with(path, kind, "", body)
}

fn post_with(path: &str, kind: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\n{fields}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// All of them.
pub(crate) fn all() -> Vec<Row> {
    let rooms = [
        heads(),
        documents(),
        streams(),
        frames(),
        binaries(),
        troubles(),
    ];
    rooms.into_iter().flatten().collect()
}

/// In the target, in fields, and in what a trace takes from them.
fn heads() -> Vec<Row> {
    let target = "GET /users/planted.secret%40example.org/T-1234?mail=planted.secret%40example.org&card=4111111111111111 HTTP/1.1\r\n";
    let fields = format!(
        "host: a\r\nauthorization: Bearer planted\r\ncookie: session=planted\r\nx-api-key: planted\r\n\
        x-customer: planted\r\nuser-agent: {SECRET}\r\nx-request-id: {SECRET}\r\naccept: {SECRET}\r\n\
        referer: {SECRET}\r\ntracestate: {SECRET}\r\nx-unknown: {SECRET}\r\n\r\n"
    );
    let mut row = Row::new(
        "head",
        [target, &fields].concat().into(),
        "text/plain",
        b"ok",
    );
    let more = format!(
        "HTTP/1.1 200 {SECRET}\r\nset-cookie: session=planted\r\nx-customer: planted\r\n\
        content-language: {SECRET}\r\ncontent-length: 2\r\ncontent-type: text/plain; of={SECRET}\r\n\r\nok"
    );
    row.response = more.into();
    vec![row]
}

/// JSON with `SECRET` in every field, by path: what is asked, and what is answered.
const DOCUMENTS: [(&str, &str, &str); 13] = [
    (
        "/v1/chat/completions",
        r#"{"model":"SECRET","messages":[{"role":"SECRET","name":"SECRET","content":"SECRET"},{"role":"tool","tool_call_id":"SECRET","content":[{"type":"text","text":"SECRET"}]}],"stop":["SECRET"],"user":"SECRET","tools":[{"type":"function","function":{"name":"SECRET","description":"SECRET","parameters":{"enum":["SECRET"]}}}],"SECRET":1}"#,
        r#"{"id":"SECRET","model":"SECRET","system_fingerprint":"SECRET","choices":[{"finish_reason":"SECRET","message":{"content":"SECRET","refusal":"SECRET","reasoning_content":"SECRET","tool_calls":[{"id":"SECRET","function":{"name":"SECRET","arguments":"SECRET"}}]}}],"usage":{"prompt_tokens":1,"SECRET":2}}"#,
    ),
    (
        "/v1/completions",
        r#"{"model":"SECRET","prompt":["SECRET"],"suffix":"SECRET"}"#,
        r#"{"id":"SECRET","choices":[{"text":"SECRET","finish_reason":"SECRET"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"SECRET","system":"SECRET","messages":[{"content":[{"type":"text","text":"SECRET"}]}],"tools":[{"name":"SECRET","description":"SECRET"}]}"#,
        r#"{"id":"SECRET","content":[{"text":"SECRET"},{"type":"tool_use","input":{"a":{"b":["SECRET"]}}}],"stop_reason":"SECRET"}"#,
    ),
    (
        "/v1/responses",
        r#"{"input":"SECRET","instructions":"SECRET"}"#,
        r#"{"object":"response","output":[{"content":[{"text":"SECRET"}]}],"status":"SECRET","incomplete_details":{"reason":"SECRET"}}"#,
    ),
    (
        "/v1/embeddings",
        r#"{"model":"SECRET","input":["SECRET"]}"#,
        r#"{"model":"SECRET","data":[{"object":"SECRET","embedding":[0.5]}]}"#,
    ),
    (
        "/v1beta/models/m:generateContent",
        r#"{"contents":[{"parts":[{"text":"SECRET"},{"functionCall":{"name":"SECRET","args":{"a":"SECRET"}}}]}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"SECRET"}}]},"finishReason":"SECRET"}]}"#,
    ),
    (
        "/model/amazon.nova-lite-v1:0/converse",
        r#"{"messages":[{"content":[{"text":"SECRET"}]}],"system":[{"text":"SECRET"}]}"#,
        r#"{"output":{"message":{"content":[{"text":"SECRET"}]}},"stopReason":"SECRET"}"#,
    ),
    (
        "/v1/chat",
        r#"{"message":"SECRET","chat_history":[{"role":"USER","message":"SECRET"}]}"#,
        r#"{"text":"SECRET","generation_id":"SECRET","finish_reason":"SECRET"}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"SECRET","prompt":"SECRET"}"#,
        r#"{"response":"SECRET","done_reason":"SECRET"}"#,
    ),
    (
        "/generate",
        r#"{"inputs":"SECRET","parameters":{"stop":["SECRET"]}}"#,
        r#"[{"generated_text":"SECRET","details":{"finish_reason":"SECRET"}}]"#,
    ),
    (
        "/invocations",
        r#"{"dataframe_split":{"columns":["SECRET","card"],"data":[["SECRET",4111111111111111],[null,4111111111111111.0]]}}"#,
        r#"{"predictions":[{"SECRET":"SECRET"}]}"#,
    ),
    (
        "/v2/models/m/infer",
        r#"{"id":"SECRET","inputs":[{"name":"SECRET","datatype":"SECRET","shape":[1],"data":["SECRET"]}]}"#,
        r#"{"model_version":"SECRET","outputs":[{"name":"SECRET","datatype":"BYTES","shape":[1],"data":["SECRET"]}],"error":"SECRET"}"#,
    ),
    (
        "/any",
        r#"{"a":[[{"b":{"c":[[["SECRET"]]]}}]],"SECRET":{"SECRET":4111111111111111}}"#,
        r#"["SECRET",[[[[[[{"a":"SECRET"}]]]]]]]"#,
    ),
];

fn documents() -> Vec<Row> {
    const JSON: &str = "application/json";
    let mut rows = Vec::new();
    for (path, asked, answered) in DOCUMENTS {
        for (spelling, secret) in [("plain", SECRET), ("escaped", ESCAPED), ("nested", NESTED)] {
            let put = |json: &str| json.replace("SECRET", secret).into_bytes();
            let name = format!("{path}, {spelling}");
            rows.push(Row::new(
                name,
                post(path, JSON, &put(asked)),
                JSON,
                &put(answered),
            ));
            let packed = gzip(&put(answered));
            let request = post(path, JSON, &put(asked));
            let kind = "application/json\r\ncontent-encoding: gzip";
            rows.push(Row::new(
                format!("{path}, {spelling}, packed"),
                request,
                kind,
                &packed,
            ));
            // The route keeps less than this; the cut is behind the secrets.
            let mut long = put(asked);
            long.truncate(long.len() - 1);
            long.extend_from_slice(br#","long":""#);
            long.resize(long.len() + 20_000, b'x');
            let request = post(path, JSON, &long);
            rows.push(Row::new(
                format!("{path}, {spelling}, cut"),
                request,
                JSON,
                b"{}",
            ));
        }
    }
    for kind in [
        "text/plain",
        "text/csv",
        "application/xml",
        "application/json",
        "text/html",
    ] {
        let text = format!("a,b\n{SECRET},\"{SECRET}\"\n").into_bytes();
        rows.push(Row::new(kind, post("/any", kind, &text), kind, &text));
    }
    rows
}

/// What is not text.
fn binaries() -> Vec<Row> {
    let parts = format!(
        "--x\r\ncontent-disposition: form-data; name=\"{SECRET}\"; filename=\"{SECRET}\"\r\ncontent-type: {SECRET}\r\n\r\n{SECRET}\r\n--x--\r\n"
    );
    let parts = post(
        "/v1/audio/transcriptions",
        "multipart/form-data; boundary=x",
        parts.as_bytes(),
    );
    let form = post(
        "/login",
        "application/x-www-form-urlencoded",
        b"user=planted.secret%40example.org&card=4111111111111111",
    );
    let tensors = r#"{"inputs":[{"name":"a","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":54}}]}"#;
    let extent = format!("inference-header-content-length: {}\r\n", tensors.len());
    let tensor = [
        &u32::try_from(SECRET.len()).unwrap().to_le_bytes(),
        SECRET.as_bytes(),
    ]
    .concat();
    let tensors = [tensors.as_bytes(), &tensor].concat();
    let tensors = post_with(
        "/v2/models/m/infer",
        "application/octet-stream",
        &extent,
        &tensors,
    );
    let bytes = [b"\xff\x00\xfe", SECRET.as_bytes()].concat();
    const BYTES: &str = "application/octet-stream";
    vec![
        Row::new("parts", parts, "application/json", b"{}"),
        Row::new("form", form, "application/json", b"{}").hidden(),
        Row::new("tensors", tensors, "application/json", b"{}").hidden(),
        Row::new("bytes", post("/any", BYTES, &bytes), BYTES, &bytes).hidden(),
        Row::new(
            "packed bytes",
            post("/any", BYTES, &bytes),
            "text/plain\r\ncontent-encoding: br",
            &bytes,
        )
        .hidden(),
    ]
}

fn troubles() -> Vec<Row> {
    let ask = || {
        post(
            "/v1/chat/completions",
            "application/json",
            b"{\"messages\":[]}",
        )
    };
    let refusal =
        format!(r#"{{"error":{{"type":"{SECRET}","code":"{SECRET}","message":"{ESCAPED}"}}}}"#);
    let torn_json = format!(r#"{{"a":"{ESCAPED}","b":["#);
    vec![
        Row::answered(
            "500",
            ask(),
            "500 Oh",
            "application/json",
            refusal.as_bytes(),
        ),
        Row::answered("429", ask(), "429 Oh", "text/plain", SECRET.as_bytes()),
        Row::new("torn JSON", ask(), "application/json", torn_json.as_bytes()),
        Row::broken(
            "torn",
            &format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{torn_json}"
            ),
        ),
        Row::broken(
            "torn chunk",
            &format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n32\r\n{SECRET}\r\n{SECRET}\r\n"
            ),
        ),
        // No word of a head that cannot be parsed is kept: credentials are among them.
        Row::broken(
            "bad head",
            "HTTP/1.1 200 OK\r\nset-cookie: session=planted\r\nplanted\x01\r\n\r\n",
        )
        .hidden(),
        Row::broken("bad status", "HTTP/1.1 planted\r\n\r\n").hidden(),
        Row::broken(
            "bad length",
            "HTTP/1.1 200 OK\r\ncontent-length: planted\r\n\r\n",
        )
        .hidden(),
    ]
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
