//! Responses before timing and faults are applied: status, content type, and the body's pieces.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response whose body is not paced yet.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: HeaderValue,
    pub(super) content: Content,
}

/// A response body.
pub(super) enum Content {
    /// A body of known length, which is sent in the content-length header.
    Whole(Bytes),
    /// A stream with one piece per gap; no piece is empty.
    Events(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Reply {
    pub(super) fn whole(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Self {
        Self {
            status,
            content_type,
            content: Content::Whole(body),
        }
    }

    pub(super) fn text(body: &'static str) -> Self {
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        Self::whole(
            StatusCode::OK,
            content_type,
            Bytes::from_static(body.as_bytes()),
        )
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::json_bytes(status, Bytes::from(value.to_string()))
    }

    pub(super) fn json_bytes(status: StatusCode, body: Bytes) -> Self {
        Self::whole(status, JSON, body)
    }

    pub(super) fn events(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static("text/event-stream"),
            content: Content::Events(Box::new(pieces)),
        }
    }

    /// A response with OpenAI's error object.
    pub(super) fn error(status: StatusCode, kind: &str, message: &str) -> Self {
        let error = json!({"message": message, "type": kind, "param": null, "code": null});
        Self::json(status, &json!({"error": error}))
    }
}
