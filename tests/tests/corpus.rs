//! Recorded exchanges of real providers through the real gateway, each in several chunkings: the
//! response comes out byte for byte, and the trace counts what the recording counts.
//!
//! The recordings are not part of this repository. They are looked for in the folder that
//! `OFFPATH_CORPUS` names, or else in `shared/data/cassettes` beside the checkout; where there is
//! none, this says so and checks nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use offpath_tests::{Collector, Gateway, Trace, Upstream, Wire, chunked};
use serde_json::{Map, Value, json};

/// Where the recorded figures, read by another program, are wrong and the body is right: a
/// guardrail blocked the input, and the one event counts 6 tokens in and 3 out.
const DISPUTED: &str = "f07ba048eb496284";

/// Sizes of the chunks in which a response is sent, one after the other.
const CHUNKINGS: [&[usize]; 3] = [&[1 << 20], &[7], &[1, 300, 2, 4_000]];

struct Cassette {
    json: Value,
    request: Vec<u8>,
    response: Vec<u8>,
}

fn cassettes() -> Option<Vec<Cassette>> {
    let folder = match std::env::var_os("OFFPATH_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cassettes"),
    };
    let entries = std::fs::read_dir(folder).ok()?;
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let json: Value = serde_json::from_str(line).unwrap();
            let bytes = |key: &str| unpacked(json[key].as_str().unwrap_or_default());
            let (request, response) = (bytes("req_body_b64"), bytes("resp_body_b64"));
            all.push(Cassette {
                json,
                request,
                response,
            });
        }
    }
    Some(all)
}

/// Base64 (RFC 4648).
fn unpacked(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|known| *known == letter).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

impl Cassette {
    fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_default()
    }

    /// The recorded fields, but for those that frame the body.
    fn fields(&self, key: &str) -> String {
        let framing = [
            "content-length",
            "transfer-encoding",
            "connection",
            "host",
            "trailer",
        ];
        let pairs = self.json[key].as_array().unwrap().iter();
        let pairs = pairs.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        let kept = pairs.filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            !framing.contains(&name.as_str()) && name != "expect"
        });
        let lines = kept.map(|(name, value)| format!("{name}: {value}\r\n"));
        lines.collect()
    }

    fn request(&self, at: usize, chunking: usize) -> Bytes {
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\nx-request-id: {at}-{chunking}\r\ncontent-length: {}\r\n{}\r\n",
            self.text("method"),
            self.text("path"),
            self.text("host"),
            self.request.len(),
            self.fields("req_headers"),
        );
        [head.as_bytes(), &self.request].concat().into()
    }

    fn answer(&self, sizes: &[usize]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {} Recorded\r\ntransfer-encoding: chunked\r\n{}\r\n",
            self.json["status"],
            self.fields("resp_headers"),
        );
        [head.as_bytes(), &chunked(&self.response, sizes)].concat()
    }

    /// What the recording counts, in the words of a trace.
    fn usage(&self) -> Map<String, Value> {
        let names = [
            ("input", "input_tokens"),
            ("output", "output_tokens"),
            ("total", "total_tokens"),
            ("cache_read", "cache_read_input_tokens"),
        ];
        let counted = names.into_iter().filter_map(|(name, key)| {
            let count = self.json["usage"].get(name)?;
            (!count.is_null()).then(|| (key.to_owned(), count.clone()))
        });
        counted.collect()
    }
}

/// An upstream that plays what the request's id names.
async fn player(cassettes: Arc<Vec<Cassette>>) -> Upstream {
    Upstream::script(move |_, mut wire| {
        let cassettes = Arc::clone(&cassettes);
        async move {
            while let Some(head) = wire.try_head().await {
                let body = wire.body(&head).await;
                let id = head.field("x-request-id").unwrap_or_default();
                let (at, chunking) = id.split_once('-').unwrap();
                let cassette = cassettes.get(at.parse::<usize>().unwrap()).unwrap();
                assert!(
                    body == cassette.request,
                    "{id}: the request is not as it was"
                );
                let chunking = CHUNKINGS.get(chunking.parse::<usize>().unwrap()).unwrap();
                wire.send(cassette.answer(chunking)).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn recorded_exchanges_pass_unchanged_and_are_counted_as_recorded() {
    let Some(cassettes) = cassettes() else {
        eprintln!("SKIPPED: no recorded exchanges here (OFFPATH_CORPUS names the folder)");
        return;
    };
    let cassettes = Arc::new(cassettes);
    let upstream = player(Arc::clone(&cassettes)).await;
    let collector = Collector::start().await;
    let gateway = Gateway::before(upstream.url())
        .set("export/queue", json!({"max_bytes": "1GiB"}))
        .collect(&collector)
        .start()
        .await;
    let mut client = Wire::connect(gateway.address()).await;
    let mut sent = 0;
    for (at, cassette) in cassettes.iter().enumerate() {
        for chunking in 0..CHUNKINGS.len() {
            let (_, body) = client.exchange(cassette.request(at, chunking)).await;
            assert!(
                body == cassette.response,
                "{}: bytes differ",
                cassette.text("id")
            );
            sent += 1;
        }
    }
    let traces = collector.wait_for(sent).await;
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for trace in &traces {
        let id = trace.text("offpath.request_id");
        let at: usize = id.split('-').next().unwrap().parse().unwrap();
        let cassette = cassettes.get(at).unwrap();
        let (all, counted) = counts.entry(cassette.text("wire")).or_default();
        *all += 1;
        *counted += usize::from(!usage_of(trace).is_empty());
        wrong.extend(difference(cassette, trace));
    }
    for (wire, (all, counted)) in counts {
        eprintln!("{wire:40} {all:>6} traces, {counted:>6} with usage");
    }
    eprintln!(
        "{sent} responses byte for byte, {} usage mismatches",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn usage_of(trace: &Trace) -> Map<String, Value> {
    let call = trace.call.as_ref().unwrap();
    let usage = call.attributes.get("mlflow.chat.tokenUsage");
    let usage = usage.and_then(Value::as_str).unwrap_or("{}");
    serde_json::from_str(usage).unwrap()
}

fn difference(cassette: &Cassette, trace: &Trace) -> Option<String> {
    let expect = cassette.usage();
    let mut usage = usage_of(trace);
    // The other program did not know every name for what a cache held.
    usage.retain(|key, _| expect.contains_key(key) || !key.starts_with("cache"));
    let id = cassette.text("id");
    let same = usage == expect || id == DISPUTED;
    (!same).then(|| {
        format!(
            "{id} {}: {usage:?}, recorded {expect:?}",
            cassette.text("wire")
        )
    })
}
