//! Upper bounds that follow from a configuration: its memory, and the load on its sinks.

use std::{collections::BTreeSet, sync::Arc};

use crate::{CaptureLevel, Config, Sink, SinkKind};

/// pingora's read buffers of one connection, in bytes, on each of the two sides: 64 KiB at the
/// socket and 64 KiB for the body.
const CONNECTION_BUFFERS_BYTES: u64 = 128 << 10;

/// pingora's copy of a request body for a second attempt, in bytes per request.
const RETRY_BUFFER_BYTES: u64 = 64 << 10;

/// The end of an event stream that shows whether it was whole, in bytes per request.
const STREAM_END_BYTES: u64 = 5 << 10;

/// Size of a trace without its bodies, in bytes: names, ids, headers, attributes.
const TRACE_OVERHEAD_BYTES: u64 = 4 << 10;

/// Upper bound of the memory for a configuration's buffers, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBound {
    /// The parts, in the order in which an exchange uses them.
    pub parts: Vec<MemoryPart>,
}

impl MemoryBound {
    /// The sum of all parts, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.parts
            .iter()
            .fold(0, |sum, part| sum.saturating_add(part.bytes))
    }
}

/// One kind of memory and its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPart {
    /// The purpose of this memory.
    pub name: &'static str,
    /// Its limit in bytes.
    pub bytes: u64,
    /// The calculation, in terms of the configuration's keys.
    pub because: String,
}

/// The load on one sink at a given traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkLoad {
    /// The sink's name.
    pub sink: Arc<str>,
    /// Traces per second.
    pub traces_per_second: f64,
    /// Bytes per second, before compression.
    pub bytes_per_second: f64,
    /// Bytes per day of 24 hours, before compression.
    pub bytes_per_day: f64,
}

impl Config {
    /// Upper bound of the memory for buffers, bodies and traces together. Code, allocator slack and
    /// idle pools are not included.
    pub fn memory_bound(&self) -> MemoryBound {
        let batch = &self.export.batch;
        let in_flight = batch.max_bytes.max(batch.max_trace);
        let destinations = self.destinations();
        let threads = self.export.encoders.threads;
        let connections = self.limits.connections;
        let per_side = bytes(self.limits.head_bytes).saturating_add(CONNECTION_BUFFERS_BYTES);
        let per_request = RETRY_BUFFER_BYTES + STREAM_END_BYTES;
        let per_connection = per_side.saturating_mul(2) + per_request;
        let part = |name, bytes, because| MemoryPart {
            name,
            bytes,
            because,
        };
        MemoryBound {
            parts: vec![
                part(
                    "connections",
                    bytes(connections).saturating_mul(per_connection),
                    format!(
                        "limits.connections ({connections}) x (2 sides x (limits.head_bytes + {} KiB of buffers) + {} KiB kept for a retry + {} KiB of a stream's end)",
                        CONNECTION_BUFFERS_BYTES >> 10,
                        RETRY_BUFFER_BYTES >> 10,
                        STREAM_END_BYTES >> 10
                    ),
                ),
                part(
                    "bodies being captured",
                    bytes(self.limits.capture_bytes),
                    "limits.capture_bytes".to_owned(),
                ),
                part(
                    "exchanges in the queue",
                    bytes(self.export.queue.max_bytes),
                    "export.queue.max_bytes".to_owned(),
                ),
                part(
                    "encoders",
                    bytes(threads).saturating_mul(2 * bytes(batch.max_trace)),
                    format!(
                        "export.encoders.threads ({threads}) x (opened bodies and encoded trace, export.batch.max_trace each)"
                    ),
                ),
                part(
                    "batches",
                    bytes(destinations)
                        .saturating_mul(bytes(batch.max_bytes).saturating_add(bytes(in_flight))),
                    format!(
                        "destinations ({destinations}) x (one that fills or is read from disk, export.batch.max_bytes, and one in flight, which may be a single trace of export.batch.max_trace)"
                    ),
                ),
            ],
        }
    }

    /// The load on each sink at `rps` requests per second with `body_bytes` of request and response
    /// body each. Pessimistic: all traffic is assumed to go to the route that loads the sink most,
    /// because the routes' shares are not known here.
    pub fn sink_load(&self, rps: f64, body_bytes: u64) -> Vec<SinkLoad> {
        let load = |sink: &Sink| {
            let routes = self.routes.iter().filter(|route| {
                route.capture.level != CaptureLevel::Off && route.sinks.contains(&sink.name)
            });
            let (mut traces_per_second, mut bytes_per_second) = (0.0_f64, 0.0_f64);
            let mut bytes_per_day = 0.0_f64;
            for route in routes {
                let body = match route.capture.level {
                    CaptureLevel::Full => body_bytes.min(2 * bytes(route.capture.max_body)),
                    CaptureLevel::Metadata | CaptureLevel::Off => 0,
                };
                let trace = body.saturating_add(TRACE_OVERHEAD_BYTES) as f64;
                let traces = route.sampling.traces_per_second(rps);
                traces_per_second = traces_per_second.max(traces);
                bytes_per_second = bytes_per_second.max(traces * trace);
                let daily = route.sampling.traces_per_day(traces, body);
                bytes_per_day = bytes_per_day.max(daily * trace);
            }
            SinkLoad {
                sink: sink.name.clone(),
                traces_per_second,
                bytes_per_second,
                bytes_per_day,
            }
        };
        self.export.sinks.iter().map(load).collect()
    }

    /// The number of destinations, each with batches of its own: sinks, and for MLflow the
    /// experiments of each.
    pub fn destinations(&self) -> usize {
        let mut destinations = BTreeSet::new();
        for route in &self.routes {
            for sink in &self.export.sinks {
                if route.capture.level == CaptureLevel::Off || !route.sinks.contains(&sink.name) {
                    continue;
                }
                let experiment = match sink.kind {
                    SinkKind::Mlflow(_) => Some(&route.trace.experiment),
                    SinkKind::Otlp(_) => None,
                };
                destinations.insert((&sink.name, experiment));
            }
        }
        destinations.len()
    }
}

/// Lossless, because no platform's `usize` is wider.
fn bytes(bytes: usize) -> u64 {
    bytes as u64
}
