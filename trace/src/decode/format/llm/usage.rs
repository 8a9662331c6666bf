//! Token usage: the upstream's own figure, or none.

use crate::decode::attributes::Attributes;
use crate::decode::json::{Kind, Raw};

use super::names::Fields;

/// Tokens; what the upstream did not say is absent, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::decode::format) struct Usage {
    input: Option<i64>,
    output: Option<i64>,
    total: Option<i64>,
    cache_read: Option<i64>,
    cache_creation: Option<i64>,
    reasoning: Option<i64>,
}

impl Usage {
    /// Wherever an answer keeps its figures.
    pub(super) fn of_fields(fields: &Fields<'_>) -> Option<Self> {
        let within = |outer: &str, inner: &str| fields.get(outer).and_then(|raw| raw.get(inner));
        let whole = |key| fields.get(key).and_then(Self::read);
        // Cohere counts what was read, and apart from it what is billed.
        let cohere = |outer| {
            let object: Raw<'_> = fields.get(outer)?;
            let counts = object
                .get("tokens")
                .or_else(|| object.get("billed_units"))?;
            let cached = object.entries().filter(|(key, _)| *key == b"cached_tokens");
            Self::of(counts.entries().chain(cached))
        };
        let titan = || {
            let result = fields.get("results")?.elements().next()?;
            let input = fields.get("inputTextTokenCount").and_then(Raw::integer);
            Self::of_counts(input, result.get("tokenCount").and_then(Raw::integer))
        };
        let said = whole("usage")
            .or_else(|| cohere("usage"))
            .or_else(|| whole("usageMetadata"))
            .or_else(|| cohere("meta"))
            .or_else(|| within("x_groq", "usage").and_then(Self::read))
            .or_else(titan)
            .or_else(|| whole("details"))
            .or_else(|| Self::of(fields.iter()));
        // What Bedrock itself counted is said last, and is what it bills.
        match whole("amazon-bedrock-invocationMetrics") {
            Some(counted) => Some(counted.over(said.unwrap_or_default())),
            None => said,
        }
    }

    /// These figures, and those of `others` where there is none here.
    fn over(self, others: Self) -> Self {
        Self {
            input: self.input.or(others.input),
            output: self.output.or(others.output),
            total: self.total.or(others.total),
            cache_read: self.cache_read.or(others.cache_read),
            cache_creation: self.cache_creation.or(others.cache_creation),
            reasoning: self.reasoning.or(others.reasoning),
        }
    }

    /// Of an object that holds figures, whatever its API calls them.
    pub(super) fn read(usage: Raw<'_>) -> Option<Self> {
        if usage.kind() != Kind::Object {
            return None;
        }
        let mut read = Self::default();
        for (key, value) in usage.entries() {
            read.take(key, value);
        }
        read.known()
    }

