//! The exporter thread: runs every destination's worker, on a runtime of its own.

use std::io;
use std::time::Instant;

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;

use crate::encoder::lower_priority;
use crate::worker::Worker;

/// Starts the thread. It ends when all workers have, or at the time that `stop` says; what a
/// worker still holds then is let go of, and so counted.
pub(crate) fn spawn(
    workers: Vec<Worker>,
    nice: i32,
    stop: watch::Receiver<Option<Instant>>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("offpath-export".to_owned())
        .spawn(move || {
            lower_priority(nice);
            runtime.block_on(run(workers, stop));
            // Not a plain drop: it would wait for a name look-up that hangs.
            runtime.shutdown_background();
        })
}

async fn run(workers: Vec<Worker>, mut stop: watch::Receiver<Option<Instant>>) {
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(worker.run());
    }
    let all_end = async {
        while let Some(end) = tasks.join_next().await {
            if let Err(panic) = end {
                error!(%panic, "A sink's worker is gone; its traces are dropped.");
            }
        }
    };
    tokio::select! {
        () = all_end => {}
        () = time_up(&mut stop) => {}
    }
    tasks.shutdown().await;
}

/// Ends at the time that `stop` says, at once when nobody can say one any more.
async fn time_up(stop: &mut watch::Receiver<Option<Instant>>) {
    let at = stop.wait_for(Option::is_some).await.map_or(None, |at| *at);
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
