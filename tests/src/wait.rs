//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// What does not happen within this does not happen. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The value of `future`; panics with `what` where it does not come.
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{place}: waited {PATIENCE:?} in vain: {what}"),
        }
    }
}

/// Asks until there is an answer.
#[track_caller]
pub fn eventually<T, F, A>(what: &str, mut ask: F) -> impl Future<Output = T>
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "{place}: waited {PATIENCE:?} in vain: {what}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}
