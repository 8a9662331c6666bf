//! Requests and responses of the sizes that figures are reported for.
//!
//! Bodies are split into pieces of at most 64 KiB, each in its own allocation, as pingora passes
//! HTTP/1.1 bodies on.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue};

/// Size of pingora's read buffer.
const PIECE_BYTES: usize = 64 * 1024;

/// The request and the response of one exchange.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The name in tables and of benches.
    pub name: &'static str,
    /// The path of the request.
    pub path: &'static str,
    /// The header fields of the request.
    pub request_headers: HeaderMap,
    /// The pieces of the request body.
    pub request: Vec<Bytes>,
    /// The header fields of the response.
    pub response_headers: HeaderMap,
    /// The pieces of the response body.
    pub response: Vec<Bytes>,
}

impl Traffic {
    /// A chat with a request and a response of 1 KB.
    pub fn chat_1k() -> Self {
        Self::chat("chat_1k", 1_000, 1_000)
    }

    /// A chat with a request of 20 KB and a response of 2 KB.
    pub fn chat_20k() -> Self {
        Self::chat("chat_20k", 20_000, 2_000)
    }

    /// A chat with a request of 1 KB and a stream of 200 events, one per piece.
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

    /// A scoring request of 1 MB (`dataframe_split`, 20 columns of numbers) with one prediction per
    /// row.
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

    /// All traffic.
    pub fn all() -> [Self; 4] {
        [
            Self::chat_1k(),
            Self::chat_20k(),
            Self::stream_200(),
            Self::frame_1m(),
        ]
    }

    /// The traffic with 1 KB, 20 KB and 1 MB, for figures by size.
    pub fn sizes() -> [Self; 3] {
        [Self::chat_1k(), Self::chat_20k(), Self::frame_1m()]
    }

    /// Total length of both bodies.
    pub fn body_bytes(&self) -> usize {
        self.request
            .iter()
            .chain(&self.response)
            .map(Bytes::len)
            .sum()
    }

    /// Copies the bodies to new memory. Each exchange has its own, so a decoder reads cold bytes.
    #[must_use]
    pub fn fresh(&self) -> Self {
        let copies = |body: &[Bytes]| body.iter().map(|b| Bytes::copy_from_slice(b)).collect();
        Self {
            request: copies(&self.request),
            response: copies(&self.response),
            ..self.clone()
        }
    }

    fn chat(name: &'static str, request_bytes: usize, response_bytes: usize) -> Self {
        let request = format!(
            r#"{{"model":"gpt-4o","temperature":0.2,"messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{}"}}]}}"#,
            text(request_bytes - 133)
        );
        let response = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":190,"completion_tokens":150,"total_tokens":340}}}}"#,
            text(response_bytes - 260)
        );
        Self {
            name,
            path: "/v1/chat/completions",
            request_headers: headers("application/json"),
            request: pieces(request.as_bytes()),
            response_headers: headers("application/json"),
            response: pieces(response.as_bytes()),
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

/// English text with escapes, as the content of a JSON string.
fn text(bytes: usize) -> String {
    let sentence = r#"The customer said \"late\" and asked for a refund of the parcel's price.\n"#;
    let mut text = sentence.repeat(bytes / sentence.len());
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    text
}

/// Generates a `dataframe_split` body of about `bytes` bytes. Returns it with its number of rows.
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

/// The next state of a linear congruential generator (Knuth's MMIX constants).
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
    fn bodies_have_the_sizes_in_their_names() {
        for (traffic, asked) in Traffic::sizes().iter().zip([1_000, 20_000, 1_000_000]) {
            let bytes: usize = traffic.request.iter().map(Bytes::len).sum();
            assert!(bytes.abs_diff(asked) * 100 < asked * 5, "{bytes} {asked}");
        }
    }

    #[test]
    fn every_exchange_is_decoded_without_a_defect() {
        let path = RequestPath::new(1.0);
        for traffic in Traffic::all() {
            let exchange = path.pass(&traffic, 1).unwrap();
            let (trace, defects) = decode(&exchange);
            assert!(defects.is_empty(), "{}: {defects:?}", traffic.name);
            assert_eq!(trace.spans.len(), 2);
        }
    }
}
