//! Token usage: the upstream's own figure, or none.

use crate::decode::attributes::Attributes;
use crate::decode::json::{Kind, Raw};

/// Tokens; what the upstream did not say is absent, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    input: Option<i64>,
    output: Option<i64>,
    total: Option<i64>,
    cache_read: Option<i64>,
    cache_creation: Option<i64>,
    reasoning: Option<i64>,
}

impl Usage {
    /// Of a `usage` object. Under other names: what copies of the API say for the same.
    pub(super) fn read(usage: Raw<'_>) -> Option<Self> {
        if usage.kind() != Kind::Object {
            return None;
        }
        let mut read = Self::default();
        for (key, value) in usage.entries() {
            let part = |name| value.get(name).and_then(count);
            match key {
                b"prompt_tokens" | b"input_tokens" => read.input = count(value),
                b"completion_tokens" | b"output_tokens" => read.output = count(value),
                b"total_tokens" => read.total = count(value),
                b"prompt_tokens_details" | b"input_tokens_details" => {
                    read.cache_read = part("cached_tokens").or(read.cache_read);
                }
                b"completion_tokens_details" | b"output_tokens_details" => {
                    read.reasoning = part("reasoning_tokens");
                }
                b"prompt_cache_hit_tokens" | b"cache_read_input_tokens" => {
                    read.cache_read = read.cache_read.or(count(value));
                }
                b"cache_creation_input_tokens" => read.cache_creation = count(value),
                _ => {}
            }
        }
        let known = read.input.or(read.output).or(read.total).is_some();
        known.then_some(read)
    }

    /// In MLflow's words and in OpenTelemetry's.
    pub(super) fn put(self, attributes: &mut Attributes) {
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
