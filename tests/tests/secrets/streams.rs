//! The secret in streams, a part of it in each piece.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Crc;

use super::rows::{ESCAPED, Row, SECRET, post};

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";

/// Streams by path: what comes before the first piece, and a piece, of which `PIECE` is a part of
/// the secret.
const STREAMS: [(&str, &str, &[&str], &str); 8] = [
    (
        "/v1/chat/completions",
        EVENTS,
        &[r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#],
        r#"{"model":"m","choices":[{"index":0,"delta":{"content":"PIECE"}}]}"#,
    ),
    (
        "/v1/chat/completions",
        EVENTS,
        &[],
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"PIECE"}}]}}]}"#,
    ),
    (
        "/v1/messages",
        EVENTS,
        &[
            r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[]}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        ],
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"PIECE"}}"#,
    ),
    (
        "/v1/responses",
        EVENTS,
        &[
            r#"{"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","output":[]}}"#,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"i","type":"message","role":"assistant","content":[]}}"#,
            r#"{"type":"response.content_part.added","item_id":"i","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}}"#,
        ],
        r#"{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"PIECE"}"#,
    ),
    (
        "/v1beta/models/m:streamGenerateContent",
        EVENTS,
        &[],
        r#"{"candidates":[{"content":{"parts":[{"text":"PIECE"}]}}]}"#,
    ),
    (
        "/api/chat",
        LINES,
        &[],
        r#"{"message":{"role":"assistant","content":"PIECE"},"done":false}"#,
    ),
    (
        "/v1/chat",
        LINES,
        &[],
        r#"{"event_type":"text-generation","text":"PIECE"}"#,
    ),
    (
        "/generate_stream",
        EVENTS,
        &[],
        r#"{"index":1,"token":{"id":1,"text":"PIECE"},"generated_text":null}"#,
    ),
];

/// A template once for each five bytes of the secret.
fn pieces(template: &str) -> Vec<String> {
    let pieces = SECRET.as_bytes().chunks(5);
    let text = |piece| std::str::from_utf8(piece).unwrap();
    pieces
        .map(|piece| template.replace("PIECE", text(piece)))
        .collect()
}

/// Streams whose pieces split the secret, and whose chunks split the pieces.
pub(crate) fn streams() -> Vec<Row> {
    let row = |name: &str, path: &str, kind: &str, content: &str| {
        let request = post(path, "application/json", br#"{"stream":true}"#);
        Row::new(name, request, kind, content.as_bytes())
    };
    let mut rows = Vec::new();
    for (path, kind, start, template) in STREAMS {
        let start = start.iter().map(|one| (*one).to_owned());
        let framed = |one: String| match kind {
            EVENTS => format!("data: {one}\n\n"),
            _ => one + "\n",
        };
        let stream: String = start.chain(pieces(template)).map(framed).collect();
        rows.push(row(&format!("{path}, streamed"), path, kind, &stream));
    }
    let [_, _, _, _, (gemini, .., candidate), ..] = STREAMS;
    let list = format!("[{}]", pieces(candidate).join(","));
    let error = format!(
        "data: {{\"error\":{{\"message\":\"{ESCAPED}\",\"type\":\"{SECRET}\",\"code\":\"T-1234\"}}}}\n\n"
    );
    let events = format!(
        "event: T-1234\ndata: {{\"a\":\"{ESCAPED}\"}}\n\ndata: {SECRET}\n\n: {SECRET}\nid: {SECRET}\n\n"
    );
    let lines = format!("{{\"a\":\"{ESCAPED}\"}}\n{{\"{SECRET}\":1}}\n");
    rows.extend([
        row("a list that grows", gemini, "application/json", &list),
        row(
            "a stream that fails",
            "/v1/chat/completions",
            EVENTS,
            &error,
        ),
        row("unknown events", "/any", EVENTS, &events),
        row("unknown lines", "/any", LINES, &lines),
    ]);
    rows
}

/// The same in Amazon's binary frames.
pub(crate) fn frames() -> Vec<Row> {
    let converse = pieces(r#"{"contentBlockIndex":0,"delta":{"text":"PIECE"}}"#);
    let converse = converse
        .iter()
        .flat_map(|one| frame("contentBlockDelta", one));
    let invoke = pieces(
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"PIECE"}}"#,
    );
    let wrapped = |one: &String| format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(one));
    let invoke = invoke.iter().flat_map(|one| frame("chunk", &wrapped(one)));
    let row = |name: &str, path: &str, frames: &[u8]| {
        let request = post(path, "application/json", b"{}");
        Row::new(name, request, "application/vnd.amazon.eventstream", frames)
    };
    let nova = "/model/amazon.nova-lite-v1:0/converse-stream";
    let claude = "/model/anthropic.claude-3-v1:0/invoke-with-response-stream";
    let unknown = frame("T-1234", &format!(r#"{{"a":"{SECRET}"}}"#));
    vec![
        row("frames", nova, &converse.collect::<Vec<u8>>()),
        row("wrapped frames", claude, &invoke.collect::<Vec<u8>>()),
        row("unknown frames", "/any", &unknown).hidden(),
    ]
}

/// A frame of Amazon's event stream: lengths, a header, a payload, and checksums.
fn frame(event: &str, payload: &str) -> Vec<u8> {
    let checksum = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum().to_be_bytes()
    };
    let size = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut header = b"\x0b:event-type\x07".to_vec();
    header.extend_from_slice(&u16::try_from(event.len()).unwrap().to_be_bytes());
    header.extend_from_slice(event.as_bytes());
    let total = 12 + header.len() + payload.len() + 4;
    let mut frame = [size(total), size(header.len())].concat();
    frame.extend_from_slice(&checksum(&frame));
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&checksum(&frame));
    frame
}
