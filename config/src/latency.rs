//! `routes[].latency_budget`: how much time offpath may add, and what it captures beyond that.

use std::time::Duration;

use crate::{CaptureLevel, field::Field, kind};

/// How much time offpath may add to a route's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyBudget {
    /// Maximum 99th percentile of the time that offpath adds, including waiting for a CPU; more
    /// than 0.
    pub overhead_p99: Duration,
    /// The capture level while offpath adds more; never [`CaptureLevel::Full`].
    pub degrade_to: CaptureLevel,
}

/// `None` if the section is absent.
pub(crate) fn read(field: &Field<'_>) -> Option<LatencyBudget> {
    if !field.is_set() {
        return None;
    }
    let map = field.map();
    let levels = [
        ("metadata", CaptureLevel::Metadata),
        ("off", CaptureLevel::Off),
    ];
    let overhead_p99 = map
        .key("overhead_p99", "Maximum 99th percentile of the time that offpath spends before the response, including waiting for a CPU.")
        .example("1ms")
        .required(kind::positive_duration());
    let degrade_to = map
        .key(
            "degrade_to",
            "Capture level while offpath exceeds the budget.",
        )
        .or("metadata", kind::words(&levels));
    Some(LatencyBudget {
        overhead_p99: overhead_p99?,
        degrade_to,
    })
}
