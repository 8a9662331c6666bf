//! An experiment of an MLflow server, by id or by name.
//!
//! Source: MLflow's REST API 2.0, `experiments/get-by-name` and `experiments/create`.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use offpath_config::ExperimentRef;
use reqwest::{Client, Url};
use serde_json::Value;

use super::http::{Auth, Reply, call};
use super::private::Private;
use crate::retry::Answer;

/// An experiment, and its id once that is known.
#[derive(Debug)]
pub(crate) struct Experiment {
    name: Option<Arc<str>>,
    id: Option<Arc<str>>,
}

/// What a look-up needs.
pub(crate) struct Api<'a> {
    pub(crate) client: &'a Client,
    pub(crate) auth: &'a Auth,
    pub(crate) private: &'a Private,
    pub(crate) headers: &'a HeaderMap,
    /// `{tracking_uri}/v1/traces`.
    pub(crate) traces_url: &'a Url,
}

impl Experiment {
    pub(crate) fn new(experiment: &ExperimentRef) -> Self {
        let (name, id) = match experiment {
            // MLflow makes the experiment `Default` with this id when it makes its database.
            ExperimentRef::Default => (None, Some("0".into())),
            ExperimentRef::Id(id) => (None, Some(Arc::clone(id))),
            ExperimentRef::Name(name) => (Some(Arc::clone(name)), None),
        };
        Self { name, id }
    }

    /// The id, as far as it is known.
    pub(crate) fn id(&self) -> Option<&Arc<str>> {
        self.id.as_ref()
    }

    /// Makes the next request look it up again. `false` where there is nothing to look up.
    pub(crate) fn forget(&mut self) -> bool {
        self.name.is_some() && self.id.take().is_some()
    }

    /// The id, looked up by name where it is not known, and the experiment made where it is not
    /// there.
    pub(crate) async fn resolve(&mut self, api: &Api<'_>) -> Result<&Arc<str>, Answer> {
        let id = match (self.id.take(), &self.name) {
            (Some(id), _) => id,
            (None, Some(name)) => api.look_up_or_create(name).await?,
            (None, None) => return Err(denied("the experiment has neither a name nor an id")),
        };
        Ok(self.id.insert(id))
    }
}

impl Api<'_> {
    async fn look_up_or_create(&self, name: &str) -> Result<Arc<str>, Answer> {
        if let Some(id) = self.look_up(name).await? {
            return Ok(id);
        }
        let url = self.url("create");
        let body = serde_json::json!({ "name": name }).to_string();
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        let reply = self.call(request).await?;
        if reply.status.is_success() {
            return id(&reply, &["experiment_id"]);
        }
        // Another replica may have made it in between.
        match self.look_up(name).await? {
            Some(id) => Ok(id),
            None => Err(trouble(reply)),
        }
    }

    async fn look_up(&self, name: &str) -> Result<Option<Arc<str>>, Answer> {
        let mut url = self.url("get-by-name");
        url.query_pairs_mut().append_pair("experiment_name", name);
        let reply = self.call(self.client.get(url)).await?;
        if reply.status == StatusCode::NOT_FOUND && is_missing(&reply) {
            return Ok(None);
        }
        if !reply.status.is_success() {
            return Err(trouble(reply));
        }
        let deleted = field(&reply, &["experiment", "lifecycle_stage"]);
        if deleted.as_deref() == Some("deleted") {
            return Err(denied(&format!(
                "experiment `{name}` is deleted: restore it, or name another"
            )));
        }
        id(&reply, &["experiment", "experiment_id"]).map(Some)
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Reply, Answer> {
        call(
            self.auth.sign(request.headers(self.headers.clone())),
            self.private,
        )
        .await
    }

    fn url(&self, deed: &str) -> Url {
        let mut url = self.traces_url.clone();
        let prefix = url.path().strip_suffix("/v1/traces").unwrap_or_default();
        let path = format!("{prefix}/api/2.0/mlflow/experiments/{deed}");
        url.set_path(&path);
        url
    }
}

/// Whether it is the experiment that is missing, not the API.
fn is_missing(reply: &Reply) -> bool {
    field(reply, &["error_code"]).as_deref() == Some("RESOURCE_DOES_NOT_EXIST")
}

fn id(reply: &Reply, path: &[&str]) -> Result<Arc<str>, Answer> {
    let id = field(reply, path).filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()));
    id.filter(|id| !id.is_empty())
        .map(Arc::from)
        .ok_or_else(|| denied("the answer to an experiment's look-up has no experiment id"))
}

fn field(reply: &Reply, path: &[&str]) -> Option<String> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    let value = path.iter().try_fold(&body, |value, key| value.get(key))?;
    value.as_str().map(str::to_owned)
}

/// A look-up that fails is never the batch's fault.
fn trouble(reply: Reply) -> Answer {
    match reply.into_answer() {
        Answer::Refused { words } => Answer::Denied { words },
        answer => answer,
    }
}

fn denied(words: &str) -> Answer {
    Answer::Denied {
        words: words.to_owned(),
    }
}
