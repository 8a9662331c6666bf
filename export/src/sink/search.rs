//! Searches traces of an MLflow server: what was stored of each, without its spans.
//!
//! Source: MLflow's REST API 3.0, `traces/search`, and 2.0, `experiments/get-by-name`.

use std::time::Duration;

use ::http::StatusCode;
use serde_json::{Map, Value, json};

use super::reader::{ReadError, Reader};

/// The server's own limit for one page.
const PAGE_TRACES: usize = 500;

/// A longer page is an error: 500 traces with tags of some KiB each fit.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// A trace without its spans, as a search finds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundTrace {
    /// `tr-<32 hex>`.
    pub id: String,
    /// `OK`, `ERROR` or `IN_PROGRESS`.
    pub state: String,
    /// From its first span's start to its last one's end; `None` where that is not known.
    pub took: Option<Duration>,
    /// Tags, the trace's name (`mlflow.traceName`) among them.
    pub tags: Map<String, Value>,
    /// Metadata: user, session and token usage among it.
    pub metadata: Map<String, Value>,
}

/// One page of what a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundPage {
    /// Oldest first.
    pub traces: Vec<FoundTrace>,
    /// Asks for the next page; `None`: this was the last.
    pub next: Option<String>,
}

impl Reader {
    /// The id of the experiment of this name; `None` where there is none.
    ///
    /// # Errors
    /// When MLflow does not answer, or with something else.
    pub async fn experiment_id(&self, name: &str) -> Result<Option<String>, ReadError> {
        let mut url = self.url("api/2.0/mlflow/experiments/get-by-name");
        url.query_pairs_mut().append_pair("experiment_name", name);
        let answer = match self.ask(self.client.get(url), PAGE_BYTES_MAX).await {
            Err(ReadError::Status(StatusCode::NOT_FOUND)) => return Ok(None),
            answer => answer?,
        };
        let id = answer.pointer("/experiment/experiment_id");
        Ok(id.and_then(Value::as_str).map(str::to_owned))
    }

    /// A page of the traces of these experiments that fit MLflow's filter, oldest first.
    ///
    /// # Errors
    /// When MLflow does not answer, or with something else.
    pub async fn search(
        &self,
        experiment_ids: &[String],
        filter: &str,
        page: Option<&str>,
    ) -> Result<FoundPage, ReadError> {
        let location = |id: &String| json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id}});
        let locations: Vec<_> = experiment_ids.iter().map(location).collect();
        let mut question = json!({
            "locations": locations,
            "filter": filter,
            "max_results": PAGE_TRACES,
            // What comes while pages are read is appended, and shifts none of them.
            "order_by": ["timestamp_ms ASC"],
        });
        if let (Some(page), Some(question)) = (page, question.as_object_mut()) {
            question.insert("page_token".to_owned(), page.into());
        }
        let request = self
            .client
            .post(self.url("api/3.0/mlflow/traces/search"))
            .header("content-type", "application/json")
            .body(question.to_string());
        let answer = self.ask(request, PAGE_BYTES_MAX).await?;
        Ok(page_of(&answer))
    }
}

fn page_of(answer: &Value) -> FoundPage {
    let traces = answer.get("traces").and_then(Value::as_array);
    let next = answer.get("next_page_token").and_then(Value::as_str);
    FoundPage {
        traces: traces.into_iter().flatten().map(found).collect(),
        next: next.filter(|next| !next.is_empty()).map(str::to_owned),
    }
}

fn found(info: &Value) -> FoundTrace {
    let text = |key: &str| info.get(key).and_then(Value::as_str);
    let object = |key: &str| {
        let object = info.get(key).and_then(Value::as_object);
        object.cloned().unwrap_or_default()
    };
    FoundTrace {
        id: text("trace_id").unwrap_or_default().to_owned(),
        state: text("state").unwrap_or_default().to_owned(),
        took: text("execution_duration").and_then(seconds),
        tags: object("tags"),
        metadata: object("trace_metadata"),
    }
}

/// Protobuf's JSON form of a duration: `6.250s`. A negative one says nothing.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_into_traces() {
        let answer = json!({
            "traces": [
                {
                    "trace_id": "tr-1", "state": "ERROR", "execution_duration": "6.250s",
                    "tags": {"a": "b"}, "trace_metadata": {"c": "d"},
                },
                {"trace_id": "tr-2", "execution_duration": "-1s"},
            ],
            "next_page_token": "more",
        });
        let page = page_of(&answer);
        assert_eq!(page.next.as_deref(), Some("more"));
        let [first, second] = page.traces.as_slice() else {
            panic!("{page:?}");
        };
        assert_eq!((first.id.as_str(), first.state.as_str()), ("tr-1", "ERROR"));
        assert_eq!(first.took, Some(Duration::from_millis(6250)));
        assert_eq!(
            (&first.tags["a"], &first.metadata["c"]),
            (&"b".into(), &"d".into())
        );
        assert_eq!((second.took, second.tags.len()), (None, 0));
    }

    #[test]
    fn a_page_of_another_shape_is_empty_and_the_last() {
        assert_eq!(page_of(&json!([1])), FoundPage::default());
        assert_eq!(
            page_of(&json!({"next_page_token": ""})),
            FoundPage::default()
        );
    }
}
