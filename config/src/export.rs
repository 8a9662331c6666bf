//! `export`: queue, encoders, batches, retries and sinks for kept exchanges.

use std::time::Duration;

use crate::{
    Sink, Spool,
    field::Field,
    kind::{self, Type},
    sink, spool,
};

/// More encoder threads than any machine that also serves a model should give.
const THREADS_MAX: usize = 256;

/// The lowest priority that Linux has.
const NICE_MAX: usize = 19;

/// The background: queue, encoders, batches, retries and sinks.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where traces are sent; unique names, at least one. Without `export.sinks`, one named
    /// `mlflow`, set up by MLflow's environment variables.
    pub sinks: Vec<Sink>,
    /// The queue between the request path and the background.
    pub queue: Queue,
    /// Bounds of one request to a sink.
    pub batch: Batch,
    /// How failed requests to a sink are repeated.
    pub retry: Retry,
    /// Traces on disk; `None`: in memory alone.
    pub spool: Option<Spool>,
    /// The threads that decode and encode.
    pub encoders: Encoders,
}

/// Bounds of the queue. When either is reached, the newest exchange is dropped and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Maximum number of waiting exchanges; at least 1.
    pub max_traces: usize,
    /// Maximum number of bytes held by waiting exchanges.
    pub max_bytes: usize,
}

/// Bounds of a batch, per destination (sink and experiment). A destination has one request in
/// flight at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Maximum number of traces in one request; at least 1.
    pub max_traces: usize,
    /// Maximum number of encoded bytes in one request; a larger trace is sent alone.
    pub max_bytes: usize,
    /// How long a trace waits for others.
    pub linger: Duration,
    /// Maximum number of encoded bytes of one trace; a larger one keeps its previews alone, and a
    /// mark.
    pub max_trace: usize,
}

/// Pauses after a sink refuses a request or is unreachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first pause; doubled, with jitter, up to `max`.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
    /// Age at which a trace in memory is dropped and counted; with a spool none is.
    pub give_up_after: Duration,
}

/// The threads that turn bytes into traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoders {
    /// Number of threads; at least 1.
    pub threads: usize,
    /// Their niceness, 0..=19: how much they yield to the request path on shared cores.
    pub nice: i32,
}

/// The section, and the names of all its sinks, including those with faults.
pub(crate) fn read<'a>(field: &Field<'a>) -> (Export, Vec<&'a str>) {
    let map = field.map();
    let sinks = map
        .key("sinks", "Where traces are sent, by name.")
        .otherwise("one named `mlflow`, set up by MLflow's environment variables")
        .example("mlflow")
        .place(Type::Named);
    let section = |name, about| map.key(name, about).section();
    let export = Export {
        sinks: sink::read(&sinks),
        queue: queue(&section(
            "queue",
            "The queue between the request path and the background.",
        )),
        batch: batch(&section(
            "batch",
            "Bounds of one request to a sink; each destination has one request in flight.",
        )),
        retry: retry(&section(
            "retry",
            "Pauses after a sink refuses a request or is unreachable.",
        )),
        spool: spool::read(&section(
            "spool",
            "Kept traces on disk, while a sink lags and across restarts.",
        )),
        encoders: encoders(&section("encoders", "The threads that decode and encode.")),
    };
    (export, sink::names(&sinks))
}

fn queue(field: &Field<'_>) -> Queue {
    let map = field.map();
    let max_traces = map
        .key("max_traces", "Maximum number of waiting exchanges.")
        .var("MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE")
        .or("10000", kind::count());
    let max_bytes = map
        .key("max_bytes", "Maximum size of the waiting exchanges; when it is nearly reached, bodies are dropped before traces.")
        .or("64MiB", kind::positive_size());
    map.key(
        "when_full",
        "Policy for a full queue; so far, the newest exchange is dropped.",
    )
    .or("drop_newest", kind::only("drop_newest"));
    Queue {
        max_traces,
        max_bytes,
    }
}

fn batch(field: &Field<'_>) -> Batch {
    let map = field.map();
    Batch {
        max_traces: map
            .key("max_traces", "Maximum number of traces in one request.")
            .or("100", kind::count()),
        max_bytes: map
            .key(
                "max_bytes",
                "Maximum size of one request before compression; a larger trace is sent alone.",
            )
            .or("8MiB", kind::positive_size()),
        linger: map
            .key(
                "linger",
                "How long a trace waits for others to be sent with.",
            )
            .or("1s", kind::duration()),
        max_trace: map
            .key(
                "max_trace",
                "Maximum size of one trace; a larger one keeps its previews alone, and is marked.",
            )
            .or("64MiB", kind::positive_size()),
    }
}

fn retry(field: &Field<'_>) -> Retry {
    let map = field.map();
    let retry = Retry {
        initial: map
            .key(
                "initial",
                "The first pause; each further one is twice as long, with jitter.",
            )
            .or("500ms", kind::positive_duration()),
        max: map
            .key("max", "The longest pause.")
            .or("30s", kind::positive_duration()),
        give_up_after: map
            .key(
                "give_up_after",
                "Age at which a trace in memory is dropped and counted; a trace on disk is kept.",
            )
            .or("5m", kind::positive_duration()),
    };
    if retry.initial > retry.max {
        map.fail("`initial` is longer than `max`");
    }
    retry
}

fn encoders(field: &Field<'_>) -> Encoders {
    let map = field.map();
    let nice = kind::integer(0, NICE_MAX)
        .map(|nice| i32::try_from(nice).expect("0..=19 fits, because the kind checked it"));
    Encoders {
        threads: map
            .key("threads", "Number of threads that decode and encode.")
            .var("MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS")
            .or("1", kind::integer(1, THREADS_MAX)),
        nice: map
            .key(
                "nice",
                "Niceness of these threads: the higher, the more they yield to the request path.",
            )
            .or("19", nice),
    }
}
