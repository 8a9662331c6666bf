//! One destination as its worker sees it: takes records, gives an [`Answer`].
//!
//! Both kinds of sink speak OTLP/HTTP; an MLflow server wants the id of an experiment with it,
//! which is looked up when it is first needed.

mod http;
pub(crate) mod info;
mod mlflow;
mod payload;
mod private;
mod reader;
mod search;

use std::sync::Arc;

use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use offpath_config::{Compression, ExperimentRef, MlflowAuth, MlflowSink, OtlpSink, SinkKind};
use reqwest::{Client, Url};
use tracing::warn;

use crate::health::Health;
use crate::otlp;
use crate::retry::Answer;

pub use self::http::ClientError;
use self::http::{Auth, Reply};
use self::mlflow::Experiment;
pub(crate) use self::payload::Payload;
use self::private::Private;
pub use self::reader::{ReadError, Reader, StoredSpan, StoredTrace};
pub use self::search::{FoundPage, FoundTrace};

/// A sink, and the experiment in it.
pub(crate) struct Sink {
    client: Client,
    auth: Auth,
    private: Private,
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
            client: http::client(&url, sink.ca.as_ref(), sink.timeout)?,
            auth: Auth::from(&sink.auth),
            private: Private::new(&sink.auth, &sink.headers),
            headers: http::headers(&sink.headers),
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
            client: http::client(&url, sink.ca.as_ref(), sink.timeout)?,
            auth: Auth::None,
            private: Private::new(&MlflowAuth::None, &sink.headers),
            headers: http::headers(&sink.headers),
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

    /// Tells MLflow what spans cannot say of traces that it has. Told again, it stays the same.
    pub(crate) async fn tell(&mut self, infos: impl Iterator<Item = Bytes>) -> Answer {
        for fields in infos {
            match self.tell_one(&fields).await {
                Ok(reply) => match reply.into_answer() {
                    Answer::Taken => {}
                    // The trace itself is there: what is refused is its metadata.
                    Answer::Refused { words } => {
                        warn!(answer = words, "MLflow refused the metadata of a trace.");
                    }
                    answer => return answer,
                },
                Err(answer) => return answer,
            }
        }
        Answer::Taken
    }

    async fn tell_one(&mut self, fields: &Bytes) -> Result<Reply, Answer> {
        let Some(experiment) = &self.experiment else {
            return Err(Answer::Taken);
        };
        let id = experiment.id().map_or("0", |id| &**id);
        let mut url = self.url.clone();
        let prefix = url.path().strip_suffix("/v1/traces").unwrap_or_default();
        let path = format!("{prefix}/api/3.0/mlflow/traces");
        url.set_path(&path);
        let request = self.client.post(url).headers(self.headers.clone());
        let request = self
            .auth
            .sign(request)
            .header(CONTENT_TYPE, "application/json");
        http::call(request.body(info::body(fields, id)), &self.private).await
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
                private: &self.private,
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
        http::call(
            request.body(reqwest::Body::wrap(payload.body())),
            &self.private,
        )
        .await
    }
}
