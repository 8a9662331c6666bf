//! The background as a whole: opened from a configuration, drained at shutdown.

use std::sync::Arc;
use std::time::Duration;

use offpath_config::Config;
use prometheus::Registry;

use crate::Handle;
use crate::accounting::Account;
use crate::budget::Budget;
use crate::handle::Queue;
use crate::metrics::Metrics;

/// Why the background could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A metric of this crate is registered already.
    #[error("cannot register the export's metrics")]
    Metrics(#[from] prometheus::Error),
}

/// What a [`Pipeline::drain`] did, in traces per sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Confirmed by a sink while draining.
    pub delivered: u64,
    /// Dropped while draining, for whatever reason.
    pub dropped: u64,
}

/// The owner of the background threads. Dropped without [`drain`](Self::drain), it stops at
/// once, and what is pending counts as dropped.
pub struct Pipeline {
    queue: Arc<Queue>,
}

/// Opens the background for a configuration.
///
/// # Errors
/// See [`OpenError`].
pub fn open(config: &Config, registry: &Registry) -> Result<(Handle, Pipeline), OpenError> {
    let export = &config.export;
    let budget = Budget::new(export.queue.max_traces, export.queue.max_bytes);
    let metrics = Metrics::register(registry, &budget)?;
    let accounts = config
        .routes
        .iter()
        .map(|route| Account::new(route, &metrics))
        .collect();
    let queue = Queue::new(budget, accounts, Vec::new());
    Ok((Handle::new(Arc::clone(&queue)), Pipeline { queue }))
}

impl Pipeline {
    /// Takes no more offers, delivers what is pending, and returns by about the deadline; what
    /// is not confirmed by then counts as dropped.
    pub fn drain(self, deadline: Duration) -> Drained {
        let _ = deadline;
        let before = self.settled();
        self.queue.close();
        self.queue.sweep();
        let after = self.settled();
        Drained {
            delivered: after.0 - before.0,
            dropped: after.1 - before.1,
        }
    }

    fn settled(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), account: &Account| {
            let (exported, dropped) = account.settled();
            (sum.0 + exported, sum.1 + dropped)
        };
        self.queue.accounts.iter().fold((0, 0), add)
    }
}
