//! `routes[].trace`: what a trace says besides the exchange itself.

use std::sync::Arc;

use crate::{Source, check, field::Field, reader::Reader, source};

/// MLflow's limit for the key of a trace tag.
const TAG_KEY_BYTES_MAX: usize = 250;

/// Names, identity and destination of a route's traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTrace {
    /// What an incoming `traceparent` means.
    pub context: TraceContextMode,
    /// Where in MLflow the traces go; final: the route's, else MLflow's environment variables.
    pub experiment: ExperimentRef,
    /// The trace's name; the route's where the YAML names none.
    pub name: Arc<str>,
    /// Where the user's name comes from: the first source that is there. May be empty.
    pub user: Vec<Source>,
    /// Where the session's name comes from: the first source that is there. May be empty.
    pub session: Vec<Source>,
    /// Searchable tags, by unique key, in the file's order.
    pub tags: Vec<Tag>,
    /// Immutable metadata, likewise. Costs a call to MLflow per trace.
    pub metadata: Vec<Tag>,
    /// Where the client's own id of the request comes from. Costs a call to MLflow per trace.
    pub client_request_id: Vec<Source>,
}

/// What an incoming `traceparent` means for the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceContextMode {
    /// The exchange is a whole trace of its own; the caller's ids are a link on it.
    Own,
    /// The caller's trace is continued.
    Join,
}

/// An experiment of MLflow. Sinks that know none ignore it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExperimentRef {
    /// MLflow's own default experiment, id 0.
    Default,
    /// By id: what is all digits in the YAML, or `MLFLOW_EXPERIMENT_ID`.
    Id(Arc<str>),
    /// By name; made where it does not exist.
    Name(Arc<str>),
}

/// A searchable tag, or a piece of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 1..=250 bytes, never beginning with `mlflow.`.
    pub key: Arc<str>,
    /// Its value; the tag is left out where the source is missing.
    pub value: Source,
}

/// The experiment of routes that name none: MLflow's variables, the id before the name.
pub(crate) fn experiment_from_env(reader: &Reader<'_>) -> ExperimentRef {
    let id = |text: &str| {
        if !is_id(text) {
            return Err(format!("`{text}` is not the id of an experiment"));
        }
        Ok(ExperimentRef::Id(text.into()))
    };
    let name = |text: &str| check::some_text(text).map(ExperimentRef::Name);
    reader
        .var("MLFLOW_EXPERIMENT_ID")
        .optional(id)
        .or_else(|| reader.var("MLFLOW_EXPERIMENT_NAME").optional(name))
        .unwrap_or(ExperimentRef::Default)
}

pub(crate) fn read(field: &Field<'_>, route: &Arc<str>, experiment: &ExperimentRef) -> RouteTrace {
    let map = field.map();
    let contexts = [
        ("own", TraceContextMode::Own),
        ("join", TraceContextMode::Join),
    ];
    let metadata = tags(&map.field("metadata"));
    let client_request_id = source::read_list(&map.field("client_request_id"));
    for (key, is_set) in [
        ("metadata", !metadata.is_empty()),
        ("client_request_id", !client_request_id.is_empty()),
    ] {
        if is_set {
            map.field(key).warn(
                "costs one more call to MLflow per trace: 13 to 34 traces/s instead of some 265",
            );
        }
    }
    RouteTrace {
        context: map
            .field("context")
            .choice(TraceContextMode::Own, &contexts),
        experiment: map
            .field("experiment")
            .or(experiment.clone(), experiment_ref),
        name: map.field("name").or(route.clone(), check::name),
        user: source::read_list(&map.field("user")),
        session: source::read_list(&map.field("session")),
        tags: tags(&map.field("tags")),
        metadata,
        client_request_id,
    }
}

fn experiment_ref(text: &str) -> Result<ExperimentRef, String> {
    let text = check::some_text(text)?;
    Ok(if is_id(&text) {
        ExperimentRef::Id(text)
    } else {
        ExperimentRef::Name(text)
    })
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn tags(field: &Field<'_>) -> Vec<Tag> {
    let tag = |(key, field): (&str, Field<'_>)| {
        let key = tag_key(key).map_err(|message| field.fail(message));
        let value = source::read(&field);
        Some(Tag {
            key: key.ok()?,
            value: value?,
        })
    };
    field.entries().into_iter().filter_map(tag).collect()
}

fn tag_key(text: &str) -> Result<Arc<str>, String> {
    if text.starts_with("mlflow.") {
        return Err("keys that begin with `mlflow.` belong to MLflow".to_owned());
    }
    if text.len() > TAG_KEY_BYTES_MAX {
        return Err(format!(
            "the key must be at most {TAG_KEY_BYTES_MAX} bytes long"
        ));
    }
    check::some_text(text)
}
