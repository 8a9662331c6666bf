//! `routes[].alerts`: what a route's traffic must keep to, live.

use std::time::Duration;

use crate::{field::Field, units};

/// Thresholds over a moving window of all requests of a route, kept or not. What is `None` is not
/// judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    /// How far the window goes back; more than zero.
    pub window: Duration,
    /// With fewer requests in the window there is no alert.
    pub min_requests: u64,
    /// Highest share of requests that fail: status 400 and above, or an end that is the upstream's fault.
    pub max_error_rate: Option<f64>,
    /// Highest share of requests whose client left before the answer was whole.
    pub max_client_left_rate: Option<f64>,
    /// Longest median, from the request's head to the end.
    pub max_p50: Option<Duration>,
    /// Longest time that 95 of 100 requests keep to.
    pub max_p95: Option<Duration>,
    /// Longest time that 99 of 100 requests keep to.
    pub max_p99: Option<Duration>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            min_requests: 20,
            max_error_rate: None,
            max_client_left_rate: None,
            max_p50: None,
            max_p95: None,
            max_p99: None,
        }
    }
}

impl Alerts {
    /// Whether there is a threshold at all.
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
    let default = Alerts::default();
    let count = |text: &str| units::count(text).map(|count| count as u64);
    Alerts {
        window: map.field("window").or(default.window, units::some_duration),
        min_requests: map.field("min_requests").or(default.min_requests, count),
        max_error_rate: map.field("max_error_rate").optional(units::ratio),
        max_client_left_rate: map.field("max_client_left_rate").optional(units::ratio),
        max_p50: map.field("max_p50").optional(units::duration),
        max_p95: map.field("max_p95").optional(units::duration),
        max_p99: map.field("max_p99").optional(units::duration),
    }
}
