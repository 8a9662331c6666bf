//! `export.sinks`: where traces go.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::Secret;

/// A named destination of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Unique; what routes name, and the `sink` label of metrics.
    pub name: Arc<str>,
    /// What it speaks.
    pub kind: SinkKind,
}

/// What a sink speaks (`type` in the YAML).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// OTLP/HTTP into an MLflow tracking server, with its experiments and tags.
    Mlflow(MlflowSink),
    /// OTLP/HTTP into any backend.
    Otlp(OtlpSink),
}

/// An MLflow tracking server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlflowSink {
    /// `http://` or `https://`, host, and a path where the server has one; without a trailing
    /// slash, query or credentials.
    pub tracking_uri: String,
    /// How offpath shows who it is.
    pub auth: MlflowAuth,
    /// Sent with every request.
    pub headers: Vec<SinkHeader>,
    /// PEM certificates to trust instead of the system's; parsed.
    pub ca: Option<PathBuf>,
    /// The whole of one request, answer included.
    pub timeout: Duration,
}

/// Credentials of an MLflow sink. Where the YAML names none, MLflow's environment variables
/// decide, and there name and password win over the token, as in MLflow's own client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MlflowAuth {
    /// None.
    None,
    /// `authorization: Bearer`.
    Token(Secret),
    /// `authorization: Basic`.
    Basic {
        /// Not empty, without a colon.
        username: String,
        /// May be empty.
        password: Secret,
    },
}

/// A backend that speaks OTLP/HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSink {
    /// The full URL that batches are posted to, path included; without credentials.
    pub endpoint: String,
    /// Sent with every request.
    pub headers: Vec<SinkHeader>,
    /// How bodies are sent.
    pub compression: Compression,
    /// PEM certificates to trust instead of the system's; parsed.
    pub ca: Option<PathBuf>,
    /// The whole of one request, answer included.
    pub timeout: Duration,
}

/// Content encoding of the bodies that a sink is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `gzip`.
    Gzip,
    /// As they are.
    None,
}

/// A header for a sink. Its value may be a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHeader {
    /// A valid header name in lower case.
    pub name: Arc<str>,
    /// A valid header value.
    pub value: Secret,
}
