//! The Open Inference Protocol, version 2, as KServe, Triton and MLServer speak it: named
//! tensors in JSON, or, by the binary extension, in bytes after the JSON.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::decode::body::{Document, Tail};
use crate::decode::content;
use crate::decode::defect::Notes;
use crate::decode::json::{Kind, Raw};
use crate::decode::{text, url};
use crate::{Exchange, Text};

use super::failure::{self, Failure};
use super::frame::{Frame, INPUT, OUTPUT};
use super::judge::judge;
use super::llm::{self, Fields, push_member};
use super::statistics::Statistic;
use super::{Reading, full};

/// Tensors beyond this many are counted, not named.
const TENSORS_MAX: usize = 256;

/// Axes beyond this many are not listed.
const AXES_MAX: usize = 16;

/// A tensor's name is cut to this many bytes.
const NAME_BYTES_MAX: usize = 256;

/// The types that the protocol has.
const TYPES: [&str; 14] = [
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "FP32", "FP64", "BYTES", "BF16",
];

/// Whether a list under `inputs` or `outputs` is one of tensors.
pub(super) fn is_tensors(list: Raw<'_>) -> bool {
    let first = list.elements().next();
    first.is_some_and(|tensor| {
        tensor.get("name").is_some()
            && (tensor.get("datatype").is_some() || tensor.get("shape").is_some())
    })
}

/// Reads both bodies.
pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let (asked, answered) = (Fields::of(request), Fields::of(response));
    let statistics = exchange.plan.statistics;
    let input = frame(request, &asked, "inputs", statistics);
    let output = frame(response, &answered, "outputs", statistics);
    let mut reading = Reading::of_request(exchange, request, input.as_ref(), notes);
    reading.outputs = content::of(response, &exchange.plan, output.as_ref(), notes);
    for (document, side) in [
        (request, &mut reading.inputs),
        (response, &mut reading.outputs),
    ] {
        if let (Some(tail), Some(json)) = (&document.tail, side.as_ref())
            && full(exchange)
        {
            *side = with_tail(json, tail).or(side.take());
        }
    }
    reading.root_type = "CHAIN";
    reading.upstream_type = "TASK";
    let model = url::model(exchange.request.uri.path());
    reading.upstream_name = model.as_ref().map(|model| format!("infer {model}"));
    let versions = answered.get("model_version").and_then(Raw::text);
    let version = versions.map(|version| text::cut(&version, NAME_BYTES_MAX).to_owned());
    reading.shared.put_some("offpath.model.name", model);
    reading.shared.put_some("offpath.model.version", version);
    for (frame, names) in [(&input, &INPUT), (&output, &OUTPUT)] {
        if let Some(frame) = frame {
            frame.put(names, &mut reading.shared);
        }
    }
    // The protocol's own error is a text.
    let error = answered.get("error").filter(|error| {
        let text = error.kind() == Kind::String;
        text && failure::is_set(*error)
    });
    let full = full(exchange);
    reading.failure = error.map(|error| Failure::of_report(error, full));
    judge(exchange, request, response, &mut reading, |_| {});
    let refusal = || llm::refusal(exchange, response);
    reading.failure = reading.failure.take().or_else(refusal);
    reading
}

/// The tensors of one side.
fn frame(document: &Document, fields: &Fields<'_>, key: &str, statistics: bool) -> Option<Frame> {
    let list = fields.get(key).filter(|list| is_tensors(*list))?;
    let mut frame = Frame {
        format: match document.tail {
            Some(_) => "open_inference_binary",
            None => "open_inference",
        },
        ..Frame::default()
    };
    let mut rest: &[u8] = document.tail.as_ref().map_or(&[], |tail| &tail.bytes);
    for tensor in list.elements().take(TENSORS_MAX) {
        let name = tensor.get("name").and_then(Raw::text).unwrap_or_default();
        frame
            .columns
            .push(text::cut(&name, NAME_BYTES_MAX).to_owned());
        let kind = tensor
            .get("datatype")
            .and_then(Raw::text)
            .unwrap_or_default();
        let known = TYPES.iter().find(|known| **known == kind);
        frame.types.push(known.copied().unwrap_or("unknown"));
        let axes = tensor.get("shape").into_iter().flat_map(Raw::elements);
        let axis = |axis: Raw<'_>| usize::try_from(axis.integer()?).ok();
        frame.tensors.push(axes.take(AXES_MAX).map(axis).collect());
        if statistics {
            frame.statistics.push(like(tensor, &kind, &mut rest));
        }
    }
    Some(frame)
}

