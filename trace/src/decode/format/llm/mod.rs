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
use super::close::Close;
use super::failure::{self, Failure};
use super::{Reading, STREAMED, full, judge};

pub(super) use self::answer::Ends;
pub(super) use self::latest::{Latest, close};
pub(super) use self::members::Members;
pub(super) use self::names::{Fields, name, scalar};
pub(super) use self::stream::{Flow, Piece};

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
    /// Returns whether a piece of a stream is of this API, by members that only this API has.
    pub(super) owns: fn(&Piece<'_>) -> bool,
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
    /// How far the stream came.
    pub(super) close: Close,
    /// The stream's framing.
    pub(super) flow: Flow,
}

/// Reads both bodies.
pub(super) fn read(
    api: &'static Api,
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let mut reading = Reading::of_request(exchange, request, None, notes);
    let api = speaker(api, response);
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
        answer = Answer::of(exchange, &fields, names::object(response));
        draw(api, exchange, &mut reading, None, Some(&fields));
        reading.close = judge::without_last_word(exchange, response);
    } else {
        judge::judge(exchange, request, response, &mut reading, |_| {});
        answer.refused(reading.failure.take());
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

/// Returns the API of a stream, by its first piece and then by its path: vendors share paths, and
/// `/v1/chat` is Cohere's and Writer's.
fn speaker(by_path: &'static Api, response: &Document) -> &'static Api {
    let other = stream::first(response, |piece| {
        let mut others = STREAMED.iter().filter(|api| (api.owns)(piece));
        others.next().filter(|_| !(by_path.owns)(piece)).copied()
    });
    other.flatten().unwrap_or(by_path)
}

/// The model and the usage of an exchange whose API is kept as it is.
#[derive(Debug, Default)]
pub(super) struct Hints {
    usage: Option<Usage>,
    model: Option<String>,
}

impl Hints {
    /// Looks at a piece of the answer.
    pub(super) fn take(&mut self, piece: &Piece<'_>) {
        self.look(&Fields::of_piece(piece));
    }

    fn look(&mut self, fields: &Fields<'_>) {
        let counted = Usage::of_fields(fields);
        if counted.is_some() {
            self.usage = counted;
            let model = fields.get("model").and_then(names::name);
            self.model = model.or(self.model.take());
        }
    }

    /// Puts them as attributes; the model that was asked for comes from the request, where the path
    /// is of a model.
    pub(super) fn put(
        mut self,
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
        if !stream::is_stream(response) && response.outline().is_some() {
            self.look(&Fields::of(response));
        }
        let put = &mut reading.upstream;
        if let Some(usage) = self.usage {
            usage.put(put);
        }
        put.put_some("gen_ai.request.model", asked.as_deref());
        put.put_some("gen_ai.response.model", self.model.as_deref());
        put.put_some("mlflow.llm.model", self.model.or(asked));
    }
}

/// Returns the error of an answer whose status is 400 or above, whatever its API.
pub(super) fn refusal(exchange: &Exchange, response: &Document) -> Option<Failure> {
    exchange.refused()?;
    let kind = response.content_type.as_deref().unwrap_or_default();
    if matches!(response.shape, Shape::Text) && kind.starts_with("text/plain") {
        let text = response.text();
        let words = text.as_str().trim();
        return (full(exchange) && !words.is_empty()).then(|| Failure::of_words(words));
    }
    let fields = Fields::of(response);
    failure::in_refusal(&fields, names::object(response), full(exchange))
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
    if let Some(error) = &merged.flow.error {
        let masked = redaction.fields(error, &mut notes.redactions);
        json = with_error(json, masked.as_deref().unwrap_or(error));
    }
    if let Some(without) = redaction.fields(&json, &mut notes.redactions) {
        json = without;
    }
    let fields = Fields::of_object(Raw(&json));
    *answer = Answer::of(exchange, &fields, Raw(&json));
    draw(api, exchange, reading, None, Some(&fields));
    reading.close = match merged.close {
        // The rest may have had it.
        Close::LastWordMissing if response.cut => Close::AtBodyEnd,
        close => close,
    };
    let first = merged
        .flow
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

/// Adds the error that the stream reported to the answer, unless it has one.
fn with_error(json: Vec<u8>, error: &[u8]) -> Vec<u8> {
    let known = Raw(&json).get("error");
    if known.is_some_and(failure::is_set) {
        return json;
    }
    let mut with = Vec::from(b"{");
    for (key, value) in Raw(&json).entries().filter(|(key, _)| *key != b"error") {
        push_member(&mut with, &String::from_utf8_lossy(key), value.0);
    }
    push_member(&mut with, "error", error);
    with.push(b'}');
    with
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
