//! `export.sinks`: where traces are sent.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use crate::{
    Secret, check,
    field::Field,
    kind::{self, Type},
    map::Map,
    pem::{self, Certificates},
};

const DEFAULT_NAME: &str = "mlflow";

/// A named destination of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Unique; the name in `routes[].sinks`, and the `sink` label of metrics.
    pub name: Arc<str>,
    /// The protocol and its settings.
    pub kind: SinkKind,
}

/// The protocol of a sink (`type` in the YAML).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// OTLP/HTTP to an MLflow tracking server, with its experiments and tags.
    Mlflow(MlflowSink),
    /// OTLP/HTTP to any backend.
    Otlp(OtlpSink),
}

/// An MLflow tracking server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlflowSink {
    /// `http://` or `https://`, host, and a path if the server has one; without a trailing slash,
    /// query or credentials.
    pub tracking_uri: String,
    /// How offpath authenticates.
    pub auth: MlflowAuth,
    /// Sent with every request.
    pub headers: Vec<SinkHeader>,
    /// The certificates to trust instead of the system's.
    pub ca: Option<Certificates>,
    /// Time limit of one request, response included.
    pub timeout: Duration,
}

/// Credentials of an MLflow sink. If the YAML has none, MLflow's environment variables are used;
/// among those, name and password take precedence over the token, as in MLflow's own client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MlflowAuth {
    /// No credentials.
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
    /// How bodies are compressed.
    pub compression: Compression,
    /// The certificates to trust instead of the system's.
    pub ca: Option<Certificates>,
    /// Time limit of one request, response included.
    pub timeout: Duration,
}

/// Content encoding of request bodies to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `gzip`.
    Gzip,
    /// Not compressed.
    None,
}

/// A header for a sink. Its value may be a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHeader {
    /// The header's name.
    pub name: HeaderName,
    /// The header's value, marked sensitive: its `Debug` does not show it.
    pub value: HeaderValue,
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

/// The names of all sinks, including those with faults.
pub(crate) fn names<'a>(field: &Field<'a>) -> Vec<&'a str> {
    if field.is_set() {
        field.keys()
    } else {
        vec![DEFAULT_NAME]
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Mlflow,
    Otlp,
}

const PROTOCOLS: [(&str, Protocol); 2] = [("mlflow", Protocol::Mlflow), ("otlp", Protocol::Otlp)];

fn sink(key: &str, field: &Field<'_>) -> Option<Sink> {
    if field.is_anything() {
        describe(field);
        return None;
    }
    let map = field.map();
    let name = check::name(key).map_err(|message| field.fail(message));
    let Some(protocol) = protocol(&map, &PROTOCOLS) else {
        map.excuse_unknown_keys();
        return None;
    };
    Some(Sink {
        kind: settings(protocol, &map)?,
        name: name.ok()?,
    })
}

/// Each protocol has keys of its own, described below a path of its own.
fn describe(field: &Field<'_>) {
    for option in PROTOCOLS {
        let path = format!("{}({})", field.path(), option.0);
        let map = field.clone().described_as(&path).map();
        protocol(&map, &[option]);
        settings(option.1, &map);
    }
}

fn protocol(map: &Map<'_>, options: &[(&'static str, Protocol)]) -> Option<Protocol> {
    map.key(
        "type",
        "Protocol: an MLflow tracking server (`mlflow`), or any OTLP/HTTP backend (`otlp`).",
    )
    .example(options.first().map_or("", |(name, _)| *name))
    .required(kind::words(options))
}

fn settings(protocol: Protocol, map: &Map<'_>) -> Option<SinkKind> {
    match protocol {
        Protocol::Mlflow => Some(SinkKind::Mlflow(mlflow(map))),
        Protocol::Otlp => otlp(map).map(SinkKind::Otlp),
    }
}

fn mlflow(map: &Map<'_>) -> MlflowSink {
    MlflowSink {
        tracking_uri: map
            .key("tracking_uri", "URL of the tracking server.")
            .var("MLFLOW_TRACKING_URI")
            .or("http://127.0.0.1:5000", kind::sink_url()),
        auth: auth(map),
        headers: headers(map),
        ca: ca(map),
        timeout: timeout(map),
    }
}

fn otlp(map: &Map<'_>) -> Option<OtlpSink> {
    let endpoint = map
        .key(
            "endpoint",
            "Full URL that traces are posted to, path included.",
        )
        .example("http://127.0.0.1:4318/v1/traces")
        .required(kind::sink_url());
    let compressions = [("gzip", Compression::Gzip), ("none", Compression::None)];
    let compression = map
        .key("compression", "Content encoding of the request bodies.")
        .or("gzip", kind::words(&compressions));
    let (headers, ca, timeout) = (headers(map), ca(map), timeout(map));
    Some(OtlpSink {
        endpoint: endpoint?,
        headers,
        compression,
        ca,
        timeout,
    })
}

fn headers(map: &Map<'_>) -> Vec<SinkHeader> {
    let field = map
        .key("headers", "Headers that are sent with every request.")
        .example("{x-team: ml}")
        .place(Type::Map(Box::new(Type::Text)));
    let header = |(key, field): (&str, Field<'_>)| {
        let name = check::header_name(key).map_err(|message| field.fail(message));
        let value = field.required(|text| {
            let mut value = check::header_value(text)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Some(SinkHeader {
            name: name.ok()?,
            value: value?,
        })
    };
    field.entries().into_iter().filter_map(header).collect()
}

fn ca(map: &Map<'_>) -> Option<Certificates> {
    let field = map
        .key(
            "ca",
            "PEM file with the certificates to trust instead of the system's.",
        )
        .example("ca.pem")
        .place(Type::File);
    pem::authorities(&field)
}

fn timeout(map: &Map<'_>) -> Duration {
    map.key("timeout", "Time limit of one request, response included.")
        .or("30s", kind::positive_duration())
}

/// The YAML's credentials, or the environment's if the YAML has none.
fn auth(map: &Map<'_>) -> MlflowAuth {
    let token = map
        .key("token", "Bearer token.")
        .otherwise("`MLFLOW_TRACKING_TOKEN`")
        .example("\"${env:TOKEN}\"")
        .place(Type::Text);
    let username = map
        .key(
            "username",
            "User name for basic authentication, instead of a token.",
        )
        .otherwise("`MLFLOW_TRACKING_USERNAME`")
        .example("offpath")
        .alternative()
        .place(Type::Text);
    let password = map
        .key("password", "Password for basic authentication.")
        .otherwise("`MLFLOW_TRACKING_PASSWORD`")
        .example("\"${env:PASSWORD}\"")
        .alternative()
        .place(Type::Text);
    let named = username.is_set() || password.is_set();
    if token.is_set() && named {
        token.fail("is set together with `username` or `password`: use one of the two");
    }
    if token.is_set() || named {
        return credentials(&token, &username, &password, named);
    }
    let reader = map.reader();
    let token = reader.var("MLFLOW_TRACKING_TOKEN");
    let username = reader.var("MLFLOW_TRACKING_USERNAME");
    let password = reader.var("MLFLOW_TRACKING_PASSWORD");
    let whole = username.is_set() && password.is_set();
    // Half a pair is a fault, unless there is a token.
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

/// RFC 7617, section 2: the first colon ends the name.
fn user_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        return Err("must be a name, without a colon or control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn secret(text: &str) -> Result<Secret, String> {
    check::header_value(text).map(|_| Secret::new(text))
}
