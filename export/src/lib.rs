//! The background: queue, encoders, batches, sinks.
