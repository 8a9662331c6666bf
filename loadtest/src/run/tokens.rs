//! Token timing of one streamed response.
//!
//! A token event carries text or a fragment of a tool call. In OpenAI's formats that is a non-empty
//! `delta.content`, `delta.reasoning_content`, `delta.tool_calls` or `text`; the role, the finish
//! reason, the usage and `[DONE]` do not count. In formats without `choices` every event except an
//! error counts.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::sse::Splitter;

/// Measures one stream. It reads no clock: the caller passes the arrival time of each chunk.
#[derive(Debug, Default)]
pub(super) struct TokenTimes {
    splitter: Splitter,
    first: Option<Instant>,
    last: Option<Instant>,
    count: u32,
    /// Gaps that the caller has not taken yet.
    gaps: Vec<Duration>,
}

impl TokenTimes {
    /// Parses bytes that arrived at `at`. Token events of one chunk have gaps of 0.
    pub(super) fn push(&mut self, chunk: &[u8], at: Instant) {
        let Self {
            splitter,
            first,
            last,
            count,
            gaps,
        } = self;
        splitter.push(chunk, |data| {
            if !is_token(data) {
                return;
            }
            *count = count.saturating_add(1);
            first.get_or_insert(at);
            if let Some(last) = last.replace(at) {
                gaps.push(at.saturating_duration_since(last));
            }
        });
    }

    /// Returns and forgets the gaps since the last call. Call it after every chunk to keep the list
    /// short.
    pub(super) fn take_gaps(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.gaps)
    }

    /// The time from `sent` to the first token event.
    pub(super) fn first_after(&self, sent: Instant) -> Option<Duration> {
        self.first
            .map(|first| first.saturating_duration_since(sent))
    }

    /// The mean time from one token event to the next.
    pub(super) fn per_token(&self) -> Option<Duration> {
        let gaps = self.count.checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some(self.last?.saturating_duration_since(self.first?) / gaps)
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reasoning_content: Option<Cow<'a, str>>,
    tool_calls: Option<IgnoredAny>,
}

fn is_token(data: &[u8]) -> bool {
    if data == b"[DONE]" {
        return false;
    }
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
        return true;
    };
    match event.choices {
        Some(choices) => choices.iter().any(Choice::has_token),
        None => event.error.is_none(),
    }
}

impl Choice<'_> {
    fn has_token(&self) -> bool {
        let has_text = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|t| !t.is_empty());
        let delta_has = |delta: &Delta<'_>| {
            has_text(&delta.content)
                || has_text(&delta.reasoning_content)
                || delta.tool_calls.is_some()
        };
        has_text(&self.text) || self.delta.as_ref().is_some_and(delta_has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(data: &str, expect: bool) {
        assert_eq!(is_token(data.as_bytes()), expect, "{data}");
    }

    #[test]
    fn token_events_are_those_that_carry_text_or_a_call() {
        check(r#"{"choices":[{"delta":{"content":"a"}}]}"#, true);
        check(r#"{"choices":[{"delta":{"content":"\n"}}]}"#, true);
        check(r#"{"choices":[{"delta":{"reasoning_content":"a"}}]}"#, true);
        check(
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            true,
        );
        check(r#"{"choices":[{"text":"a"}]}"#, true);
        check(r#"{"type":"content_block_delta"}"#, true);
        check("plain words", true);
        check(
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            false,
        );
        check(
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            false,
        );
        check(r#"{"choices":[],"usage":{"total_tokens":1}}"#, false);
        check(r#"{"error":{"message":"overloaded"}}"#, false);
        check("[DONE]", false);
    }

    #[test]
    fn times_follow_their_formulas() {
        let sent = Instant::now();
        let after = |millis| sent + Duration::from_millis(millis);
        let token = b"data: x\n\n".as_slice();
        let mut times = TokenTimes::default();
        times.push(token, after(10));
        assert_eq!(times.per_token(), None);
        times.push(b"data: x", after(12));
        times.push(b"\n\ndata: x\n\n", after(15));
        times.push(token, after(22));
        times.push(b"data: [DONE]\n\n", after(90));
        assert_eq!(times.first_after(sent), Some(Duration::from_millis(10)));
        assert_eq!(times.take_gaps(), [5, 0, 7].map(Duration::from_millis));
        assert_eq!(times.per_token(), Some(Duration::from_millis(4)));
        assert!(times.take_gaps().is_empty());
    }
}
