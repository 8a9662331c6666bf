//! One recorded exchange, and what its bodies say, read without anything of what is tested.
//!
//! A part of the recordings is in this repository (`trace/tests/data/recorded`); all of them are in the
//! folder that `OFFPATH_CORPUS` names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

/// Where the recorded figures, read by another program, are wrong and the body is right: a
/// guardrail blocked the input, and the one event counts 6 tokens in and 3 out.
pub(crate) const DISPUTED: &str = "f07ba048eb496284";

/// A recorded exchange. Fields as pairs of names and values, bodies as they were on the wire.
pub(crate) struct Recording {
    pub(crate) id: String,
    pub(crate) wire: String,
    pub(crate) kind: String,
    /// That was asked for or that answered, as another program read it.
    model: Option<String>,
    /// By `input`, `output`, `total`, `cache_read`, `cache_write` and `reasoning`.
    pub(crate) usage: BTreeMap<&'static str, i64>,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) request_fields: Vec<(String, String)>,
    pub(crate) request: Vec<u8>,
    pub(crate) response_fields: Vec<(String, String)>,
    pub(crate) response: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Those of this repository, some of each API and kind of answer.
pub(crate) fn chosen() -> Vec<Recording> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    in_folder(&workspace.join("trace/tests/data/recorded"))
}

/// All of them.
pub(crate) fn all() -> Vec<Recording> {
    let folder = std::env::var_os("OFFPATH_CORPUS");
    let folder = folder.expect("OFFPATH_CORPUS names the folder of all recordings");
    in_folder(Path::new(&folder))
}

/// Those of each file in a folder. A folder that is not there, or holds none, fails the test.
fn in_folder(folder: &Path) -> Vec<Recording> {
    let entries = std::fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let all: Vec<_> = files.iter().flat_map(|file| read(file)).collect();
    assert!(!all.is_empty(), "{} holds no recording", folder.display());
    all
}

/// Those of one file, a line each.
pub(crate) fn read(file: &Path) -> Vec<Recording> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(Recording::parse).collect()
}

impl Recording {
    fn parse(line: &str) -> Self {
        let json: Json = serde_json::from_str(line).unwrap();
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        // A body that is text may stand as it is.
        let bytes = |key: &str| match json[key].as_str() {
            Some(plain) => plain.into(),
            None => STANDARD.decode(text(&format!("{key}_b64"))).unwrap(),
        };
        let fields = |key: &str| {
            let pairs = json[key].as_array().into_iter().flatten();
            let text = |pair: &Json, at: usize| pair[at].as_str().unwrap().to_owned();
            pairs.map(|pair| (text(pair, 0), text(pair, 1))).collect()
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
            model: json["model"].as_str().map(str::to_owned),
            usage: usage.collect(),
            method: text("method"),
            host: text("host"),
            path: text("path"),
            status: u16::try_from(json["status"].as_u64().unwrap()).unwrap(),
            request_fields: fields("req_headers"),
            request: bytes("req_body"),
            response_fields: fields("resp_headers"),
            response: bytes("resp_body"),
            trailers: fields("resp_trailers"),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {} {} {}", self.id, self.wire, self.kind, self.path)
    }

    /// What of these attributes of a trace's upstream span is not as the bodies have it. Each is
    /// text; of a list, its items with commas between.
    pub(crate) fn faults(&self, attribute: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let name = self.name();
        let mut faults = Vec::new();
        let usage = usage_of(&attribute);
        // The other program did not know every name for what was read from a cache.
        let mut known = usage.clone();
        known.retain(|key, _| self.usage.contains_key(key) || !key.starts_with("cache"));
        if known != self.usage && self.id != DISPUTED {
            faults.push(format!(
                "{name}: usage {usage:?}, recorded {:?}",
                self.usage
            ));
        }
        let model = attribute("mlflow.llm.model");
        let told = self.models();
        if !told.is_empty() && !model.as_ref().is_some_and(|model| told.contains(model)) {
            faults.push(format!("{name}: model {model:?}, the bodies say {told:?}"));
        }
        let asked = attribute("gen_ai.request.model");
        if self.model.is_some() && self.model != asked && self.model != model {
            let recorded = &self.model;
            faults.push(format!(
                "{name}: model {asked:?}, {model:?}, recorded {recorded:?}"
            ));
        }
        let reasons = attribute("gen_ai.response.finish_reasons");
        let told = self.finish_reasons();
        let reasons = reasons.iter().flat_map(|list| list.split(','));
        let reasons: BTreeSet<_> = reasons.map(str::to_owned).collect();
        if reasons != told {
            faults.push(format!("{name}: ended {reasons:?}, the body says {told:?}"));
        }
        faults
    }

    /// The models that the bodies and the path name.
    pub(crate) fn models(&self) -> BTreeSet<String> {
        let mut models = BTreeSet::new();
        let answers = self.answers();
        let asked: Option<Json> = serde_json::from_slice(&self.request).ok();
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
        let mut plain = self.response.clone();
        let is_coding = |name: &str| name.eq_ignore_ascii_case("content-encoding");
        let mut codings = self
            .response_fields
            .iter()
            .filter(|field| is_coding(&field.0));
        if codings.any(|(_, coding)| coding == "gzip") {
            plain.clear();
            let mut packed = flate2::bufread::MultiGzDecoder::new(self.response.as_slice());
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

/// What a trace counts, in the words of the recordings.
fn usage_of(attribute: impl Fn(&str) -> Option<String>) -> BTreeMap<&'static str, i64> {
    let mut usage = BTreeMap::new();
    let Some(text) = attribute("mlflow.chat.tokenUsage") else {
        return usage;
    };
    let json: Json = serde_json::from_str(&text).unwrap();
    for (key, name) in [
        ("input_tokens", "input"),
        ("output_tokens", "output"),
        ("total_tokens", "total"),
        ("cache_read_input_tokens", "cache_read"),
        ("cache_creation_input_tokens", "cache_write"),
    ] {
        if let Some(count) = json.get(key) {
            usage.insert(name, count.as_i64().unwrap());
        }
    }
    let reasoning = attribute("gen_ai.usage.reasoning.output_tokens");
    usage.extend(reasoning.map(|count| ("reasoning", count.parse().unwrap())));
    usage
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
