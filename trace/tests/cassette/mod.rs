//! A recorded exchange as the request path hands it over.

mod recording;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use offpath_trace::{
    Body, Chunk, EndReason, Exchange, Ids, KeptBecause, Level, Outcome, Plan, Request, Response,
    SpanId, Timing, TraceId,
};

pub(crate) use self::recording::{Recording, all, chosen, read};

/// How a body is cut into chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chunking {
    Whole,
    /// After each line feed.
    Events,
    Bytes(usize),
}

/// The exchange that was recorded.
pub(crate) fn exchange(recording: &Recording, chunking: Chunking) -> Exchange {
    let mut headers = fields(&recording.request_fields);
    headers.insert(http::header::HOST, recording.host.parse().unwrap());
    Exchange {
        plan: Arc::new(plan()),
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
        request_id: recording.id.clone().into(),
        request: Request {
            method: Method::from_bytes(recording.method.as_bytes()).unwrap(),
            uri: recording.path.parse().unwrap(),
            version: Version::HTTP_11,
            headers: (&headers).into(),
            tls: true,
            client: None,
            body: body(&recording.request, chunking),
        },
        response: Some(Response {
            status: StatusCode::from_u16(recording.status).unwrap(),
            headers: (&fields(&recording.response_fields)).into(),
            from_upstream: true,
            body: body(&recording.response, chunking),
            trailers: (!recording.trailers.is_empty())
                .then(|| (&fields(&recording.trailers)).into()),
        }),
        timing: timing(),
        outcome: Outcome {
            end: EndReason::Complete,
            error: None,
            upstream: None,
        },
        charge: None,
    }
}

/// Those that are fields.
fn fields(pairs: &[(String, String)]) -> HeaderMap {
    let field = |(name, value): &(String, String)| Some((name.parse().ok()?, value.parse().ok()?));
    pairs.iter().filter_map(field).collect()
}

fn plan() -> Plan {
    Plan {
        index: 0,
        route: "corpus".into(),
        name: "corpus".into(),
        level: Level::Full,
        join: false,
        user: Vec::new(),
        session: Vec::new(),
        tags: Vec::new(),
        metadata: Vec::new(),
        client_request_id: Vec::new(),
        decoded_max: 64 << 20,
        redaction: offpath_trace::Redaction::default(),
        statistics: false,
    }
}

fn timing() -> Timing {
    let at = Duration::from_millis;
    Timing {
        start: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        upstream_start: Some(at(1)),
        request_end: Some(at(2)),
        response_head: Some(at(50)),
        first_byte: Some(at(51)),
        end: at(100),
        overhead_head: Duration::from_micros(43),
        overhead_body: Duration::from_micros(5),
        attempts: 1,
    }
}

fn body(bytes: &[u8], chunking: Chunking) -> Body {
    let whole = Bytes::copy_from_slice(bytes);
    let mut chunks = Vec::new();
    let mut from = 0;
    while from < whole.len() {
        let len = match chunking {
            Chunking::Whole => whole.len() - from,
            Chunking::Bytes(len) => len.min(whole.len() - from),
            Chunking::Events => {
                let feed = whole[from..].iter().position(|byte| *byte == b'\n');
                feed.map_or(whole.len() - from, |feed| feed + 1)
            }
        };
        chunks.push(Chunk {
            at: Duration::from_millis(60),
            bytes: whole.slice(from..from + len),
        });
        from += len;
    }
    Body {
        chunks,
        bytes: bytes.len() as u64,
        truncated: false,
    }
}
