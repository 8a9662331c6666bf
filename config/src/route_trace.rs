//! `routes[].trace`: what a trace says besides the exchange itself.

use std::sync::Arc;

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

/// Where a value on the trace comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The same for every exchange.
    Constant(Arc<str>),
    /// The request header of this valid name, in lower case.
    Header(Arc<str>),
}

/// A searchable tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 1..=250 bytes, never beginning with `mlflow.`.
    pub key: Arc<str>,
    /// Its value; the tag is left out where the source is missing.
    pub value: Source,
}
