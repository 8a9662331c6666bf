//! Exchanges of hostile bytes, and the properties that their traces must have.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use offpath_trace::{
    Body, Chunk, EndReason, Exchange, Headers, Ids, KeptBecause, Level, Outcome, Pattern, Plan, Pointer,
    Redaction, Request, Response, Rules, SpanId, Timing, Trace, TraceId, Value, decode,
};

/// Maximum length of a decompressed body.
const DECODED_MAX: usize = 256 * 1024;

/// Maximum size of a trace beyond a multiple of the bodies: names, ids and sizes.
const NAMES_BYTES: usize = 16 * 1024;

/// An email address that must not appear in any trace.
pub const PLANTED: &str = " planted@secret.example ";

/// A request path of each API.
pub const PATHS: [&str; 14] = [
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
    "/v2/models/m/infer",
    "/x",
];

/// A content type of each kind of body.
pub const TYPES: [&str; 9] = [
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "application/grpc",
    "multipart/form-data; boundary=X",
    "text/csv",
    "text/plain",
    "application/octet-stream",
];

/// The parts of an exchange that a target varies.
pub struct Case<'a> {
    /// Path of the request.
    pub path: &'a str,
    /// `content-type` of the request.
    pub request_type: &'a str,
    /// `content-type` of the response.
    pub response_type: &'a str,
    /// `content-encoding` of the response; empty for no such header.
    pub coding: &'a str,
    /// `inference-header-content-length` of both messages.
    pub header_length: Option<usize>,
    /// Body of the request.
    pub request: &'a [u8],
    /// Body of the response.
    pub response: &'a [u8],
    /// Whether the captured response is truncated.
    pub cut: bool,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            path: "/x",
            request_type: "application/json",
            response_type: "application/json",
            coding: "",
            header_length: None,
            request: b"",
            response: b"",
            cut: false,
        }
    }
}

/// Picks one of the options by the first byte.
pub fn pick<'a>(data: &[u8], options: &[&'a str]) -> &'a str {
    let index = data.first().map_or(0, |byte| usize::from(*byte));
    let option = options.get(index % options.len());
    *option.expect("a remainder is within the list")
}

/// Returns the bytes after the first one.
pub fn body(data: &[u8]) -> &[u8] {
    data.get(1..).unwrap_or_default()
}

/// Decodes the exchange, and checks that the trace is bounded and its JSON valid.
pub fn check(case: &Case<'_>) {
    for statistics in [false, true] {
        let (trace, _) = decode(&exchange(case, Redaction::default(), statistics));
        check_sound(case, &trace);
    }
}

/// Decodes the exchange with redaction, and checks like [`check`] and that the planted address does
/// not appear in the trace.
pub fn check_planted(case: &Case<'_>) {
    static RULES: OnceLock<Redaction> = OnceLock::new();
    let redaction = RULES.get_or_init(|| {
        let rules = Rules {
            fields: ["/a", "/*/b"].into_iter().flat_map(Pointer::parse).collect(),
            patterns: Pattern::named("email").into_iter().collect(),
            ..Rules::default()
        };
        Redaction::from(rules)
    });
    let (trace, _) = decode(&exchange(case, redaction.clone(), false));
    check_sound(case, &trace);
    let text = format!("{trace:?}");
    assert!(!text.contains(PLANTED.trim()), "{text}");
}

fn check_sound(case: &Case<'_>, trace: &Trace) {
    let mut size = 0;
    for (key, value) in trace.spans.iter().flat_map(|span| &span.attributes) {
        size += match value {
            Value::Text(text) => {
                let text = text.as_str();
                let is_json = matches!(&**key, "mlflow.spanInputs" | "mlflow.spanOutputs");
                // Python writes `NaN`, which is accepted although it is not JSON.
                let python = text.contains("NaN") || text.contains("Infinity");
                if is_json && !python {
                    let parsed = serde_json::from_str::<&serde_json::value::RawValue>(text);
                    assert!(parsed.is_ok(), "{key}: {text}");
                }
                text.len()
            }
            Value::Texts(list) => list.iter().map(|text| text.as_str().len()).sum(),
            _ => 8,
        };
    }
    // A body is on the root and on the call, a control character is six as JSON, and a column of a
    // table has a name, a type and its figures. A packed body is decoded up to a limit.
    let unpacked = if case.coding.is_empty() { 0 } else { DECODED_MAX };
    let bound = 24 * (case.request.len() + case.response.len() + unpacked) + NAMES_BYTES;
    assert!(size <= bound, "{size} bytes of at most {bound}");
}

