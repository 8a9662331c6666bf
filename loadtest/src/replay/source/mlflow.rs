//! Reads traces from MLflow (REST API 3.0) and converts them to exchanges.
//!
//! The attributes are those that offpath writes on a root span: `mlflow.spanInputs`,
//! `mlflow.spanOutputs`, `http.request.method`, `url.path`, `url.query`,
//! `http.response.status_code`, `offpath.response.bytes` and `session.id`. Traces of other tools are
//! read as far as they have these. Bodies are serialized again, so spaces and the order of members
//! differ from the original.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{SourceError, from_first, otlp};
use crate::client::{Client, Http, Trust};
use crate::replay::exchange::{Exchange, RecordedResponse, RequestBody};
use crate::replay::response;

/// Maximum number of traces per search; MLflow allows 500.
const PAGE: u32 = 100;

/// Everything except the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An MLflow tracking server.
#[derive(Clone, Debug)]
pub struct Tracking {
    /// The tracking URI; it may have a path.
    pub uri: String,
    /// The value of the `authorization` header.
    pub authorization: Option<String>,
    /// Certificate authorities; required for an `https` URI.
    pub trust: Option<Trust>,
}

/// The experiment to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Experiment {
    /// The experiment with this id.
    Id(String),
    /// The experiment with this name.
    Name(String),
}

/// The exchanges of a source.
#[derive(Debug, Default)]
pub struct Imported {
    /// The exchanges in order of time, relative to the first one.
    pub exchanges: Vec<Exchange>,
    /// Number of traces that cannot be replayed, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
}

/// One page of a search.
struct Page {
    trace_ids: Vec<String>,
    /// The token of the next page; `None` for the last page.
    next: Option<String>,
}

impl Tracking {
    /// Reads the traces of an experiment, oldest first and at most `limit`. `filter` has the syntax
    /// of `mlflow.search_traces`. `progress` is called with the number of traces read so far.
    ///
    /// # Errors
    /// When MLflow does not respond, the experiment does not exist, or the filter is invalid.
    pub async fn import(
        &self,
        experiment: &Experiment,
        filter: Option<&str>,
        limit: usize,
        progress: impl Fn(usize),
    ) -> Result<Imported, SourceError> {
        let id = self.experiment_id(experiment).await?;
        let mut imported = Imported::default();
        let mut page_token = None;
        let mut count = 0;
        while count < limit {
            let page = self.search(&id, filter, page_token).await?;
            for id in page.trace_ids.iter().take(limit - count) {
                let path = format!("/api/3.0/mlflow/traces/get?trace_id={id}");
                let trace = self.call(Method::GET, &path, None).await?;
                match exchange(&trace) {
                    Ok(exchange) => imported.exchanges.push(exchange),
                    Err(reason) => *imported.skipped.entry(reason).or_default() += 1,
                }
                count += 1;
                progress(count);
            }
            page_token = page.next;
            if page_token.is_none() || page.trace_ids.is_empty() {
                break;
            }
        }
        imported.exchanges = from_first(imported.exchanges);
        Ok(imported)
    }

