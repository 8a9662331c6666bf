//! An answer before timing and faults: status, content type, and the pieces of its body.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer, its body not yet paced.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: HeaderValue,
    pub(super) content: Content,
}

/// A body's pieces.
pub(super) enum Content {
    /// Known at once; sent with its length.
    Whole(Bytes),
    /// One piece per gap, none of them empty.
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

    /// OpenAI's error object.
    pub(super) fn error(status: StatusCode, kind: &str, message: &str) -> Self {
        let error = json!({"message": message, "type": kind, "param": null, "code": null});
        Self::json(status, &json!({"error": error}))
    }
}
