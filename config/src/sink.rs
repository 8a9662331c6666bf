//! `export.sinks`: where traces go.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{Secret, check, endpoint, field::Field, map::Map, pem, units};

const TRACKING_URI: &str = "http://127.0.0.1:5000";
const DEFAULT_NAME: &str = "mlflow";
const TIMEOUT: Duration = Duration::from_secs(30);

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

pub(crate) fn read(field: &Field<'_>) -> Vec<Sink> {
    if !field.is_set() {
        // An MLflow sink without keys has everything from the environment.
        let kind = SinkKind::Mlflow(mlflow(&field.map()));
        let name = DEFAULT_NAME.into();
        return vec![Sink { name, kind }];
    }
    let entries = field.entries();
    if entries.is_empty() {
        field.fail("at least one sink is needed");
    }
    entries
        .iter()
        .filter_map(|(key, field)| sink(key, field))
        .collect()
}

/// The names of all sinks, those included that have faults.
pub(crate) fn names<'a>(field: &Field<'a>) -> Vec<&'a str> {
    if field.is_set() {
        field.keys()
    } else {
        vec![DEFAULT_NAME]
    }
}

#[derive(Clone, Copy)]
enum Type {
    Mlflow,
    Otlp,
}

fn sink(key: &str, field: &Field<'_>) -> Option<Sink> {
    let map = field.map();
    let name = check::name(key).map_err(|message| field.fail(message));
    let kind = map.field("type").required(|text| match text {
        "mlflow" => Ok(Type::Mlflow),
        "otlp" => Ok(Type::Otlp),
        _ => Err(format!("`{text}` is not one of `mlflow`, `otlp`")),
    });
    let Some(kind) = kind else {
        map.excuse_unknown_keys();
        return None;
    };
    let kind = match kind {
        Type::Mlflow => SinkKind::Mlflow(mlflow(&map)),
        Type::Otlp => SinkKind::Otlp(otlp(&map)?),
    };
    Some(Sink {
        name: name.ok()?,
        kind,
    })
}

fn mlflow(map: &Map<'_>) -> MlflowSink {
    let tracking_uri = map
        .field("tracking_uri")
        .or_var("MLFLOW_TRACKING_URI")
        .or(TRACKING_URI.to_owned(), endpoint::sink_url);
    MlflowSink {
        tracking_uri,
        auth: auth(map),
        headers: headers(&map.field("headers")),
        ca: pem::authorities(&map.field("ca")),
        timeout: map.field("timeout").or(TIMEOUT, units::some_duration),
    }
}

fn otlp(map: &Map<'_>) -> Option<OtlpSink> {
    let endpoint = map.field("endpoint").required(endpoint::sink_url);
    let compressions = [("gzip", Compression::Gzip), ("none", Compression::None)];
    let compression = map
        .field("compression")
        .choice(Compression::Gzip, &compressions);
    let headers = headers(&map.field("headers"));
    let ca = pem::authorities(&map.field("ca"));
    let timeout = map.field("timeout").or(TIMEOUT, units::some_duration);
    Some(OtlpSink {
        endpoint: endpoint?,
        headers,
        compression,
        ca,
        timeout,
    })
}

fn headers(field: &Field<'_>) -> Vec<SinkHeader> {
    let header = |(key, field): (&str, Field<'_>)| {
        let name = check::header_name(key).map_err(|message| field.fail(message));
        let value = field.required(secret);
        Some(SinkHeader {
            name: name.ok()?,
            value: value?,
        })
    };
    field.entries().into_iter().filter_map(header).collect()
}

/// The YAML's credentials, or where it names none the environment's.
fn auth(map: &Map<'_>) -> MlflowAuth {
    let (token, username, password) = (
        map.field("token"),
        map.field("username"),
        map.field("password"),
    );
    let named = username.is_set() || password.is_set();
    if token.is_set() && named {
        token.fail("is set, and `username` or `password` too: one of the two");
    }
    if token.is_set() || named {
        return credentials(&token, &username, &password, named);
    }
    let reader = map.reader();
    let token = reader.var("MLFLOW_TRACKING_TOKEN");
    let username = reader.var("MLFLOW_TRACKING_USERNAME");
    let password = reader.var("MLFLOW_TRACKING_PASSWORD");
    let whole = username.is_set() && password.is_set();
    // Half a pair is a fault, unless the token makes it superfluous.
    let half = (username.is_set() || password.is_set()) && !token.is_set();
    credentials(&token, &username, &password, whole || half)
}

fn credentials(
    token: &Field<'_>,
    username: &Field<'_>,
    password: &Field<'_>,
    named: bool,
) -> MlflowAuth {
    if named {
        let name = username.required(user_name);
        let password = password.required(|text| Ok(Secret::new(text)));
        return match (name, password) {
            (Some(username), Some(password)) => MlflowAuth::Basic { username, password },
            _ => MlflowAuth::None,
        };
    }
    token
        .optional(secret)
        .map_or(MlflowAuth::None, MlflowAuth::Token)
}

/// RFC 7617, 2: a name with a colon could not be told from the password.
fn user_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        return Err("must be a name, without a colon or control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn secret(text: &str) -> Result<Secret, String> {
    check::header_value(text).map(Secret::new)
}
