//! The signals that end the process, heard from its start to its end on a thread of their own.
//!
//! The first drains; the second cuts what is under way, and has what is kept go to disk.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::warn;

/// How often the process was asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stops(watch::Receiver<u32>);

/// Who is told of the second request to stop.
pub(crate) type OnSecond = Box<dyn Fn() + Send>;

/// Begins to listen. The thread ends with the process.
pub(crate) fn listen(on_second: OnSecond) -> anyhow::Result<Stops> {
    let (count, stops) = watch::channel(0);
    let (ready, is_ready) = sync_channel(1);
    thread::Builder::new()
        .name("offpath-signals".to_owned())
        .spawn(move || run(&count, &on_second, &ready))
        .context("cannot start the thread that listens for signals")?;
    is_ready.recv().context("cannot listen for signals")??;
    Ok(Stops(stops))
}

fn run(count: &watch::Sender<u32>, on_second: &OnSecond, ready: &SyncSender<anyhow::Result<()>>) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let listening = runtime
        .context("cannot listen for signals")
        .and_then(|runtime| {
            let _entered = runtime.enter();
            let signals = Signals::listen()?;
            Ok((runtime, signals))
        });
    let (runtime, mut signals) = match listening {
        Ok(listening) => listening,
        // The other side waits for this very word.
        Err(error) => return drop(ready.send(Err(error))),
    };
    drop(ready.send(Ok(())));
    runtime.block_on(async {
        // Ends with the last who is interested: in a demo the process goes on.
        while !count.is_closed() {
            tokio::select! {
                () = signals.stop() => count.send_modify(|count| *count += 1),
                () = count.closed() => return,
            }
            if *count.borrow() == 2 {
                on_second();
            }
        }
    });
}

impl Stops {
    /// Ends when the process was asked to stop so many times.
    pub(crate) async fn times(&self, times: u32) {
        let mut stops = self.0.clone();
        if stops.wait_for(|count| *count >= times).await.is_err() {
            std::future::pending().await
        }
    }

    /// How many times it was.
    pub(crate) fn count(&self) -> u32 {
        *self.0.borrow()
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => warn!("SIGHUP: reload is not yet supported."),
            }
        }
    }
}
