//! What all APIs of language models have in common: who was asked for what, who answered, how
//! it ended, what was counted, and when the first word came.
//!
//! An API is a constant of [`Api`] in a file beside this folder. A streamed answer is first put
//! together as the same request without a stream gives it; what is read from an answer is then
//! read in one way. Members that only some APIs send are looked for in all of them: no
//! two mean different things by one name, and copies of an API mix them.

mod answer;
mod latest;
mod members;
mod names;
mod parts;
mod provider;
mod request;
pub(super) mod stream;
mod tools;
mod usage;

use std::time::Duration;

use bytes::Bytes;

use crate::decode::arrival;
use crate::decode::body::{Document, Shape};
use crate::decode::content;
use crate::decode::defect::{Defect, Notes};
use crate::decode::json::{self, Raw};
use crate::decode::media;
use crate::{Exchange, Text};

use self::answer::Answer;
use self::usage::Usage;
use super::{Reading, full};

pub(super) use self::latest::{Latest, close};
pub(super) use self::members::Members;
pub(super) use self::names::Fields;
pub(super) use self::stream::Piece;

/// Choices beyond this many are not kept apart: OpenAI allows 128.
pub(super) const CHOICES_MAX: usize = 128;

/// Paths of APIs that are kept as they are, whose requests name a model. Elsewhere a member `model` may
/// be a car's.
const MODEL_PATHS: [&str; 6] = [
    "/assistants",
    "/audio/speech",
    "/images/generations",
    "/moderations",
    "/rerank",
    "/runs",
];

/// One API of a language model.
pub(super) struct Api {
    /// OpenTelemetry's `gen_ai.operation.name`.
    pub(super) operation: &'static str,
    /// MLflow's type of the upstream span.
    pub(super) span_type: &'static str,
    /// What MLflow's UI is told to draw the conversation by, where it can.
    pub(super) message_format: Option<&'static str>,
    /// Puts a stream together; `None` where nothing of an answer was in it.
    pub(super) merge: fn(&Document, &mut Notes) -> Option<Merged>,
    /// The two sides as MLflow's UI reads them, where it would not read them as they are.
    pub(super) drawn: Option<Drawn>,
}

