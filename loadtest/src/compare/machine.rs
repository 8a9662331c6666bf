//! What else ran: figures without it cannot be judged later.

use serde::Serialize;

/// The machine at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Mean number of runnable threads over the last minute; absent where the system tells none.
    pub load_average: Option<f64>,
}

impl Machine {
    /// Reads it now.
    #[must_use]
    pub fn now() -> Self {
        let loadavg = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let minute = loadavg.split_ascii_whitespace().next();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load_average: minute.and_then(|minute| minute.parse().ok()),
        }
    }
}
