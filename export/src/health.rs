//! How one destination does: written by its worker, read by `/status`.
//!
//! A change of state is logged once; the attempts in between are only counted.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use crate::status::{DestinationState, DestinationStatus};

/// The shared state of a destination. Only the background and `/status` take its lock.
#[derive(Debug)]
pub(crate) struct Health(Mutex<DestinationStatus>);

impl Health {
    pub(crate) fn new(sink: Arc<str>, target: Arc<str>, experiment: Option<Arc<str>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(DestinationStatus {
            sink,
            target,
            experiment,
            experiment_id: None,
            state: DestinationState::Unused,
            failures: 0,
            last_error: None,
            spool: None,
        })))
    }

    pub(crate) fn status(&self) -> DestinationStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the destination did not take the last batch.
    pub(crate) fn is_down(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .failures
            > 0
    }

    /// The experiment's id is known, or no longer.
    pub(crate) fn experiment_id(&self, id: Option<Arc<str>>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .experiment_id = id;
    }

    /// An answer that shows the destination at work.
    pub(crate) fn up(&self) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, failures) = (status.state, status.failures);
        status.state = DestinationState::Up;
        status.failures = 0;
        if matches!(before, DestinationState::Down | DestinationState::Denied) {
            info!(
                sink = &*status.sink,
                experiment = status.experiment.as_deref(),
                failures,
                "Sink takes traces again."
            );
        }
    }

    /// A failure that is not one trace's fault.
    pub(crate) fn failing(&self, state: DestinationState, error: &str) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = status.state;
        status.state = state;
        status.failures += 1;
        status.last_error = Some(error.into());
        if before != state {
            warn!(
                sink = &*status.sink,
                target = &*status.target,
                experiment = status.experiment.as_deref(),
                error,
                "Sink takes no traces; trying again."
            );
        }
    }
}
