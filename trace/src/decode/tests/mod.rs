//! Whole exchanges in, traces out. Rows are written with the builder here.

mod chat;
mod credentials;
mod drawn;
mod fit;
mod generic;
mod golden;
mod hostile;
mod identity;
mod infer;
mod models;
mod partial;
mod scoring;
mod secrets;
mod spans;
mod splits;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode, Version};

use super::eventstream::crc;
use crate::{
    Body, Chunk, Defect, EndReason, Exchange, Headers, Ids, KeptBecause, Level, Outcome, Plan,
    Request, Response, Span, SpanId, Text, Timing, Trace, TraceId, Value, decode,
};

/// A plain exchange: a POST that the upstream answered with 200.
pub(super) fn exchange(path: &str, request: &str, response: &str) -> Exchange {
    let plan = Plan {
        index: 0,
        route: "support".into(),
        name: "support-chat".into(),
        level: Level::Full,
        join: false,
        user: Vec::new(),
        session: Vec::new(),
        tags: Vec::new(),
        metadata: Vec::new(),
        client_request_id: Vec::new(),
        decoded_max: 8 << 20,
        redaction: crate::Redaction::default(),
        statistics: false,
    };
    let at = Duration::from_millis;
    Exchange {
        plan: Arc::new(plan),
        ids: Ids {
            trace_id: TraceId::from_random(7),
            root: SpanId::from_random(1),
            upstream: SpanId::from_random(2),
            parent: None,
            caller: None,
        },
        kept: Some(KeptBecause::Ratio),
        kept_if_left: false,
        weight: Some(1.0),
        request_id: "r-1".into(),
        request: Request {
            method: Method::POST,
            uri: path.parse().unwrap(),
            version: Version::HTTP_11,
            headers: headers(&[("host", "models.example:8080")]),
            tls: false,
            client: Some("10.0.0.9:5000".parse().unwrap()),
            body: body(&[request.as_bytes()]),
        },
        response: Some(Response {
            status: StatusCode::OK,
            headers: Headers::default(),
            from_upstream: true,
            body: body(&[response.as_bytes()]),
            trailers: None,
        }),
        timing: Timing {
            start: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            upstream_start: Some(at(1)),
            request_end: Some(at(2)),
            response_head: Some(at(50)),
            first_byte: Some(at(51)),
            end: at(100),
            overhead_head: Duration::from_micros(43),
            overhead_body: Duration::from_micros(5),
            attempts: 1,
        },
        outcome: Outcome {
            end: EndReason::Complete,
            error: None,
            upstream: Some("127.0.0.1:9000".parse().unwrap()),
        },
        charge: None,
    }
}

/// A chat completion over JSON.
pub(super) fn chat(request: &str, response: &str) -> Exchange {
    exchange("/v1/chat/completions", request, response)
        .request_header("content-type", "application/json")
        .response_header("content-type", "application/json")
}

/// A streamed chat completion; each event's data.
pub(super) fn stream(events: &[&str]) -> Exchange {
    let events: String = events
        .iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect();
    chat(r#"{"model":"m","stream":true,"messages":[]}"#, &events)
        .response_header("content-type", "text/event-stream; charset=utf-8")
}

impl Exchange {
    pub(super) fn request_header(mut self, name: &str, value: &str) -> Self {
        set(&mut self.request.headers, name, value);
        self
    }

    pub(super) fn response_header(mut self, name: &str, value: &str) -> Self {
        if let Some(response) = &mut self.response {
            set(&mut response.headers, name, value);
        }
        self
    }

    pub(super) fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = (*self.plan).clone();
        change(&mut plan);
        self.plan = Arc::new(plan);
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn response_body(self, body: Body) -> Self {
        self.with(|exchange| {
            if let Some(response) = &mut exchange.response {
                response.body = body;
            }
        })
    }
}

pub(super) fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().copied().collect()
}

/// In front of the others: the first of a name counts.
fn set(headers: &mut Headers, name: &str, value: &str) {
    let others = std::mem::take(headers);
    headers.extend([(name, value)]);
    let others = others.iter();
    headers.extend(others.map(|(name, value)| (std::str::from_utf8(name).unwrap(), value)));
}

/// A frame of Amazon's binary event stream, with string headers.
pub(super) fn frame_of(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in headers {
        fields.push(u8::try_from(name.len()).unwrap());
        fields.extend_from_slice(name.as_bytes());
        fields.push(7);
        fields.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        fields.extend_from_slice(value.as_bytes());
    }
    let total = 12 + fields.len() + payload.len() + 4;
    let mut frame = Vec::new();
    frame.extend_from_slice(&u32::try_from(total).unwrap().to_be_bytes());
    frame.extend_from_slice(&u32::try_from(fields.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&crc(&frame).to_be_bytes());
    frame.extend_from_slice(&fields);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc(&frame).to_be_bytes());
    frame
}

/// A whole body of these chunks.
pub(super) fn body(chunks: &[&[u8]]) -> Body {
    let chunk = |bytes: &&[u8]| Chunk {
        at: Duration::ZERO,
        bytes: Bytes::copy_from_slice(bytes),
    };
    let chunks: Vec<_> = chunks
        .iter()
        .filter(|bytes| !bytes.is_empty())
        .map(chunk)
        .collect();
    let bytes = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
    Body {
        chunks,
        bytes,
        truncated: false,
    }
}

/// A body of which only the first `kept` bytes were kept.
pub(super) fn cut_body(whole: &[u8], kept: usize) -> Body {
    let bytes = whole.len() as u64;
    Body {
        bytes,
        truncated: true,
        ..body(&[&whole[..kept]])
    }
}

/// What was decoded, ready to be asked.
pub(super) struct Decoded {
    pub(super) trace: Trace,
    pub(super) defects: Vec<Defect>,
}

impl Decoded {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let (trace, defects) = decode(exchange);
        Self { trace, defects }
    }

    #[track_caller]
    pub(super) fn root(&self, key: &str) -> String {
        show(&self.trace.spans[0], key)
    }

    #[track_caller]
    pub(super) fn upstream(&self, key: &str) -> String {
        show(&self.trace.spans[1], key)
    }

    /// Each row is a key of the upstream span and its value; `-` for none.
    #[track_caller]
    pub(super) fn check_upstream(&self, rows: &[(&str, &str)]) {
        for (key, value) in rows {
            assert_eq!(self.upstream(key), *value, "{key}");
        }
    }

    /// As [`Self::check_upstream`], of the root.
    #[track_caller]
    pub(super) fn check_root(&self, rows: &[(&str, &str)]) {
        for (key, value) in rows {
            assert_eq!(self.root(key), *value, "{key}");
        }
    }
}

/// An attribute's value; `-` where there is none.
fn show(span: &Span, key: &str) -> String {
    let value = span
        .attributes
        .iter()
        .find_map(|(name, value)| (name == key).then_some(value));
    match value {
        None => "-".into(),
        Some(Value::Text(text)) => text.as_str().into(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Float(number)) => number.to_string(),
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::Texts(list)) => list.iter().map(Text::as_str).collect::<Vec<_>>().join(","),
    }
}