    async fn experiment_id(&self, experiment: &Experiment) -> Result<String, SourceError> {
        let name = match experiment {
            Experiment::Id(id) => return Ok(id.clone()),
            Experiment::Name(name) => name,
        };
        let path = format!(
            "/api/2.0/mlflow/experiments/get-by-name?experiment_name={}",
            utf8_percent_encode(name, RESERVED)
        );
        let response = self.call(Method::GET, &path, None).await?;
        response
            .pointer("/experiment/experiment_id")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| self.broken(format!("there is no experiment `{name}`")))
    }

    async fn search(
        &self,
        experiment: &str,
        filter: Option<&str>,
        page_token: Option<String>,
    ) -> Result<Page, SourceError> {
        let location = json!({
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        });
        let mut search = Map::new();
        search.insert("locations".to_owned(), json!([location]));
        search.insert("max_results".to_owned(), PAGE.into());
        search.insert("order_by".to_owned(), json!(["timestamp_ms ASC"]));
        if let Some(filter) = filter {
            search.insert("filter".to_owned(), filter.into());
        }
        if let Some(page_token) = page_token {
            search.insert("page_token".to_owned(), page_token.into());
        }
        let path = "/api/3.0/mlflow/traces/search";
        let response = self
            .call(Method::POST, path, Some(Value::Object(search)))
            .await?;
        let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let trace_ids = match response.get("traces").and_then(Value::as_array) {
            Some(traces) => traces
                .iter()
                .filter_map(|trace| text(trace, "trace_id"))
                .collect(),
            None => Vec::new(),
        };
        Ok(Page {
            trace_ids,
            next: text(&response, "next_page_token").filter(|token| !token.is_empty()),
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, SourceError> {
        let url = format!("{}{path}", self.uri.trim_end_matches('/'));
        let mut headers = vec![("accept", "application/json")];
        if let Some(authorization) = &self.authorization {
            headers.push(("authorization", authorization));
        }
        let body = body.map_or_else(Bytes::new, |body| {
            headers.push(("content-type", "application/json"));
            Bytes::from(body.to_string())
        });
        let client = Client::new(Http::One, self.trust.clone());
        let response = client
            .call(method, &url, &headers, body)
            .await
            .map_err(|error| self.broken(error.to_string()))?;
        if !response.status.is_success() {
            let body = String::from_utf8_lossy(&response.body);
            let beginning: String = body.chars().take(300).collect();
            let reason = format!("it responded with {}: {beginning}", response.status);
            return Err(self.broken(reason));
        }
        serde_json::from_slice(&response.body).map_err(|error| self.broken(error.to_string()))
    }

    fn broken(&self, reason: String) -> SourceError {
        SourceError::Mlflow {
            uri: self.uri.clone(),
            reason,
        }
    }
}

/// Converts a trace to an exchange. The error is the reason why it cannot be replayed.
fn exchange(trace: &Value) -> Result<Exchange, &'static str> {
    let is_root = |span: &&Value| {
        span.get("parent_span_id")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    };
    let root = trace
        .pointer("/trace/spans")
        .and_then(Value::as_array)
        .and_then(|spans| spans.iter().find(is_root))
        .ok_or("no root span")?;
    let started = root.get("start_time_unix_nano").and_then(Value::as_u64);
    let at = Duration::from_nanos(started.ok_or("no start time")?);
    let mut attributes = root.get("attributes").map_or_else(Map::new, otlp::fields);
    let inputs = attributes.remove("mlflow.spanInputs");
    let outputs = attributes.remove("mlflow.spanOutputs");
    let text = |name: &str| attributes.get(name).and_then(Value::as_str);
    let number = |name: &str| attributes.get(name).and_then(Value::as_u64);
    let method = text("http.request.method")
        .map_or(Ok(Method::POST), str::parse)
        .map_err(|_| "invalid HTTP method")?;
    let json = outputs.filter(|outputs| !outputs.is_null() && !is_cut(outputs));
    let tokens = json
        .as_ref()
        .map(response::token_counts)
        .unwrap_or_default();
    let status = number("http.response.status_code").and_then(|status| status.try_into().ok());
    Ok(Exchange {
        at,
        session: text("session.id").map(str::to_owned),
        method,
        path: path(&attributes)?,
        body: request_body(inputs)?,
        response: RecordedResponse {
            status,
            bytes: number("offpath.response.bytes"),
            json,
            input_tokens: tokens.input,
            output_tokens: tokens.output,
        },
    })
}

fn path(attributes: &Map<String, Value>) -> Result<Option<PathAndQuery>, &'static str> {
    let text = |name: &str| attributes.get(name).and_then(Value::as_str);
    let Some(path) = text("url.path") else {
        return Ok(None);
    };
    let path = match text("url.query") {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let path = PathAndQuery::try_from(path).map_err(|_| "invalid path")?;
    Ok(Some(path))
}

fn request_body(inputs: Option<Value>) -> Result<RequestBody, &'static str> {
    let (content_type, body) = match inputs {
        None | Some(Value::Null) => ("application/json", Bytes::new()),
        Some(inputs) if is_cut(&inputs) => return Err("the request body is incomplete"),
        // The body was not JSON.
        Some(Value::String(text)) => ("text/plain", Bytes::from(text)),
        Some(inputs) => ("application/json", Bytes::from(inputs.to_string())),
    };
    Ok(RequestBody::Recorded { content_type, body })
}

/// Whether the value is offpath's placeholder for a body that was truncated or is binary.
fn is_cut(value: &Value) -> bool {
    value.get("offpath.body").is_some()
}

#[cfg(test)]
mod tests;
