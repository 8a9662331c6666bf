//! `routes[].latency_budget`: what offpath may add, and what it gives up to stay within.

use std::time::Duration;

use crate::{CaptureLevel, field::Field, units};

/// What offpath itself may add to a route's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyBudget {
    /// The 99th percentile of what offpath adds, waiting for a CPU included; more than 0.
    pub overhead_p99: Duration,
    /// What is captured while it adds more: less than everything.
    pub degrade_to: CaptureLevel,
}

/// `None` where there is none.
pub(crate) fn read(field: &Field<'_>) -> Option<LatencyBudget> {
    if !field.is_set() {
        return None;
    }
    let map = field.map();
    let levels = [
        ("metadata", CaptureLevel::Metadata),
        ("off", CaptureLevel::Off),
    ];
    let degrade_to = map
        .field("degrade_to")
        .choice(CaptureLevel::Metadata, &levels);
    Some(LatencyBudget {
        overhead_p99: map.field("overhead_p99").required(units::some_duration)?,
        degrade_to,
    })
}
