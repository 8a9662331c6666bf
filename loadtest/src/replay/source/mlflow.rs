//! Traces read back from MLflow (REST API 3.0), each an exchange again.
//!
//! What offpath writes on a root span is what is read: `mlflow.spanInputs` and `spanOutputs`,
//! `http.request.method`, `url.path`, `http.response.status_code`, `offpath.response.bytes`,
//! `session.id`. Traces of others are read as far as they have these. JSON is written anew, so its
//! spaces and the order of its members are not those of the original.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Map, Value, json};

use super::{SourceError, from_first, otlp};
use crate::client::{Client, Http, Trust};
use crate::replay::exchange::{Answer, Content, Exchange};
use crate::replay::meaning;

/// What one search may bring at most; MLflow allows 500.
const PAGE: u32 = 100;

/// A tracking server.
#[derive(Clone, Debug)]
pub struct Tracking {
    /// Its address, with its prefix where it has one.
    pub uri: String,
    /// The value of an `authorization` header.
    pub authorization: Option<String>,
    /// Authorities for `https`.
    pub trust: Option<Trust>,
}

/// Which experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Experiment {
    /// By its number.
    Id(String),
    /// By its name.
    Name(String),
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// In order, counted from the first.
    pub exchanges: Vec<Exchange>,
    /// Traces that cannot be replayed, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl Tracking {
    /// Reads the traces of an experiment that `filter` (as of `mlflow.search_traces`) finds, oldest
    /// first, at most `limit`.
    ///
    /// # Errors
    /// When MLflow does not answer, has no such experiment, or refuses the filter.
    pub async fn read(
        &self,
        experiment: &Experiment,
        filter: Option<&str>,
        limit: usize,
        progress: impl Fn(usize),
    ) -> Result<Read, SourceError> {
        let id = self.experiment_id(experiment).await?;
        let mut read = Read::default();
        let mut page = None;
        let mut count = 0;
        while count < limit {
            let (ids, next) = self.search(&id, filter, page).await?;
            for id in ids.iter().take(limit - count) {
                let path = format!("/api/3.0/mlflow/traces/get?trace_id={id}");
                let answer = self.call(Method::GET, &path, None).await?;
                match exchange(&answer) {
                    Ok(exchange) => read.exchanges.push(exchange),
                    Err(reason) => *read.skipped.entry(reason).or_default() += 1,
                }
                count += 1;
                progress(count);
            }
            page = next;
            if page.is_none() || ids.is_empty() {
                break;
            }
        }
        read.exchanges = from_first(read.exchanges);
        Ok(read)
    }

    async fn experiment_id(&self, experiment: &Experiment) -> Result<String, SourceError> {
        let name = match experiment {
            Experiment::Id(id) => return Ok(id.clone()),
            Experiment::Name(name) => name,
        };
        let path = format!(
            "/api/2.0/mlflow/experiments/get-by-name?experiment_name={}",
            percent_encoded(name)
        );
        let answer = self.call(Method::GET, &path, None).await?;
        let id = answer.pointer("/experiment/experiment_id");
        let id = id.and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| self.broken(format!("no experiment `{name}`")))
    }

    /// Ids of traces, and the token of the next page.
    async fn search(
        &self,
        experiment: &str,
        filter: Option<&str>,
        page: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), SourceError> {
        let location = json!({
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        });
        let mut search = json!({
            "locations": [location],
            "max_results": PAGE,
            "order_by": ["timestamp_ms ASC"],
        });
        if let Some(search) = search.as_object_mut() {
            let mut more = |name: &str, value: Option<String>| {
                search.extend(value.map(|value| (name.to_owned(), value.into())));
            };
            more("filter", filter.map(str::to_owned));
            more("page_token", page);
        }
        let path = "/api/3.0/mlflow/traces/search";
        let answer = self.call(Method::POST, path, Some(search)).await?;
        let traces = answer.get("traces").and_then(Value::as_array);
        let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let traces = traces.into_iter().flatten();
        let ids = traces.filter_map(|trace| text(trace, "trace_id")).collect();
        let next = text(&answer, "next_page_token").filter(|token| !token.is_empty());
        Ok((ids, next))
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
        let response = client.call(method, &url, &headers, body).await;
        let response = response.map_err(|error| self.broken(error.to_string()))?;
        if !response.status.is_success() {
            let said = String::from_utf8_lossy(&response.body);
            let said: String = said.chars().take(300).collect();
            return Err(self.broken(format!("it answered {}: {said}", response.status)));
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

/// The exchange of a trace, or why there is none.
fn exchange(answer: &Value) -> Result<Exchange, &'static str> {
    let spans = answer.pointer("/trace/spans").and_then(Value::as_array);
    let is_root = |span: &&Value| {
        let parent = span.get("parent_span_id").and_then(Value::as_str);
        parent.unwrap_or_default().is_empty()
    };
    let root = spans.into_iter().flatten().find(is_root);
    let root = root.ok_or("no root span")?;
    let started = root.get("start_time_unix_nano").and_then(Value::as_u64);
    let at = Duration::from_nanos(started.ok_or("no start time")?);
    let mut attributes = root.get("attributes").map(otlp::fields).unwrap_or_default();
    let inputs = attributes.remove("mlflow.spanInputs");
    let outputs = attributes.remove("mlflow.spanOutputs");
    let text = |name: &str| attributes.get(name).and_then(Value::as_str);
    let number = |name: &str| attributes.get(name).and_then(Value::as_u64);
    let method = text("http.request.method").map(|method| method.parse());
    let method = method.unwrap_or(Ok(Method::POST));
    let json = outputs.filter(|outputs| !outputs.is_null() && !is_cut(outputs));
    let tokens = json.as_ref().map(meaning::tokens).unwrap_or_default();
    let status = number("http.response.status_code").and_then(|status| status.try_into().ok());
    Ok(Exchange {
        at,
        session: text("session.id").map(str::to_owned),
        method: method.map_err(|_| "no method that http allows")?,
        path: path(&attributes)?,
        content: content(inputs)?,
        answer: Answer {
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
    let query = text("url.query").map(|query| format!("?{query}"));
    let path = format!("{path}{}", query.unwrap_or_default());
    let path = PathAndQuery::try_from(path).map_err(|_| "no path that http allows")?;
    Ok(Some(path))
}

fn content(inputs: Option<Value>) -> Result<Content, &'static str> {
    let (content_type, body) = match inputs {
        None | Some(Value::Null) => ("application/json", Bytes::new()),
        Some(inputs) if is_cut(&inputs) => return Err("the request's body was not kept whole"),
        // A body that was not JSON.
        Some(Value::String(text)) => ("text/plain", Bytes::from(text)),
        Some(inputs) => ("application/json", Bytes::from(inputs.to_string())),
    };
    Ok(Content::Whole { content_type, body })
}

/// Whether it stands for a body that was cut, or is no text.
fn is_cut(value: &Value) -> bool {
    value.get("offpath.body").is_some()
}

/// Everything but unreserved characters as `%XX` (RFC 3986, section 2).
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
