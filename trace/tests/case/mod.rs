//! One folder of `data/cases`: its exchange, and what its trace must hold.

mod check;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use offpath_trace::{
    Body, Chunk, EndReason, Exchange, Headers, Ids, KeptBecause, Level, Outcome, Pattern, Plan,
    Pointer, Redaction, Request, Response, Rules, SpanId, Timing, TraceId, decode,
};
use serde_json::Value as Json;

/// How a case's response is cut into chunks, beside the way that it came: each way must give
/// the same trace. Sizes in bytes.
const CHUNKS: [usize; 3] = [usize::MAX, 7, 1];

const ENDS: [EndReason; 6] = [
    EndReason::Complete,
    EndReason::ClientLeft,
    EndReason::UpstreamCut,
    EndReason::UpstreamError,
    EndReason::Timeout,
    EndReason::Shutdown,
];

/// A case, as it was read.
pub(crate) struct Case {
    pub(crate) name: String,
    json: Json,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Case {
    pub(crate) fn read(folder: &Path) -> Self {
        let file = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let json = serde_json::from_slice(&file("case.json"));
        Self {
            json: json.unwrap_or_else(|error| panic!("{name}: case.json: {error}")),
            request: file("request.http"),
            response: file("response.http"),
            name,
        }
    }

    /// In how far the trace is not as the case expects it, in each chunking.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let given = self.json["pieces"].as_array();
        let given = given.map(|sizes| sizes.iter().map(size).collect());
        let chunkings = given.into_iter().chain(CHUNKS.map(|size| vec![size; 1]));
        for sizes in chunkings {
            let (trace, _) = decode(&self.exchange(&sizes));
            let found = check::faults(&self.json["expect"], &trace);
            let chunking = match sizes.as_slice() {
                [usize::MAX] => "whole".to_owned(),
                sizes => format!("in chunks of {sizes:?}"),
            };
            let named = found.into_iter().map(|fault| {
                let name = &self.name;
                format!("{name}, {chunking}: {fault}")
            });
            faults.extend(named);
        }
        faults
    }

    /// The exchange, its response in chunks of these sizes, of which the last one repeats.
    fn exchange(&self, sizes: &[usize]) -> Exchange {
        let (target, request_fields, request) = parse(&self.request);
        let (status, response_fields, response) = parse(&self.response);
        let mut target = target.split(' ');
        let mut status = status.split(' ').skip(1);
        let end = self.json["end"].as_str().unwrap_or("complete");
        let end = ENDS.iter().find(|known| known.as_str() == end);
        Exchange {
            plan: Arc::new(self.plan()),
            ids: Ids {
                trace_id: TraceId::from_random(7),
                root: SpanId::from_random(1),
                upstream: SpanId::from_random(2),
                parent: None,
                caller: None,
            },
            kept: Some(KeptBecause::Ratio),
            weight: Some(1.0),
            kept_if_left: false,
            request_id: self.name.as_str().into(),
            request: Request {
                method: target.next().unwrap().parse().unwrap(),
                uri: target.next().unwrap().parse().unwrap(),
                version: Version::HTTP_11,
                headers: request_fields,
                tls: false,
                client: None,
                body: body(request, &[usize::MAX]),
            },
            response: Some(Response {
                status: status.next().unwrap().parse::<StatusCode>().unwrap(),
                headers: response_fields,
                from_upstream: true,
                body: body(response, sizes),
                trailers: None,
            }),
            timing: timing(),
            outcome: Outcome {
                end: *end.expect("`end` is a transport's end reason"),
                error: None,
                upstream: None,
            },
            charge: None,
        }
    }

    fn plan(&self) -> Plan {
        let texts = |key: &str| {
            let list = self.json["redact"][key].as_array().into_iter().flatten();
            list.map(|text| text.as_str().unwrap().to_owned())
        };
        let rules = Rules {
            headers: texts("headers").map(|name| name.parse().unwrap()).collect(),
            fields: texts("fields")
                .map(|text| Pointer::parse(&text).unwrap())
                .collect(),
            patterns: texts("patterns")
                .map(|name| Pattern::named(&name).unwrap())
                .collect(),
            ..Rules::default()
        };
        Plan {
            index: 0,
            route: "case".into(),
            name: "case".into(),
            level: match self.json["level"].as_str() {
                Some("metadata") => Level::Metadata,
                _ => Level::Full,
            },
            join: false,
            user: Vec::new(),
            session: Vec::new(),
            tags: Vec::new(),
            metadata: Vec::new(),
            client_request_id: Vec::new(),
            redaction: Redaction::from(rules),
            statistics: false,
            decoded_max: 64 << 20,
        }
    }
}

/// The first line, the fields and the body of a message as it was on the wire, without chunks.
fn parse(message: &[u8]) -> (&str, Headers, &[u8]) {
    let blank = message.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = message.split_at(blank.expect("an empty line ends the head") + 4);
    let head = std::str::from_utf8(head).unwrap().trim_end();
    let (first, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let fields = fields.lines().filter_map(|line| line.split_once(':'));
    let fields: HeaderMap = fields
        .map(|(name, value)| (name.parse().unwrap(), value.trim().parse().unwrap()))
        .collect();
    (first, (&fields).into(), body)
}

fn body(whole: &[u8], sizes: &[usize]) -> Body {
    let mut rest = whole;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let size = sizes.get(chunks.len()).or(sizes.last()).unwrap();
        let (piece, tail) = rest.split_at((*size).clamp(1, rest.len()));
        chunks.push(Chunk {
            at: Duration::from_millis(60),
            bytes: Bytes::copy_from_slice(piece),
        });
        rest = tail;
    }
    Body {
        chunks,
        bytes: whole.len() as u64,
        truncated: false,
    }
}

fn size(json: &Json) -> usize {
    usize::try_from(json.as_u64().unwrap()).unwrap()
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
