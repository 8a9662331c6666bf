//! What a client and a model say to each other, in the sizes that the figures are given for.
//!
//! Bodies come in pieces of at most 64 KiB, each in memory of its own: so pingora hands
//! HTTP/1.1 bodies on.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue};

/// pingora's read buffer.
const PIECE_BYTES: usize = 64 * 1024;

/// One exchange's messages.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// As in tables and bench names.
    pub name: &'static str,
    /// The request's target.
    pub path: &'static str,
    /// The request's fields.
    pub request_headers: HeaderMap,
    /// The request's body, in pieces.
    pub request: Vec<Bytes>,
    /// The response's fields.
    pub response_headers: HeaderMap,
    /// The response's body, in pieces.
    pub response: Vec<Bytes>,
}

impl Traffic {
    /// 1 KB of chat asked, 1 KB answered.
    pub fn chat_1k() -> Self {
        Self::chat("chat_1k", 1_000, 1_000)
    }

    /// 20 KB of chat asked, 2 KB answered.
    pub fn chat_20k() -> Self {
        Self::chat("chat_20k", 20_000, 2_000)
    }

    /// 1 KB of chat asked, answered by 200 events in a piece each.
    pub fn stream_200() -> Self {
        let mut events: Vec<Bytes> = (0..200)
            .map(|token| event(&format!(r#"{{"content":" token{token}"}}"#), "null").into())
            .collect();
        events.push(event("{}", r#""stop""#).into());
        events.push(Bytes::from_static(
            b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":190,\"completion_tokens\":200,\"total_tokens\":390}}\n\ndata: [DONE]\n\n",
        ));
        Self {
            response: events,
            response_headers: headers("text/event-stream"),
            ..Self::chat("stream_200", 1_000, 1_000)
        }
    }

    /// 1 MB of `dataframe_split` (20 columns of numbers), one prediction per row.
    pub fn frame_1m() -> Self {
        let (body, rows) = frame(1_000_000);
        let predictions: Vec<String> = (0..rows).map(|row| format!("{row}.25")).collect();
        let answer = format!(r#"{{"predictions": [{}]}}"#, predictions.join(", "));
        Self {
            name: "frame_1m",
            path: "/invocations",
            request_headers: headers("application/json"),
            request: pieces(body.as_bytes()),
            response_headers: headers("application/json"),
            response: pieces(answer.as_bytes()),
        }
    }

    /// All of the above.
    pub fn all() -> [Self; 4] {
        [
            Self::chat_1k(),
            Self::chat_20k(),
            Self::stream_200(),
            Self::frame_1m(),
        ]
    }

    /// Those whose sizes the request path's figures are given for.
    pub fn sizes() -> [Self; 3] {
        [Self::chat_1k(), Self::chat_20k(), Self::frame_1m()]
    }

    /// Bytes of both bodies.
    pub fn body_bytes(&self) -> usize {
        let both = self.request.iter().chain(&self.response);
        both.map(Bytes::len).sum()
    }

    /// The same in memory of its own, as each exchange has it: a decoder then reads cold bytes.
    #[must_use]
    pub fn fresh(&self) -> Self {
        let copies = |body: &[Bytes]| body.iter().map(|b| Bytes::copy_from_slice(b)).collect();
        Self {
            request: copies(&self.request),
            response: copies(&self.response),
            ..self.clone()
        }
    }

    fn chat(name: &'static str, asked_bytes: usize, answered_bytes: usize) -> Self {
        let asked = format!(
            r#"{{"model":"gpt-4o","temperature":0.2,"messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{}"}}]}}"#,
            text(asked_bytes - 133)
        );
        let answered = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":190,"completion_tokens":150,"total_tokens":340}}}}"#,
            text(answered_bytes - 260)
        );
        Self {
            name,
            path: "/v1/chat/completions",
            request_headers: headers("application/json"),
            request: pieces(asked.as_bytes()),
            response_headers: headers("application/json"),
            response: pieces(answered.as_bytes()),
        }
    }
}

fn event(delta: &str, finish_reason: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"system_fingerprint\":\"fp_1\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish_reason}}}]}}\n\n"
    )
}

fn headers(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (HOST, HeaderValue::from_static("llm.example.com")),
        (USER_AGENT, HeaderValue::from_static("OpenAI/Python 2.0.0")),
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (
            http::header::AUTHORIZATION,
            HeaderValue::from_static("Bearer sk-none"),
        ),
        (
            http::header::ACCEPT,
            HeaderValue::from_static("application/json"),
        ),
    ])
}

/// Prose with the escapes that prose has, as a JSON string's content.
fn text(bytes: usize) -> String {
    let sentence = r#"The customer said \"late\" and asked for a refund of the parcel's price.\n"#;
    let mut text = sentence.repeat(bytes / sentence.len());
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    text
}

/// About so many bytes of `dataframe_split`, and how many rows they are.
fn frame(bytes: usize) -> (String, usize) {
    const HINT: &str = "writing to a string cannot fail";
    let columns: Vec<String> = (0..20).map(|column| format!(r#""c{column}""#)).collect();
    let mut body = format!(
        r#"{{"dataframe_split":{{"columns":[{}],"data":["#,
        columns.join(",")
    );
    let mut state = 1_u64;
    let mut rows = 0;
    while body.len() < bytes {
        body.push_str(if rows == 0 { "[" } else { ",[" });
        for column in 0..20 {
            state = mix(state);
            let comma = if column == 0 { "" } else { "," };
            let value = (state >> 40) as f64 / 1e4 - 800.0;
            write!(body, "{comma}{value:.4}").expect(HINT);
        }
        body.push(']');
        rows += 1;
    }
    body.push_str("]}}");
    (body, rows)
}

/// The next of a sequence that looks random (Knuth's MMIX generator).
pub(crate) fn mix(state: u64) -> u64 {
    state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
}

fn pieces(body: &[u8]) -> Vec<Bytes> {
    body.chunks(PIECE_BYTES)
        .map(Bytes::copy_from_slice)
        .collect()
}

#[cfg(test)]
mod tests {
    use offpath_trace::decode;

    use super::*;
    use crate::request_path::RequestPath;

    #[test]
    fn sizes_are_what_the_names_say() {
        for (traffic, asked) in Traffic::sizes().iter().zip([1_000, 20_000, 1_000_000]) {
            let bytes: usize = traffic.request.iter().map(Bytes::len).sum();
            assert!(bytes.abs_diff(asked) * 100 < asked * 5, "{bytes} {asked}");
        }
    }

    #[test]
    fn every_exchange_is_understood_without_a_defect() {
        let path = RequestPath::new(1.0);
        for traffic in Traffic::all() {
            let exchange = path.pass(&traffic, 1).unwrap();
            let (trace, defects) = decode(&exchange);
            assert!(defects.is_empty(), "{}: {defects:?}", traffic.name);
            assert_eq!(trace.spans.len(), 2);
        }
    }
}
