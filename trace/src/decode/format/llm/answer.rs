//! What an answer says of itself: model, id, why it ended, what was counted, what went wrong.

use crate::decode::format::failure::{self, Failure};
use crate::decode::format::{Reading, full};
use crate::decode::json::{Kind, Raw};
use crate::{Exchange, Headers};

use super::names::{Fields, name};
use super::usage::Usage;
use super::{CHOICES_MAX, provider};

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
    failure: Option<Failure>,
}

impl Answer {
    /// From the members of a whole answer.
    pub(super) fn of(exchange: &Exchange, fields: &Fields<'_>, whole: Raw<'_>) -> Self {
        let first = |keys: &[&str]| keys.iter().find_map(|key| name(fields.get(key)?));
        let ends = Ends::of(fields);
        Self {
            failure: failure::in_model_answer(fields, whole, &ends, full(exchange)),
            model: first(&["model", "modelVersion"]),
            id: first(&["id", "responseId", "response_id", "generation_id"]),
            reasons: ends.reasons,
            usage: Usage::of_fields(fields),
        }
    }

    /// Adds what the body says as a whole, where no member says it.
    pub(super) fn refused(&mut self, refusal: Option<Failure>) {
        self.failure = self.failure.take().or(refusal);
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
        reading.failure = self.failure;
    }
}

/// The ends of the alternatives of an answer.
#[derive(Debug, Default)]
pub(in crate::decode::format) struct Ends<'a> {
    /// The reasons to finish, one for each alternative that has one.
    pub(in crate::decode::format) reasons: Vec<String>,
    /// The first `error` of an alternative.
    pub(in crate::decode::format) error: Option<Raw<'a>>,
}

impl<'a> Ends<'a> {
    fn of(fields: &Fields<'a>) -> Self {
        let mut ends = Self::default();
        for (list, key) in REASONS_IN_LISTS {
            let list = fields.get(list).into_iter().flat_map(Raw::elements);
            for (known, value) in list.take(CHOICES_MAX).flat_map(Raw::entries) {
                if known == key.as_bytes() {
                    ends.reasons.extend(reason(value));
                } else if known == b"error" && ends.error.is_none() {
                    ends.error = Some(value);
                }
            }
        }
        if ends.reasons.is_empty() {
            let found = REASONS.iter().find_map(|key| reason(fields.get(key)?));
            ends.reasons.extend(found);
        }
        let object = fields.get("object").and_then(Raw::quoted);
        if ends.reasons.is_empty() && object == Some(b"response") {
            let details = fields.get("incomplete_details").and_then(reason);
            let status = || name(fields.get("status")?);
            ends.reasons.extend(details.or_else(status));
        }
        ends
    }
}

/// Reads a reason to finish: some APIs name it, some wrap the name.
fn reason(raw: Raw<'_>) -> Option<String> {
    match raw.kind() {
        Kind::Object => raw
            .get("reason")
            .or_else(|| raw.get("finish_reason"))
            .and_then(name),
        _ => name(raw),
    }
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