/// Encodes the bytes as frames of Amazon's event stream with valid lengths and checksums.
pub fn framed(data: &[u8]) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_be_bytes()
    };
    let mut stream = Vec::new();
    for piece in data.split(|byte| *byte == b'\n') {
        let (headers, payload) = piece.split_at(piece.len() / 2);
        let total = u32::try_from(piece.len() + 16).expect("inputs are far smaller than 4 GiB");
        let headers_len = u32::try_from(headers.len()).expect("they are part of the piece");
        let mut frame = [total.to_be_bytes(), headers_len.to_be_bytes()].concat();
        frame.extend_from_slice(&crc(&frame));
        frame.extend_from_slice(headers);
        frame.extend_from_slice(payload);
        frame.extend_from_slice(&crc(&frame));
        stream.extend_from_slice(&frame);
    }
    stream
}

fn exchange(case: &Case<'_>, redaction: Redaction, statistics: bool) -> Exchange {
    let at = Duration::from_millis;
    Exchange {
        plan: Arc::new(plan(redaction, statistics)),
        ids: Ids {
            trace_id: TraceId::from_random(7),
            root: SpanId::from_random(1),
            upstream: SpanId::from_random(2),
            parent: None,
            caller: None,
        },
        kept: Some(KeptBecause::Ratio),
        kept_if_left: false,
        weight: None,
        request_id: "r".into(),
        request: Request {
            method: Method::POST,
            uri: case.path.parse().unwrap_or_default(),
            version: Version::HTTP_11,
            headers: headers(case.request_type, "", case.header_length),
            tls: false,
            client: None,
            body: whole(case.request, false),
        },
        response: Some(Response {
            status: StatusCode::OK,
            headers: headers(case.response_type, case.coding, case.header_length),
            from_upstream: true,
            body: whole(case.response, case.cut),
            trailers: None,
        }),
        timing: Timing {
            start: SystemTime::UNIX_EPOCH,
            upstream_start: Some(at(1)),
            request_end: Some(at(2)),
            response_head: Some(at(3)),
            first_byte: Some(at(4)),
            end: at(9),
            overhead_head: at(0),
            overhead_body: at(0),
            attempts: 1,
        },
        outcome: Outcome {
            end: EndReason::Complete,
            error: None,
            upstream: None,
        },
        charge: None,
    }
}

fn plan(redaction: Redaction, statistics: bool) -> Plan {
    Plan {
        index: 0,
        route: "fuzz".into(),
        name: "fuzz".into(),
        level: Level::Full,
        join: false,
        user: Vec::new(),
        session: Vec::new(),
        tags: Vec::new(),
        metadata: Vec::new(),
        client_request_id: Vec::new(),
        redaction,
        statistics,
        decoded_max: DECODED_MAX,
    }
}

fn headers(content_type: &str, coding: &str, length: Option<usize>) -> Headers {
    let length = length.map(|length| length.to_string()).unwrap_or_default();
    let pairs = [
        ("content-type", content_type),
        ("content-encoding", coding),
        ("inference-header-content-length", &length),
    ];
    let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    set.collect()
}

fn whole(bytes: &[u8], cut: bool) -> Body {
    Body {
        chunks: vec![Chunk {
            at: Duration::ZERO,
            bytes: Bytes::copy_from_slice(bytes),
        }],
        bytes: bytes.len() as u64 + u64::from(cut),
        truncated: cut,
    }
}
