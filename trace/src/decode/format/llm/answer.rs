//! What an answer says of itself: model, id, why it ended, what was counted, what went wrong.

use std::borrow::Cow;

use crate::decode::format::{Reading, full};
use crate::decode::json::{Kind, Raw};
use crate::decode::text;
use crate::{Exchange, Headers};

use super::names::{Fields, name, scalar};
use super::usage::Usage;
use super::{CHOICES_MAX, provider};

/// What an error says of itself is cut to this many bytes.
const ERROR_BYTES_MAX: usize = 512;

/// Lists of alternative answers, and what tells in each why it ended.
const REASONS_IN_LISTS: [(&str, &str); 6] = [
    ("choices", "finish_reason"),
    ("candidates", "finishReason"),
    ("generations", "finish_reason"),
    ("results", "completionReason"),
    ("outputs", "stop_reason"),
    ("completions", "finishReason"),
];

/// The same of an answer without alternatives.
const REASONS: [&str; 8] = [
    "stop_reason",
    "stopReason",
    "finish_reason",
    "finishReason",
    "done_reason",
    "completionReason",
    "details",
    "stop_type",
];

/// What an answer says of itself.
#[derive(Debug, Default)]
pub(super) struct Answer {
    model: Option<String>,
    id: Option<String>,
    reasons: Vec<String>,
    usage: Option<Usage>,
    error: Option<String>,
}

impl Answer {
    /// From the members of a whole answer.
    pub(super) fn of(exchange: &Exchange, fields: &Fields<'_>) -> Self {
        let first = |keys: &[&str]| keys.iter().find_map(|key| name(fields.get(key)?));
        Self {
            model: first(&["model", "modelVersion"]),
            id: first(&["id", "responseId", "response_id", "generation_id"]),
            reasons: reasons(fields),
            usage: Usage::of_fields(fields),
            error: fields
                .get("error")
                .and_then(|error| error_of(exchange, error)),
        }
    }

    /// Adds what the body says as a whole, where no member says it.
    pub(super) fn refused(&mut self, words: Option<String>) {
        self.error = self.error.take().or(words);
    }

    /// Tokens generated.
    pub(super) fn output(&self) -> Option<i64> {
        self.usage.and_then(Usage::output)
    }

    /// As attributes, with what only the request, the host or the response's fields say.
    pub(super) fn put(
        self,
        exchange: &Exchange,
        asked: Option<String>,
        operation: &str,
        reading: &mut Reading,
    ) {
        let headers = exchange.response.as_ref().map(|response| &response.headers);
        reading.upstream_name = Some(match &asked {
            Some(model) => format!("{operation} {model}"),
            None => operation.to_owned(),
        });
        let put = &mut reading.upstream;
        put.put_list("gen_ai.response.finish_reasons", self.reasons);
        put.put_some("gen_ai.response.id", self.id);
        if let Some(usage) = self.usage.or_else(|| headers.and_then(of_headers)) {
            usage.put(put);
        }
        put.put_some("gen_ai.request.model", asked.as_deref());
        put.put_some("gen_ai.response.model", self.model.as_deref());
        put.put_some("mlflow.llm.model", self.model.or(asked));
        if let Some(provider) = provider::of(exchange) {
            put.put("gen_ai.provider.name", provider.otel);
            put.put("mlflow.llm.provider", provider.mlflow);
            // Its thoughts, and its tool calls that have no type, MLflow's page draws as its own alone.
            if provider.mlflow == "mistral" && reading.message_format == Some("openai") {
                reading.message_format = Some("mistral");
            }
        }
        reading.in_band_error = self.error;
    }
}

fn reasons(fields: &Fields<'_>) -> Vec<String> {
    // Some name a reason, some wrap the name.
    let reason = |raw: Raw<'_>| match raw.kind() {
        Kind::Object => raw
            .get("reason")
            .or_else(|| raw.get("finish_reason"))
            .and_then(name),
        _ => name(raw),
    };
    let mut reasons = Vec::new();
    for (list, key) in REASONS_IN_LISTS {
        let list = fields.get(list).into_iter().flat_map(Raw::elements);
        let found = list
            .take(CHOICES_MAX)
            .filter_map(|one| reason(one.get(key)?));
        reasons.extend(found);
    }
    if reasons.is_empty() {
        let found = REASONS.iter().find_map(|key| reason(fields.get(key)?));
        reasons.extend(found);
    }
    let object = fields.get("object").and_then(Raw::quoted);
    if reasons.is_empty() && object == Some(b"response") {
        let details = fields.get("incomplete_details").and_then(reason);
        reasons.extend(details.or_else(|| name(fields.get("status")?)));
    }
    reasons
}

/// What a plain text says that is an error as a whole.
pub(super) fn refusal_in_text(exchange: &Exchange, text: &str) -> Option<String> {
    let words = text::cut(text.trim(), ERROR_BYTES_MAX);
    (full(exchange) && !words.is_empty()).then(|| words.to_owned())
}

/// What a body says that is an error as a whole: `error`, or its members one level up.
pub(super) fn refusal(exchange: &Exchange, fields: &Fields<'_>) -> Option<String> {
    if let Some(error) = fields.get("error") {
        return error_of(exchange, error);
    }
    let kind = ["error_code", "code", "type", "__type"];
    let kind = kind.iter().find_map(|key| name(fields.get(key)?));
    let message = fields.get("message").and_then(Raw::text);
    let message = message.or_else(|| detail(fields.get("detail")?));
    let message = message.filter(|_| full(exchange));
    let words = match (kind, message) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(kind), None) => kind,
        (None, Some(message)) => message.into_owned(),
        (None, None) => return None,
    };
    Some(text::cut(&words, ERROR_BYTES_MAX).to_owned())
}

/// What FastAPI says is wrong: a text, or a list whose objects each have one.
fn detail(detail: Raw<'_>) -> Option<Cow<'_, str>> {
    detail
        .text()
        .or_else(|| detail.elements().next()?.get("msg")?.text())
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

/// Bedrock counts in the response's fields, whatever the model's vendor sends.
fn of_headers(headers: &Headers) -> Option<Usage> {
    let count = |name| {
        let value: i64 = headers.text(name)?.parse().ok()?;
        (value >= 0).then_some(value)
    };
    Usage::of_counts(
        count("x-amzn-bedrock-input-token-count"),
        count("x-amzn-bedrock-output-token-count"),
    )
}
