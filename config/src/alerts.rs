//! `routes[].alerts`: thresholds that a route's live traffic is checked against.

use std::time::Duration;

use crate::{field::Field, kind, reader};

/// Thresholds over a moving window of all requests of a route, kept or not. A threshold that is
/// `None` is not checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    /// The length of the window; more than zero.
    pub window: Duration,
    /// With fewer requests in the window no alert is raised.
    pub min_requests: u64,
    /// Maximum share of requests that fail: status 400 and above, or an end that is the upstream's
    /// fault.
    pub max_error_rate: Option<f64>,
    /// Maximum share of requests whose client left before the answer was whole.
    pub max_client_left_rate: Option<f64>,
    /// Maximum median duration, from the request's head to the end.
    pub max_p50: Option<Duration>,
    /// Maximum 95th percentile of the duration.
    pub max_p95: Option<Duration>,
    /// Maximum 99th percentile of the duration.
    pub max_p99: Option<Duration>,
}

/// The section of a file that leaves it out.
impl Default for Alerts {
    fn default() -> Self {
        reader::absent(read)
    }
}

impl Alerts {
    /// Whether any threshold is set.
    pub fn any(&self) -> bool {
        self.max_error_rate.is_some()
            || self.max_client_left_rate.is_some()
            || self.max_p50.is_some()
            || self.max_p95.is_some()
            || self.max_p99.is_some()
    }
}

pub(crate) fn read(field: &Field<'_>) -> Alerts {
    let map = field.map();
    Alerts {
        window: map
            .key("window", "Length of the moving window that the thresholds are checked over.")
            .or("5m", kind::positive_duration()),
        min_requests: map
            .key("min_requests", "With fewer requests in the window, no alert is raised.")
            .or("20", kind::count().map(|count| count as u64)),
        max_error_rate: map
            .key("max_error_rate", "Maximum share of requests that fail: status 400 and above, or an end that is the upstream's fault.")
            .example("0.02")
            .optional(kind::ratio()),
        max_client_left_rate: map
            .key("max_client_left_rate", "Maximum share of requests whose client left before the answer was whole.")
            .example("0.1")
            .optional(kind::ratio()),
        max_p50: map
            .key("max_p50", "Maximum median duration of a request.")
            .example("2s")
            .optional(kind::duration()),
        max_p95: map
            .key("max_p95", "Maximum 95th percentile of the duration.")
            .example("10s")
            .optional(kind::duration()),
        max_p99: map
            .key("max_p99", "Maximum 99th percentile of the duration.")
            .example("30s")
            .optional(kind::duration()),
    }
}
