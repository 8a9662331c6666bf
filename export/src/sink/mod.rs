//! One destination as its worker sees it: takes records, gives an [`Answer`].
//!
//! Both kinds of sink speak OTLP/HTTP; an MLflow server wants the id of an experiment with it,
//! which is looked up when it is first needed.

mod http;
mod mlflow;
mod payload;
mod reader;
mod search;

use std::sync::Arc;

use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use offpath_config::{Compression, ExperimentRef, MlflowSink, OtlpSink, SinkKind};
use reqwest::{Client, Url};

use crate::health::Health;
use crate::otlp;
use crate::retry::Answer;

pub use self::http::ClientError;
use self::http::{Auth, Reply};
use self::mlflow::Experiment;
pub(crate) use self::payload::Payload;
pub use self::reader::{ReadError, Reader, StoredSpan, StoredTrace};
pub use self::search::{FoundPage, FoundTrace};

/// A sink, and the experiment in it.
pub(crate) struct Sink {
    client: Client,
    auth: Auth,
    url: Url,
    headers: HeaderMap,
    compression: Compression,
    /// See [`otlp::frame`].
    resource: Bytes,
    experiment: Option<Experiment>,
    health: Arc<Health>,
}

/// Where the batches of a sink are posted to, for logs and `/status`.
pub(crate) fn target(kind: &SinkKind) -> Arc<str> {
    match kind {
        SinkKind::Mlflow(mlflow) => format!("{}/v1/traces", mlflow.tracking_uri).into(),
        SinkKind::Otlp(otlp) => otlp.endpoint.as_str().into(),
    }
}

impl Sink {
    /// Makes ready to speak to a sink; sends nothing yet.
    pub(crate) fn new(
        kind: &SinkKind,
        experiment: Option<&ExperimentRef>,
        health: Arc<Health>,
    ) -> Result<Self, ClientError> {
        match kind {
            SinkKind::Mlflow(mlflow) => Self::mlflow(mlflow, experiment, health),
            SinkKind::Otlp(otlp) => Self::otlp(otlp, health),
        }
    }

    fn mlflow(
        sink: &MlflowSink,
        experiment: Option<&ExperimentRef>,
        health: Arc<Health>,
    ) -> Result<Self, ClientError> {
        let url = http::url(&format!("{}/v1/traces", sink.tracking_uri))?;
        let experiment = Experiment::new(experiment.unwrap_or(&ExperimentRef::Default));
        health.experiment_id(experiment.id().cloned());
        Ok(Self {
            client: http::client(&url, sink.ca.as_deref(), sink.timeout)?,
            auth: Auth::from(&sink.auth),
            headers: http::headers(&sink.headers)?,
            compression: Compression::None,
            resource: Bytes::new(),
            experiment: Some(experiment),
            url,
            health,
        })
    }

    fn otlp(sink: &OtlpSink, health: Arc<Health>) -> Result<Self, ClientError> {
        let url = http::url(&sink.endpoint)?;
        Ok(Self {
            client: http::client(&url, sink.ca.as_deref(), sink.timeout)?,
            auth: Auth::None,
            headers: http::headers(&sink.headers)?,
            compression: sink.compression,
            resource: otlp::service_resource(),
            experiment: None,
            url,
            health,
        })
    }

    /// Bytes that a record of this length takes in a request.
    pub(crate) fn framed_bytes(&self, record_bytes: usize) -> usize {
        record_bytes + self.resource.len() + otlp::FRAME_BYTES_MAX
    }

    /// The body for these records: made once, sent as often as needed.
    pub(crate) fn payload<'a>(&self, records: impl Iterator<Item = &'a Bytes>) -> Payload {
        let payload = Payload::framed(&self.resource, records);
        match self.compression {
            Compression::Gzip => payload.gzip(),
            Compression::None => payload,
        }
    }

    /// Sends a body and reads the answer. An experiment that the server does not know (any
    /// more) is looked up or made again, once.
    pub(crate) async fn send(&mut self, payload: &Payload) -> Answer {
        let reply = match self.attempt(payload).await {
            Ok(reply) => reply,
            Err(answer) => return answer,
        };
        let forgotten = reply.status == StatusCode::NOT_FOUND
            && self.experiment.as_mut().is_some_and(Experiment::forget);
        if !forgotten {
            return reply.into_answer();
        }
        self.health.experiment_id(None);
        match self.attempt(payload).await {
            Ok(reply) => reply.into_answer(),
            Err(answer) => answer,
        }
    }

    async fn attempt(&mut self, payload: &Payload) -> Result<Reply, Answer> {
        let mut request = self
            .auth
            .sign(
                self.client
                    .post(self.url.clone())
                    .headers(self.headers.clone()),
            )
            .header(CONTENT_TYPE, "application/x-protobuf");
        if let Some(experiment) = &mut self.experiment {
            let known = experiment.id().is_some();
            let api = mlflow::Api {
                client: &self.client,
                auth: &self.auth,
                headers: &self.headers,
                traces_url: &self.url,
            };
            let id = Arc::clone(experiment.resolve(&api).await?);
            request = request.header("x-mlflow-experiment-id", &*id);
            if !known {
                self.health.experiment_id(Some(id));
            }
        }
        if payload.is_gzip() {
            request = request.header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        http::call(request.body(reqwest::Body::wrap(payload.body()))).await
    }
}
