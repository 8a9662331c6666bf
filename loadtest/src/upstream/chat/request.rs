//! The members of a chat request that its response depends on. All others are ignored.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest<'a> {
    #[serde(borrow, default)]
    pub(super) model: Cow<'a, str>,
    messages: Vec<Message<'a>>,
    #[serde(default)]
    pub(super) stream: bool,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    tool_choice: Option<ToolChoice<'a>>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(default)]
    content: Words,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ToolChoice<'a> {
    Mode(#[serde(borrow)] Cow<'a, str>),
    Named(IgnoredAny),
}

impl ChatRequest<'_> {
    pub(super) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.is_some_and(|options| options.include_usage)
    }

    /// Maximum number of tokens in the response.
    pub(super) fn tokens_max(&self) -> usize {
        let max = self.max_completion_tokens.or(self.max_tokens);
        max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX))
    }

    pub(super) fn prompt_words(&self) -> usize {
        self.messages.iter().map(|message| message.content.0).sum()
    }

    /// Name of the function to call, or `None` if the response is text.
    pub(super) fn called_function(&self) -> Option<&str> {
        let forbidden = matches!(&self.tool_choice, Some(ToolChoice::Mode(mode)) if mode == "none");
        let has_result = self.messages.last().is_some_and(|last| last.role == "tool");
        if forbidden || has_result {
            return None;
        }
        let tool = self.tools.as_ref()?.first()?;
        Some(&tool.function.as_ref()?.name)
    }
}

/// The number of words in a message's content, which is a string or a list of parts with `text`.
#[derive(Debug, Default)]
struct Words(usize);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a list of content parts, or null")
    }

    fn visit_unit<E>(self) -> Result<Words, E> {
        Ok(Words(0))
    }

    fn visit_str<E>(self, text: &str) -> Result<Words, E> {
        Ok(Words(text.split_whitespace().count()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Words, A::Error> {
        let mut sum = 0;
        while let Some(ContentPart { text }) = parts.next_element()? {
            sum += text.map_or(0, |text| text.split_whitespace().count());
        }
        Ok(Words(sum))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Words, A::Error> {
        Err(serde::de::Error::custom("content is an object"))
    }
}

#[derive(Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(messages: &str, words: usize) {
        let body = format!(r#"{{"messages": {messages}}}"#);
        let request: ChatRequest = serde_json::from_str(&body).unwrap();
        assert_eq!(request.prompt_words(), words);
    }

    #[test]
    fn prompt_words_are_counted_in_strings_and_text_parts() {
        check("[]", 0);
        check(r#"[{"role": "user", "content": " two  words\n"}]"#, 2);
        check(
            r#"[{"role": "user", "content": "a\tb"}, {"role": "user", "content": "c"}]"#,
            3,
        );
        check(
            r#"[{"role": "assistant", "content": null}, {"role": "assistant"}]"#,
            0,
        );
        check(
            r#"[{"role": "user", "content": [{"type": "text", "text": "a b c"},
                 {"type": "image_url", "image_url": {"url": "data:,"}}]}]"#,
            3,
        );
    }

    #[test]
    fn a_tool_is_called_unless_the_request_forbids_it_or_has_its_result() {
        let called = |role: &str, more: &str| {
            let body = format!(
                r#"{{"messages": [{{"role": "{role}"}}],
                     "tools": [{{"type": "function", "function": {{"name": "find"}}}}]{more}}}"#
            );
            let request: ChatRequest = serde_json::from_str(&body).unwrap();
            request.called_function().map(str::to_owned)
        };
        assert_eq!(called("user", "").as_deref(), Some("find"));
        assert_eq!(
            called("user", r#", "tool_choice": {"type": "function"}"#).as_deref(),
            Some("find")
        );
        assert_eq!(called("user", r#", "tool_choice": "none""#), None);
        assert_eq!(called("tool", ""), None);
    }
}
