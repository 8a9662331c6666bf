//! One recorded exchange, and what its bodies say, read without anything of what is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use offpath_trace::{
    Body, Chunk, EndReason, Exchange, Ids, KeptBecause, Level, Outcome, Plan, Request, Response,
    SpanId, Timing, TraceId,
};
use serde_json::Value as Json;

/// How a body is cut into chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chunking {
    Whole,
    /// After each line feed.
    Events,
    Bytes(usize),
}

/// A recorded exchange.
pub(crate) struct Cassette {
    pub(crate) id: String,
    pub(crate) wire: String,
    pub(crate) kind: String,
    pub(crate) usage: BTreeMap<&'static str, i64>,
    method: String,
    host: String,
    path: String,
    status: u16,
    request: (HeaderMap, Vec<u8>),
    response: (HeaderMap, Vec<u8>),
    trailers: HeaderMap,
}

/// All of them; `None` where there are none.
pub(crate) fn all() -> Option<Vec<Cassette>> {
    let folder = match std::env::var_os("OFFPATH_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cassettes"),
    };
    let entries = std::fs::read_dir(folder).ok()?;
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let all: Vec<_> = files.iter().flat_map(|file| read(file)).collect();
    assert!(!all.is_empty(), "the folder holds no recording");
    Some(all)
}

/// Those of one file, a line each.
pub(crate) fn read(file: &Path) -> Vec<Cassette> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(Cassette::parse).collect()
}

impl Cassette {
    fn parse(line: &str) -> Self {
        let json: Json = serde_json::from_str(line).unwrap();
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        // A body that is text may stand as it is.
        let bytes = |key: &str| match json[key].as_str() {
            Some(plain) => plain.into(),
            None => STANDARD.decode(text(&format!("{key}_b64"))).unwrap(),
        };
        let headers = |key: &str| {
            let pairs = json[key].as_array().into_iter().flatten();
            let pair = |pair: &Json| {
                let name: HeaderName = pair[0].as_str()?.parse().ok()?;
                Some((name, HeaderValue::from_str(pair[1].as_str()?).ok()?))
            };
            pairs.filter_map(pair).collect::<HeaderMap>()
        };
        let names = [
            "input",
            "output",
            "total",
            "cache_read",
            "cache_write",
            "reasoning",
        ];
        let usage = names
            .into_iter()
            .filter_map(|name| Some((name, json["usage"].get(name)?.as_i64()?)));
        Self {
            id: text("id"),
            wire: text("wire"),
            kind: text("kind"),
            usage: usage.collect(),
            method: text("method"),
            host: text("host"),
            path: text("path"),
            status: u16::try_from(json["status"].as_u64().unwrap()).unwrap(),
            request: (headers("req_headers"), bytes("req_body")),
            response: (headers("resp_headers"), bytes("resp_body")),
            trailers: headers("resp_trailers"),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {} {} {}", self.id, self.wire, self.kind, self.path)
    }

    /// The exchange as the request path hands it over.
    pub(crate) fn exchange(&self, chunking: Chunking) -> Exchange {
        let mut headers = self.request.0.clone();
        headers.insert(http::header::HOST, self.host.parse().unwrap());
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
            weight: Some(1.0),
            request_id: self.id.clone().into(),
            request: Request {
                method: Method::from_bytes(self.method.as_bytes()).unwrap(),
                uri: self.path.parse().unwrap(),
                version: Version::HTTP_11,
                headers,
                tls: true,
                client: None,
                body: body(&self.request.1, chunking),
            },
            response: Some(Response {
                status: StatusCode::from_u16(self.status).unwrap(),
                headers: self.response.0.clone(),
                from_upstream: true,
                body: body(&self.response.1, chunking),
                trailers: (!self.trailers.is_empty()).then(|| self.trailers.clone()),
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

    /// The models that the bodies and the path name.
    pub(crate) fn models(&self) -> BTreeSet<String> {
        let mut models = BTreeSet::new();
        let answers = self.answers();
        let asked: Option<Json> = serde_json::from_slice(&self.request.1).ok();
        for json in answers.iter().chain(&asked) {
            for at in [
                "/model",
                "/modelVersion",
                "/response/model",
                "/message/model",
            ] {
                let model = json.pointer(at).and_then(Json::as_str);
                models.extend(model.map(str::to_owned));
            }
        }
        let lists = self.wire == "openai.assistants" || self.wire.ends_with("rerank");
        if lists || self.wire == "openai.images" {
            models.clear();
        }
        models
    }

    /// Whatever the body calls a reason to end.
    pub(crate) fn finish_reasons(&self) -> BTreeSet<String> {
        let mut reasons = BTreeSet::new();
        for json in self.answers() {
            find_reasons(&json, &mut reasons);
        }
        if self.wire == "openai.assistants" {
            reasons.clear();
        }
        reasons
    }

    /// The JSON values of the response, whatever frames them.
    fn answers(&self) -> Vec<Json> {
        let mut plain = self.response.1.clone();
        let coding = self.response.0.get(http::header::CONTENT_ENCODING);
        if coding.is_some_and(|coding| coding == "gzip") {
            plain.clear();
            let mut packed = flate2::bufread::MultiGzDecoder::new(self.response.1.as_slice());
            packed.read_to_end(&mut plain).unwrap();
        }
        if self.kind == "eventstream" {
            return frames(&plain);
        }
        if let Ok(json) = serde_json::from_slice(&plain) {
            return vec![json];
        }
        let text = String::from_utf8_lossy(&plain).into_owned();
        let data = text
            .lines()
            .map(|line| line.strip_prefix("data:").unwrap_or(line));
        data.filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    }
}

/// The payloads of Amazon's frames, and what they wrap.
fn frames(mut rest: &[u8]) -> Vec<Json> {
    let mut all = Vec::new();
    while rest.len() >= 16 {
        let number = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let (total, headers) = (number(0), number(4));
        let payload: Json = serde_json::from_slice(&rest[12 + headers..total - 4]).unwrap();
        if let Some(wrapped) = payload.get("bytes").and_then(Json::as_str) {
            all.push(serde_json::from_slice(&STANDARD.decode(wrapped).unwrap()).unwrap());
        }
        all.push(payload);
        rest = &rest[total..];
    }
    all
}

fn find_reasons(json: &Json, reasons: &mut BTreeSet<String>) {
    const KEYS: [&str; 6] = [
        "finish_reason",
        "finishReason",
        "stop_reason",
        "stopReason",
        "done_reason",
        "completionReason",
    ];
    match json {
        Json::Object(members) => {
            for (key, value) in members {
                let value = value.get("reason").unwrap_or(value);
                match value.as_str() {
                    Some(reason) if KEYS.contains(&key.as_str()) && !reason.is_empty() => {
                        reasons.insert(reason.to_owned());
                    }
                    _ => find_reasons(value, reasons),
                }
            }
            let is_response = members
                .get("object")
                .is_some_and(|object| object == "response");
            let status = members.get("status").and_then(Json::as_str);
            let details = json
                .pointer("/incomplete_details/reason")
                .and_then(Json::as_str);
            if is_response && status != Some("in_progress") && status != Some("queued") {
                reasons.extend(details.or(status).map(str::to_owned));
            }
        }
        Json::Array(list) => list.iter().for_each(|json| find_reasons(json, reasons)),
        _ => {}
    }
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
        connect: Duration::ZERO,
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