/// What a tensor's numbers are like; takes those of a binary one from the bytes that are left.
fn like(tensor: Raw<'_>, kind: &str, rest: &mut &[u8]) -> Statistic {
    let mut like = Statistic::default();
    if let Some(data) = tensor.get("data") {
        like.add(data);
        return like;
    }
    let size = tensor
        .get("parameters")
        .and_then(|parameters| parameters.get("binary_data_size"))
        .and_then(Raw::integer)
        .and_then(|size| usize::try_from(size).ok());
    let (values, tail) = rest.split_at(size.unwrap_or(0).min(rest.len()));
    *rest = tail;
    match kind {
        "FP32" => each(
            values,
            |four| f64::from(f32::from_le_bytes(four)),
            &mut like,
        ),
        "FP64" => each(values, f64::from_le_bytes, &mut like),
        "INT8" => each(
            values,
            |[one]| f64::from(i8::from_le_bytes([one])),
            &mut like,
        ),
        "FP16" => each(values, half, &mut like),
        // The upper half of a single.
        "BF16" => each(
            values,
            |[low, high]| f64::from(f32::from_le_bytes([0, 0, low, high])),
            &mut like,
        ),
        "BYTES" => strings(values, &mut like),
        "UINT8" | "BOOL" => each(values, |[one]| f64::from(one), &mut like),
        "INT16" => each(values, |two| f64::from(i16::from_le_bytes(two)), &mut like),
        "UINT16" => each(values, |two| f64::from(u16::from_le_bytes(two)), &mut like),
        "INT32" => each(
            values,
            |four| f64::from(i32::from_le_bytes(four)),
            &mut like,
        ),
        "UINT32" => each(
            values,
            |four| f64::from(u32::from_le_bytes(four)),
            &mut like,
        ),
        "INT64" => each(values, |eight| i64::from_le_bytes(eight) as f64, &mut like),
        "UINT64" => each(values, |eight| u64::from_le_bytes(eight) as f64, &mut like),
        _ => {}
    }
    like
}

/// Adds every whole value, lowest byte first.
fn each<const N: usize>(values: &[u8], number: impl Fn([u8; N]) -> f64, like: &mut Statistic) {
    let (values, _) = values.as_chunks::<N>();
    for value in values {
        like.add_number(number(*value));
    }
}

/// IEEE 754's binary16, lowest byte first.
fn half(bytes: [u8; 2]) -> f64 {
    /// The distance of the smallest numbers from each other: 2^-24.
    const STEP: f64 = 1.0 / 16_777_216.0;

    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, exponent, fraction) = (bits >> 15 << 31, bits >> 10 & 0x1f, bits & 0x3ff);
    let single = |exponent: u32| f64::from(f32::from_bits(sign | exponent << 23 | fraction << 13));
    match exponent {
        0 => f64::from(fraction) * STEP * if sign == 0 { 1.0 } else { -1.0 },
        31 => single(255),
        // A single's exponent is counted from 127, this one's from 15.
        _ => single(exponent + 112),
    }
}

/// Counts strings, each after its length in four bytes.
fn strings(mut values: &[u8], like: &mut Statistic) {
    while let Some((len, rest)) = values.split_first_chunk() {
        let Some(rest) = rest.get(u32::from_le_bytes(*len) as usize..) else {
            return;
        };
        like.add_other();
        values = rest;
    }
}

/// JSON with a member that tells of the bytes after it.
fn with_tail(json: &Text, tail: &Tail) -> Option<Text> {
    let json = json.as_bytes().trim_ascii_end().strip_suffix(b"}")?;
    let mut whole = json.to_vec();
    let mut about = format!("{{\"bytes\":{},\"sha256\":\"", tail.bytes.len());
    about.push_str(&hex::encode(Sha256::digest(&tail.bytes)));
    about.push_str(if tail.cut {
        "\",\"truncated\":true}"
    } else {
        "\"}"
    });
    push_member(&mut whole, "offpath.binary", about.as_bytes());
    whole.push(b'}');
    Some(Text::trusted(Bytes::from(whole)))
}
