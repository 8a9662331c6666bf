//! `export`: what happens to a kept exchange after the response has left.

use std::time::Duration;

use crate::{Sink, Spool, field::Field, sink, spool, units};

/// More encoder threads than any machine that also serves a model should give.
const THREADS_MAX: usize = 256;

/// The background: queue, encoders, batches, retries and sinks.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where traces go; unique names, at least one. Without `export.sinks`, one named `mlflow`
    /// from MLflow's environment variables.
    pub sinks: Vec<Sink>,
    /// The hand-off between request path and background.
    pub queue: Queue,
    /// What goes into one request to a sink.
    pub batch: Batch,
    /// What happens when a sink refuses or is away.
    pub retry: Retry,
    /// Traces on disk; `None`: in memory alone.
    pub spool: Option<Spool>,
    /// The threads that decode and encode.
    pub encoders: Encoders,
}

/// Bounds of the hand-off queue. When either is reached the newest exchange is dropped and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Exchanges waiting at most; at least 1.
    pub max_traces: usize,
    /// Bytes pinned by waiting exchanges at most.
    pub max_bytes: usize,
}

/// Bounds of a batch. They hold per destination (sink and experiment), which has one request in
/// flight at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Traces in one request at most; at least 1.
    pub max_traces: usize,
    /// Encoded bytes in one request at most; a larger trace goes alone.
    pub max_bytes: usize,
    /// How long a trace may wait for company.
    pub linger: Duration,
    /// Encoded bytes of one trace at most; past it the trace keeps its previews and says so.
    pub max_trace: usize,
}

/// Backoff towards a sink that refuses or is away.
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
    /// How many; at least 1.
    pub threads: usize,
    /// Their niceness, 0..=19: what they yield to the request path on shared cores.
    pub nice: i32,
}

/// The section, and the names of all its sinks, those included that have faults.
pub(crate) fn read<'a>(field: &Field<'a>) -> (Export, Vec<&'a str>) {
    let map = field.map();
    let sinks = map.field("sinks");
    let export = Export {
        sinks: sink::read(&sinks),
        queue: queue(&map.field("queue")),
        batch: batch(&map.field("batch")),
        retry: retry(&map.field("retry")),
        spool: spool::read(&map.field("spool")),
        encoders: encoders(&map.field("encoders")),
    };
    (export, sink::names(&sinks))
}

fn queue(field: &Field<'_>) -> Queue {
    let map = field.map();
    map.field("when_full").not_yet("drop_newest");
    Queue {
        max_traces: map
            .field("max_traces")
            .or_var("MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE")
            .or(10_000, units::count),
        max_bytes: map.field("max_bytes").or(64 << 20, units::some_bytes),
    }
}

fn batch(field: &Field<'_>) -> Batch {
    let map = field.map();
    Batch {
        max_traces: map.field("max_traces").or(100, units::count),
        max_bytes: map.field("max_bytes").or(8 << 20, units::some_bytes),
        linger: map
            .field("linger")
            .or(Duration::from_secs(1), units::duration),
        max_trace: map.field("max_trace").or(64 << 20, units::some_bytes),
    }
}

fn retry(field: &Field<'_>) -> Retry {
    let map = field.map();
    let time = |key, default| map.field(key).or(default, units::some_duration);
    let retry = Retry {
        initial: time("initial", Duration::from_millis(500)),
        max: time("max", Duration::from_secs(30)),
        give_up_after: time("give_up_after", Duration::from_secs(300)),
    };
    if retry.initial > retry.max {
        map.fail("`initial` is longer than `max`");
    }
    retry
}

fn encoders(field: &Field<'_>) -> Encoders {
    let map = field.map();
    let nice = map.field("nice").or(19, |text| units::whole(text, 0, 19));
    Encoders {
        threads: map
            .field("threads")
            .or_var("MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS")
            .or(1, |text| units::whole(text, 1, THREADS_MAX)),
        nice: i32::try_from(nice).unwrap_or(19),
    }
}
