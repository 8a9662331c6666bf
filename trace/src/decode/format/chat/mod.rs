//! OpenAI chat completions, as OpenAI and all who copied it send them.

mod merge;
mod provider;
mod usage;

use crate::decode::body::{Document, Shape};
use crate::decode::content;
use crate::decode::defect::Defects;
use crate::decode::json::{Kind, Raw};
use crate::decode::text;
use crate::{Exchange, Text};

use self::merge::Merge;
use self::usage::Usage;
use super::{Reading, full};

/// Names that a message gives (models, ids, finish reasons) are cut to this many bytes.
const NAME_BYTES_MAX: usize = 256;

/// Tool definitions above this size stay in the inputs alone.
const TOOLS_BYTES_MAX: usize = 256 * 1024;

/// What an error says of itself is cut to this many bytes.
const ERROR_BYTES_MAX: usize = 512;

/// Choices beyond this many are not kept apart: the API allows 128.
const CHOICES_MAX: usize = 128;

/// Whether a response is a chat completion by its own words.
pub(super) fn answers(response: &Document) -> bool {
    /// How far into a response its `object` is looked for: it stands before what is long.
    const LOOK_BYTES: usize = 512;

    let head = response.bytes.get(..LOOK_BYTES).unwrap_or(&response.bytes);
    memchr::memmem::find(head, b"\"chat.completion").is_some()
}

/// Reads both bodies.
pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    defects: &mut Defects,
) -> Reading {
    let mut reading = Reading::of_request(exchange, request, None);
    reading.root_type = "CHAIN";
    reading.upstream_type = "CHAT_MODEL";
    reading.message_format = full(exchange).then_some("openai");
    reading.upstream.put("gen_ai.operation.name", "chat");
    let asked = read_request(exchange, request, &mut reading);
    let answer = read_response(exchange, response, &mut reading, defects);
    if reading.outputs.is_none() {
        reading.outputs = content::of(response, exchange.plan.level, None);
    }
    if let Some(model) = &asked {
        reading.upstream_name = Some(format!("chat {model}"));
    } else {
        reading.upstream_name = Some("chat".to_owned());
    }
    reading
        .upstream
        .put_some("gen_ai.request.model", asked.as_deref());
    reading
        .upstream
        .put_some("gen_ai.response.model", answer.as_deref());
    reading
        .upstream
        .put_some("mlflow.llm.model", answer.or(asked));
    if let Some(provider) = provider::of(exchange) {
        reading.upstream.put("gen_ai.provider.name", provider.otel);
        reading.upstream.put("mlflow.llm.provider", provider.mlflow);
    }
    reading
}

/// The request's parameters; gives the model asked for.
fn read_request(exchange: &Exchange, request: &Document, reading: &mut Reading) -> Option<String> {
    let outline = request.outline()?;
    let get = |name: &str| outline.get(&request.bytes, name);
    let integer = |name: &str| get(name).and_then(Raw::integer);
    let float = |name: &str| get(name).and_then(Raw::float);
    let put = &mut reading.upstream;
    let limit = integer("max_completion_tokens").or_else(|| integer("max_tokens"));
    put.put_some("gen_ai.request.max_tokens", limit);
    put.put_some("gen_ai.request.temperature", float("temperature"));
    put.put_some("gen_ai.request.top_p", float("top_p"));
    put.put_some(
        "gen_ai.request.frequency_penalty",
        float("frequency_penalty"),
    );
    put.put_some("gen_ai.request.presence_penalty", float("presence_penalty"));
    put.put_some("gen_ai.request.seed", integer("seed"));
    put.put_some(
        "gen_ai.request.choice.count",
        integer("n").filter(|count| *count != 1),
    );
    put.put_some("gen_ai.request.stream", get("stream").and_then(Raw::truth));
    let output = get("response_format")
        .and_then(|format| format.get("type"))
        .and_then(Raw::text);
    let output = output.map(|kind| {
        if kind.starts_with("json") {
            "json"
        } else {
            "text"
        }
    });
    put.put_some("gen_ai.output.type", output);
    if full(exchange) {
        let tools = get("tools").filter(|tools| tools.kind() == Kind::Array);
        let tools = tools.filter(|tools| tools.0.len() <= TOOLS_BYTES_MAX);
        let tools = tools.map(|tools| Text::trusted(request.bytes.slice_ref(tools.0)));
        put.put_some("mlflow.chat.tools", tools);
    }
    get("model").and_then(name)
}

/// The response's figures, and a stream's parts put together; gives the model that answered.
fn read_response(
    exchange: &Exchange,
    response: &Document,
    reading: &mut Reading,
    defects: &mut Defects,
) -> Option<String> {
    match &response.shape {
        Shape::Json(outline) | Shape::JsonPart(outline) => {
            let get = |name: &str| outline.get(&response.bytes, name);
            let choices = get("choices")
                .into_iter()
                .flat_map(Raw::elements)
                .take(CHOICES_MAX);
            let reasons = choices.filter_map(|choice| name(choice.get("finish_reason")?));
            reading
                .upstream
                .put_list("gen_ai.response.finish_reasons", reasons);
            reading
                .upstream
                .put_some("gen_ai.response.id", get("id").and_then(name));
            if let Some(usage) = get("usage").and_then(Usage::read) {
                usage.put(&mut reading.upstream);
            }
            reading.in_band_error = get("error").and_then(|error| error_of(exchange, error));
            get("model").and_then(name)
        }
        Shape::Events => {
            let merge = Merge::read(&response.bytes, response.cut, defects);
            if merge.is_empty() {
                return None;
            }
            reading
                .upstream
                .put_list("gen_ai.response.finish_reasons", merge.finish_reasons());
            reading.upstream.put_some("gen_ai.response.id", merge.id());
            if let Some(usage) = merge.usage() {
                usage.put(&mut reading.upstream);
            }
            reading.in_band_error = merge.error().and_then(|error| error_of(exchange, error));
            reading.incomplete = !response.cut && !merge.is_done();
            let model = merge.model();
            if full(exchange) {
                reading.outputs = Some(merge.completion(response, defects));
            }
            model
        }
        _ => None,
    }
}

/// What an `error` member says: its type or code, and, where content may be stored, its message.
fn error_of(exchange: &Exchange, error: Raw<'_>) -> Option<String> {
    let mut words = match error.kind() {
        Kind::Null => return None,
        Kind::Object => {
            let part = |key| error.get(key).filter(|part| part.kind() != Kind::Null);
            let kind = part("type").or_else(|| part("code"));
            let mut words = kind.and_then(|kind| name(kind).or_else(|| Some(scalar(kind))));
            if let Some(message) = part("message")
                .and_then(Raw::text)
                .filter(|_| full(exchange))
            {
                words =
                    Some(words.map_or(message.to_string(), |kind| format!("{kind}: {message}")));
            }
            words.unwrap_or_default()
        }
        _ if full(exchange) => error
            .text()
            .map_or_else(|| scalar(error), |text| text.to_string()),
        _ => String::new(),
    };
    words.truncate(text::cut(&words, ERROR_BYTES_MAX).len());
    Some(words)
}

/// A number or such, as written.
fn scalar(raw: Raw<'_>) -> String {
    text::cut(&String::from_utf8_lossy(raw.0), NAME_BYTES_MAX).to_owned()
}

/// A short string; an empty one names nothing.
fn name(raw: Raw<'_>) -> Option<String> {
    let name = raw.text()?;
    (!name.is_empty()).then(|| text::cut(&name, NAME_BYTES_MAX).to_owned())
}
