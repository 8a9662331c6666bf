//! The load of the machine, without which figures cannot be judged later.

use serde::Serialize;

/// The state of the machine at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Machine {
    /// Number of cores that this process may use.
    pub cores: usize,
    /// Mean number of runnable threads over the last minute; absent if the system does not report
    /// it.
    pub load_average: Option<f64>,
}

impl Machine {
    /// Reads the current state.
    #[must_use]
    pub fn now() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load_average: load_average(),
        }
    }
}

fn load_average() -> Option<f64> {
    let averages = std::fs::read_to_string("/proc/loadavg").ok()?;
    averages.split_ascii_whitespace().next()?.parse().ok()
}