    /// Of members some of which are figures.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = (&'a [u8], Raw<'a>)>) -> Option<Self> {
        let mut read = Self::default();
        for (key, value) in entries {
            read.take(key, value);
        }
        read.known()
    }

    /// Of an upstream that counts in its response's fields.
    pub(super) fn of_counts(input: Option<i64>, output: Option<i64>) -> Option<Self> {
        let counts = Self {
            input,
            output,
            ..Self::default()
        };
        counts.known()
    }

    /// Adds what one member says. Counts that an API gives twice are the same.
    fn take(&mut self, key: &[u8], value: Raw<'_>) {
        let part = |name| value.get(name).and_then(count);
        match key {
            b"prompt_tokens"
            | b"input_tokens"
            | b"promptTokenCount"
            | b"inputTokens"
            | b"inputTokenCount"
            | b"prompt_eval_count"
            | b"inputTextTokenCount"
            | b"prompt_token_count"
            | b"tokens_evaluated" => self.input = count(value),
            b"completion_tokens"
            | b"output_tokens"
            | b"candidatesTokenCount"
            | b"outputTokens"
            | b"outputTokenCount"
            | b"eval_count"
            | b"totalOutputTextTokenCount"
            | b"generation_token_count"
            | b"generated_tokens"
            | b"tokens_predicted" => self.output = count(value),
            b"total_tokens" | b"totalTokenCount" | b"totalTokens" => self.total = count(value),
            b"prompt_tokens_details" | b"prompt_token_details" | b"input_tokens_details" => {
                self.cache_read = part("cached_tokens").or(self.cache_read);
            }
            b"completion_tokens_details" | b"output_tokens_details" => {
                self.reasoning = part("reasoning_tokens");
            }
            b"prompt_cache_hit_tokens"
            | b"cache_read_input_tokens"
            | b"cached_tokens"
            | b"cachedContentTokenCount"
            | b"cacheReadInputTokens"
            | b"cacheReadInputTokenCount" => {
                self.cache_read = self.cache_read.or(count(value));
            }
            b"cache_creation_input_tokens"
            | b"cacheWriteInputTokens"
            | b"cacheWriteInputTokenCount" => self.cache_creation = count(value),
            // What llama.cpp calls `tokens_cached` is what its cache holds at the end.
            b"timings" => self.cache_read = self.cache_read.or(part("cache_n")),
            b"thoughtsTokenCount" => self.reasoning = count(value),
            _ => {}
        }
    }

    /// What it says, if that is more than a share of an unknown whole.
    fn known(self) -> Option<Self> {
        let known = self.input.or(self.output).or(self.total).is_some();
        known.then_some(self)
    }

    /// What was generated.
    pub(super) fn output(self) -> Option<i64> {
        self.output
    }

    /// In MLflow's words and in OpenTelemetry's.
    pub(in crate::decode::format) fn put(self, attributes: &mut Attributes) {
        let members = [
            ("input_tokens", self.input),
            ("output_tokens", self.output),
            ("total_tokens", self.total),
            ("cache_read_input_tokens", self.cache_read),
            ("cache_creation_input_tokens", self.cache_creation),
        ];
        let members = members
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let members: Vec<_> = members
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        attributes.put(
            "mlflow.chat.tokenUsage",
            format!("{{{}}}", members.join(",")),
        );
        attributes.put_some("gen_ai.usage.input_tokens", self.input);
        attributes.put_some("gen_ai.usage.output_tokens", self.output);
        attributes.put_some("gen_ai.usage.cache_read.input_tokens", self.cache_read);
        attributes.put_some(
            "gen_ai.usage.cache_creation.input_tokens",
            self.cache_creation,
        );
        attributes.put_some("gen_ai.usage.reasoning.output_tokens", self.reasoning);
    }
}

fn count(raw: Raw<'_>) -> Option<i64> {
    raw.integer().filter(|count| *count >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(usage: &str, expect: Option<&str>) {
        let mut attributes = Attributes::default();
        if let Some(usage) = Usage::read(Raw(usage.as_bytes())) {
            usage.put(&mut attributes);
        }
        let attributes = attributes.into_vec();
        let got = attributes.first().map(|(_, value)| format!("{value:?}"));
        assert_eq!(got, expect.map(|json| format!("Text({json:?})")), "{usage}");
    }

    #[test]
    fn only_what_the_upstream_said_is_said() {
        check("null", None);
        check("{}", None);
        check(r#"{"prompt_tokens":null}"#, None);
        check(r#"{"prompt_tokens":-1}"#, None);
        check(r#"{"prompt_tokens":"7"}"#, None);
        check(r#"{"prompt_tokens":7}"#, Some(r#"{"input_tokens":7}"#));
        check(
            r#"{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}"#,
            Some(r#"{"input_tokens":7,"output_tokens":0,"total_tokens":7}"#),
        );
        check(
            r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4}}"#,
            Some(r#"{"input_tokens":9,"cache_read_input_tokens":4}"#),
        );
        check(
            r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":4}"#,
            Some(r#"{"input_tokens":9,"cache_read_input_tokens":4}"#),
        );
    }
}
