//! `routes[].trace`: names, identity and destination of a route's traces.

use std::sync::Arc;

use offpath_trace::Source;

use crate::{
    check,
    field::Field,
    key::Key,
    kind::{self, Kind, Type},
    reader::Reader,
    source,
};

/// MLflow's limit for the key of a trace tag.
const TAG_KEY_BYTES_MAX: usize = 250;

/// Names, identity and destination of a route's traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTrace {
    /// How an incoming `traceparent` is used.
    pub context: TraceContextMode,
    /// The MLflow experiment of the traces: the route's, else that of MLflow's environment variables.
    pub experiment: ExperimentRef,
    /// The trace's name; the route's if the YAML has none.
    pub name: Arc<str>,
    /// Where the user's name comes from: the first source with a value. May be empty.
    pub user: Vec<Source>,
    /// Where the session's name comes from: the first source with a value. May be empty.
    pub session: Vec<Source>,
    /// Searchable tags, by unique key, in the file's order.
    pub tags: Vec<Tag>,
    /// Immutable metadata, likewise. Costs one more call to MLflow per trace.
    pub metadata: Vec<Tag>,
    /// Where the client's own id of the request comes from. Costs one more call to MLflow per trace.
    pub client_request_id: Vec<Source>,
}

/// How an incoming `traceparent` is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceContextMode {
    /// The exchange is a whole trace of its own; the caller's ids are a link on it.
    Own,
    /// The caller's trace is continued.
    Join,
}

/// An experiment of MLflow. Other sinks ignore it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExperimentRef {
    /// MLflow's own default experiment, id 0.
    Default,
    /// By id: a number in the YAML, or `MLFLOW_EXPERIMENT_ID`.
    Id(Arc<str>),
    /// By name; created if it does not exist.
    Name(Arc<str>),
}

/// A searchable tag, or a piece of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 1..=250 bytes, never beginning with `mlflow.`.
    pub key: Arc<str>,
    /// Its value; without one, the tag is left out.
    pub value: Source,
}

/// The experiment of routes without one: that of MLflow's variables, the id before the name.
pub(crate) fn experiment_from_env(reader: &Reader<'_>) -> ExperimentRef {
    let id = |text: &str| {
        if !is_id(text) {
            return Err(format!("`{text}` is not the id of an experiment"));
        }
        Ok(ExperimentRef::Id(text.into()))
    };
    let name = |text: &str| check::not_empty(text).map(ExperimentRef::Name);
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
    let context = map
        .key("context", "Whether the exchange is a trace of its own, linked to the caller's (`own`), or continues the caller's trace (`join`).")
        .or("own", kind::words(&contexts));
    let own_experiment = map
        .key("experiment", "MLflow experiment, by name, or by id if it is a number.")
        .otherwise("`MLFLOW_EXPERIMENT_ID`, then `MLFLOW_EXPERIMENT_NAME`, then MLflow's default experiment")
        .example("support")
        .optional(Kind::new(Type::Text, experiment_ref));
    let name = map
        .key("name", "Name of the traces.")
        .otherwise("the route's name")
        .example("support chat")
        .optional(kind::text_of(check::name));
    RouteTrace {
        context,
        experiment: own_experiment.unwrap_or_else(|| experiment.clone()),
        name: name.unwrap_or_else(|| route.clone()),
        user: source::read_list(
            map.key("user", "Where the user's name comes from; the first source with a value is used.")
                .example("[{header: x-user-id}, {body: /user}]"),
        ),
        session: source::read_list(
            map.key("session", "Where the session's name comes from; the first source with a value is used.")
                .example("[{header: x-session-id}]"),
        ),
        tags: tags(
            map.key("tags", "Searchable tags; keys must not begin with `mlflow.`.")
                .example("{environment: production, tenant: {header: x-tenant}}"),
        ),
        metadata: costly(
            map.key("metadata", "Immutable metadata; keys must not begin with `mlflow.`, and it costs one more call to MLflow per trace.")
                .example("{release: \"1.4\"}"),
            tags,
        ),
        client_request_id: costly(
            map.key("client_request_id", "Where the client's own id of the request comes from; it costs one more call to MLflow per trace.")
                .example("[{header: x-request-id}]"),
            source::read_list,
        ),
    }
}

/// Reads a list for which MLflow needs one more call, and warns if there is one.
fn costly<'a, T>(key: Key<'a>, read: fn(Key<'a>) -> Vec<T>) -> Vec<T> {
    let field = key.field();
    let list = read(key);
    if !list.is_empty() {
        field
            .warn("costs one more call to MLflow per trace: 13 to 34 traces/s instead of some 210");
    }
    list
}

fn experiment_ref(text: &str) -> Result<ExperimentRef, String> {
    let text = check::not_empty(text)?;
    Ok(if is_id(&text) {
        ExperimentRef::Id(text)
    } else {
        ExperimentRef::Name(text)
    })
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn tags(key: Key<'_>) -> Vec<Tag> {
    let field = key.place(Type::Map(Box::new(Type::Source)));
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
    check::not_empty(text)
}