/// Writes each side of a conversation anew, as JSON; `None` for as it is.
#[derive(Clone, Copy)]
pub(super) struct Drawn {
    /// From the request's members.
    pub(super) inputs: fn(&Fields<'_>) -> Option<Vec<u8>>,
    /// From the answer's.
    pub(super) outputs: fn(&Fields<'_>) -> Option<Vec<u8>>,
}

/// An answer put together from its pieces.
pub(super) struct Merged {
    /// One JSON object.
    pub(super) json: Vec<u8>,
    /// Whether the stream said that it was at its end.
    pub(super) done: bool,
    /// Where the first piece with content ends, in bytes.
    pub(super) first_content: Option<usize>,
}

/// Reads both bodies.
pub(super) fn read(
    api: &Api,
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let mut reading = Reading::of_request(exchange, request, None, notes);
    reading.root_type = "CHAIN";
    reading.upstream_type = api.span_type;
    reading.message_format = api.message_format.filter(|_| full(exchange));
    reading.upstream.put("gen_ai.operation.name", api.operation);
    let asked = Fields::of(request);
    request::put(exchange, &asked, &mut reading.upstream);
    if full(exchange) {
        let listed = tools::listed(&asked);
        reading.upstream.put_some("mlflow.chat.tools", listed);
    }
    let mut answer = Answer::default();
    if stream::is_stream(response)
        && let Some(merged) = (api.merge)(response, notes)
    {
        take_merged(
            api,
            exchange,
            response,
            merged,
            &mut answer,
            &mut reading,
            notes,
        );
    } else if response.outline().is_some() {
        let fields = Fields::of(response);
        answer = Answer::of(exchange, &fields);
        draw(api, exchange, &mut reading, None, Some(&fields));
    }
    draw(api, exchange, &mut reading, Some(&asked), None);
    if reading.outputs.is_none() {
        reading.outputs = content::of(response, &exchange.plan, None, notes);
    }
    answer.refused(refusal(exchange, response));
    let model = request::model(exchange, &asked);
    answer.put(exchange, model, api.operation, &mut reading);
    reading
}

/// What an exchange of an API that is kept as it is tells all the same: who was asked, where the path
/// says that a model was, who answered, and what it counted.
pub(super) fn put_hints(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    reading: &mut Reading,
) {
    let path = exchange.request.uri.path();
    let asked = MODEL_PATHS.iter().any(|end| path.ends_with(end));
    let asked = asked.then(|| Fields::of(request)).and_then(|fields| {
        let model = fields.get("model")?;
        names::name(model)
    });
    let mut usage = None;
    let mut model = None;
    let mut look = |fields: &Fields<'_>| {
        let counted = Usage::of_fields(fields);
        if counted.is_some() {
            usage = counted;
            model = fields.get("model").and_then(names::name).or(model.take());
        }
    };
    if stream::is_stream(response) {
        // Whatever is wrong with it is not wrong by any format that is known.
        let mut unheard = Notes::default();
        stream::read(response, &mut unheard, |piece, _| {
            look(&Fields::of_piece(piece));
            false
        });
    } else if response.outline().is_some() {
        look(&Fields::of(response));
    }
    let put = &mut reading.upstream;
    if let Some(usage) = usage {
        usage.put(put);
    }
    put.put_some("gen_ai.request.model", asked.as_deref());
    put.put_some("gen_ai.response.model", model.as_deref());
    put.put_some("mlflow.llm.model", model.or(asked));
}

/// What a refusal says of itself, whatever API it is of; `None` where the status is no refusal's.
pub(super) fn refusal(exchange: &Exchange, response: &Document) -> Option<String> {
    let answer = exchange.response.as_ref()?;
    if answer.status.as_u16() < 400 {
        return None;
    }
    let kind = response.content_type.as_deref().unwrap_or_default();
    if matches!(response.shape, Shape::Text) && kind.starts_with("text/plain") {
        return answer::refusal_in_text(exchange, response.text().as_str());
    }
    answer::refusal(exchange, &Fields::of(response))
}

/// Whether an object holds figures.
pub(super) fn is_usage(usage: Raw<'_>) -> bool {
    Usage::read(usage).is_some()
}

/// Appends a member, and before it the comma where one is due.
pub(super) fn push_member(json: &mut Vec<u8>, key: &str, value: &[u8]) {
    if json.trim_ascii_end().last() != Some(&b'{') {
        json.push(b',');
    }
    json.push(b'"');
    json.extend_from_slice(key.as_bytes());
    json.extend_from_slice(b"\":");
    json.extend_from_slice(value);
}

fn take_merged(
    api: &Api,
    exchange: &Exchange,
    response: &Document,
    merged: Merged,
    answer: &mut Answer,
    reading: &mut Reading,
    notes: &mut Notes,
) {
    let mut json = merged.json;
    if let Some(mended) = json::mend_surrogates(&json) {
        notes.note(Defect::LoneSurrogate);
        json = mended;
    }
    if let Some(without) = media::replaced(&json) {
        json = without;
    }
    let redaction = &exchange.plan.redaction;
    if let Some(without) = redaction.fields(&json, &mut notes.redactions) {
        json = without;
    }
    let fields = Fields::of_object(Raw(&json));
    *answer = Answer::of(exchange, &fields);
    draw(api, exchange, reading, None, Some(&fields));
    reading.incomplete = !response.cut && !merged.done;
    let first = merged
        .first_content
        .and_then(|end| arrival(exchange, response, end));
    put_times(exchange, first, answer.output(), reading);
    if !full(exchange) {
        return;
    }
    if response.cut && json.pop().is_some() {
        let sizes = format!(
            "{{\"truncated\":true,\"bytes\":{},\"kept_bytes\":{}}}",
            response.wire_bytes,
            response.bytes.len()
        );
        if json.last() == Some(&b'{') {
            json.extend_from_slice(b"\"offpath.body\":");
            json.extend_from_slice(sizes.as_bytes());
        } else {
            push_member(&mut json, "offpath.body", sizes.as_bytes());
        }
        json.push(b'}');
    }
    reading.outputs = Some(Text::trusted(Bytes::from(json)));
}

/// Sets what MLflow's UI draws, where that is not the body itself.
fn draw(
    api: &Api,
    exchange: &Exchange,
    reading: &mut Reading,
    asked: Option<&Fields<'_>>,
    answered: Option<&Fields<'_>>,
) {
    let Some(drawn) = api.drawn.filter(|_| full(exchange)) else {
        return;
    };
    let text = |json: Vec<u8>| Text::trusted(Bytes::from(json));
    if let Some(asked) = asked {
        reading.drawn_inputs = (drawn.inputs)(asked).map(text);
    }
    if let Some(answered) = answered {
        reading.drawn_outputs = (drawn.outputs)(answered).map(text);
    }
}

/// When the byte before `end` of the document passed.
fn arrival(exchange: &Exchange, response: &Document, end: usize) -> Option<Duration> {
    let end = response.plain_from?.saturating_add(end);
    let answer = exchange.response.as_ref()?;
    arrival::of(&answer.headers, &answer.body, end)
}

/// The time to the first piece with content, and how fast the rest came: the tokens that the
/// upstream counted, over the time from the first content to the end.
fn put_times(
    exchange: &Exchange,
    first: Option<Duration>,
    tokens: Option<i64>,
    reading: &mut Reading,
) {
    let (Some(first), Some(start)) = (first, exchange.timing.upstream_start) else {
        return;
    };
    reading.first_content = Some(first);
    let waited = first.saturating_sub(start).as_secs_f64();
    reading
        .upstream
        .put("gen_ai.response.time_to_first_chunk", waited);
    let spoken = exchange.timing.end.saturating_sub(first).as_secs_f64();
    if let Some(tokens) = tokens.filter(|tokens| *tokens > 0 && spoken > 0.0) {
        let rate = tokens as f64 / spoken;
        reading.upstream.put("offpath.tokens_per_second", rate);
    }
}

/// Whether a body is JSON, or begins as JSON.
pub(super) fn is_json(document: &Document) -> bool {
    matches!(document.shape, Shape::Json(_) | Shape::JsonPart(_))
}
