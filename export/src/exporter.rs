//! The exporter thread: runs every destination's worker, on a runtime of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;

use crate::encoder::lower_priority;
use crate::shelf::Shelf;
use crate::worker::Worker;

/// How often the spool's books are saved, and its records brought to the device.
const BOOKS_EVERY: Duration = Duration::from_secs(1);
/// Workers have this long after the end to put away what they hold.
const PUTTING_AWAY: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when all workers have, at the latest soon after the time that
/// `stop` says; what a worker still holds then is let go of, and so counted.
pub(crate) fn spawn(
    workers: Vec<Worker>,
    shelves: Vec<Arc<Shelf>>,
    nice: i32,
    stop: watch::Receiver<Option<Instant>>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("offpath-export".to_owned())
        .spawn(move || {
            lower_priority(nice);
            runtime.block_on(run(workers, shelves, stop));
            // Not a plain drop: it would wait for a name look-up that hangs.
            runtime.shutdown_background();
        })
}

async fn run(
    workers: Vec<Worker>,
    shelves: Vec<Arc<Shelf>>,
    mut stop: watch::Receiver<Option<Instant>>,
) {
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
        () = keep_books(shelves) => {}
        () = time_up(&mut stop, PUTTING_AWAY) => {}
    }
    tasks.shutdown().await;
}

/// Never ends. A disk that hangs holds up a thread of its own.
async fn keep_books(shelves: Vec<Arc<Shelf>>) {
    let mut ticks = tokio::time::interval(BOOKS_EVERY);
    loop {
        ticks.tick().await;
        for shelf in &shelves {
            let shelf = Arc::clone(shelf);
            let kept = tokio::task::spawn_blocking(move || {
                shelf.sync();
                shelf.save();
            });
            if let Err(panic) = kept.await {
                error!(%panic, "The spool's books were not saved.");
            }
        }
    }
}

/// Ends so long after the time that `stop` says, whichever it says last; at once when nobody can
/// say one any more.
pub(crate) async fn time_up(stop: &mut watch::Receiver<Option<Instant>>, more: Duration) {
    loop {
        let at = *stop.borrow_and_update();
        let over = async {
            match at {
                Some(at) => tokio::time::sleep_until((at + more).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => return,
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
