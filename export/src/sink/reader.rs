//! Reads traces back from an MLflow server, for whoever wants to see what arrived.
//!
//! Source: MLflow's REST API 3.0, `traces/get`, which gives spans in OTLP's JSON form with
//! lower-case field names.

use ::http::{HeaderMap, StatusCode};
use offpath_config::MlflowSink;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Map, Value};

use super::http::{self, Auth, ClientError};

/// A longer answer is an error: a trace of two bodies of 64 MiB fits, cell by cell.
const TRACE_BYTES_MAX: usize = 1 << 30;

/// Reads traces of one MLflow server.
#[derive(Debug)]
pub struct Reader {
    pub(super) client: Client,
    auth: Auth,
    headers: HeaderMap,
    base: Url,
}

/// Why a trace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No answer came, or not all of it.
    #[error("MLflow did not answer")]
    Unanswered(#[from] reqwest::Error),
    /// MLflow's answer is an error.
    #[error("MLflow answered {0}")]
    Status(StatusCode),
    /// The answer is too long.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what the API promises.
    #[error("MLflow's answer is not understood")]
    Malformed(#[from] serde_json::Error),
}

/// A trace as MLflow gives it.
#[derive(Debug, Default, PartialEq)]
pub struct StoredTrace {
    /// `OK`, `ERROR` or `IN_PROGRESS`.
    pub state: String,
    /// Tags, the trace's name (`mlflow.traceName`) among them.
    pub tags: Map<String, Value>,
    /// Metadata, token usage (`mlflow.trace.tokenUsage`) among it.
    pub metadata: Map<String, Value>,
    /// Its spans, in MLflow's order.
    pub spans: Vec<StoredSpan>,
}

/// A span as MLflow gives it.
#[derive(Debug, Default, PartialEq)]
pub struct StoredSpan {
    /// Its name.
    pub name: String,
    /// Whether it has no parent.
    pub is_root: bool,
    /// Its attributes, as plain JSON.
    pub attributes: Map<String, Value>,
}

impl Reader {
    /// A reader with the sink's own address and credentials.
    ///
    /// # Errors
    /// As for the sink itself: an invalid address, or a failure to set up the HTTP client.
    pub fn new(sink: &MlflowSink) -> Result<Self, ClientError> {
        let base = http::url(&sink.tracking_uri)?;
        Ok(Self {
            client: http::client(&base, sink.ca.as_ref(), sink.timeout)?,
            auth: Auth::from(&sink.auth),
            headers: http::headers(&sink.headers),
            base,
        })
    }

    /// The trace of this id (`tr-<32 hex>`); `None` where there is none yet.
    ///
    /// # Errors
    /// When MLflow does not answer, or with something else.
    pub async fn trace(&self, id: &str) -> Result<Option<StoredTrace>, ReadError> {
        let mut url = self.url("api/3.0/mlflow/traces/get");
        url.query_pairs_mut().append_pair("trace_id", id);
        match self.ask(self.client.get(url), TRACE_BYTES_MAX).await {
            Err(ReadError::Status(StatusCode::NOT_FOUND)) => Ok(None),
            answer => Ok(Some(stored(&answer?))),
        }
    }

    /// The address of one of the server's calls.
    pub(super) fn url(&self, call: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/{call}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// A JSON answer of at most so many bytes.
    pub(super) async fn ask(
        &self,
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<Value, ReadError> {
        let request = self.auth.sign(request.headers(self.headers.clone()));
        let mut response = request.send().await?;
        let status = response.status();
        if !status.is_success() {
            return Err(ReadError::Status(status));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > bytes_max {
                return Err(ReadError::TooLarge(bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

fn stored(answer: &Value) -> StoredTrace {
    let info = answer.pointer("/trace/trace_info").unwrap_or(&Value::Null);
    let spans = answer.pointer("/trace/spans").and_then(Value::as_array);
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let object = |key: &str| {
        info.get(key)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let span = |span: &Value| StoredSpan {
        name: text(span, "name"),
        is_root: text(span, "parent_span_id").is_empty(),
        attributes: span.get("attributes").map(fields).unwrap_or_default(),
    };
    StoredTrace {
        state: text(info, "state"),
        tags: object("tags"),
        metadata: object("trace_metadata"),
        spans: spans.into_iter().flatten().map(span).collect(),
    }
}

/// A list of `{key, value}` as an object.
fn fields(list: &Value) -> Map<String, Value> {
    let field = |field: &Value| {
        let key = field.get("key").and_then(Value::as_str)?.to_owned();
        Some((key, field.get("value").map_or(Value::Null, plain)))
    };
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(field)
        .collect()
}

/// OTLP's `AnyValue` as plain JSON. MLflow reads inputs and outputs into such trees itself.
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    let values = inner.get("values");
    match kind.as_str() {
        "kvlist_value" => Value::Object(values.map(fields).unwrap_or_default()),
        "array_value" => {
            let items = values.and_then(Value::as_array).into_iter().flatten();
            Value::Array(items.map(plain).collect())
        }
        // 64-bit numbers come as text where the protobuf library follows its JSON mapping.
        "int_value" => {
            let number = inner.as_str().and_then(|text| text.parse::<i64>().ok());
            number.map_or_else(|| inner.clone(), Value::from)
        }
        _ => inner.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trace_is_read_into_plain_values() {
        let inputs = json!({"kvlist_value": {"values": [
            {"key": "rows", "value": {"array_value": {"values": [
                {"int_value": "7"}, {"double_value": 1.5}, {"bool_value": true}, {},
            ]}}},
            {"key": "empty", "value": {"array_value": {}}},
        ]}});
        let answer = json!({"trace": {
            "trace_info": {"state": "OK", "tags": {"a": "b"}, "trace_metadata": {"c": "d"}},
            "spans": [
                {"name": "chat", "attributes": [{"key": "mlflow.spanInputs", "value": inputs}]},
                {"name": "call", "parent_span_id": "x"},
            ],
        }});
        let trace = stored(&answer);
        assert_eq!((trace.state.as_str(), trace.spans.len()), ("OK", 2));
        assert!(trace.spans[0].is_root && !trace.spans[1].is_root);
        assert_eq!(
            trace.spans[0].attributes["mlflow.spanInputs"],
            json!({"rows": [7, 1.5, true, null], "empty": []})
        );
    }

    #[test]
    fn an_answer_of_another_shape_is_an_empty_trace() {
        assert_eq!(stored(&json!([1, 2])), StoredTrace::default());
        assert_eq!(plain(&json!("x")), Value::Null);
    }
}
