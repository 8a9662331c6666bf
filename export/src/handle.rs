//! The door from the request path to the background. It never waits and parses nothing.
//!
//! An offer checks the budget, then pushes to a lock-free ring: some atomic instructions and
//! one allocation, and no system call. There is no wake-up per offer either. The encoders
//! look by themselves (every 10 ms while there is work, every 50 ms at rest), and an offer
//! wakes them only when it brings the queue past a quarter of a limit: until then the ring has
//! room for what comes before they look, and from there on they are at work or limited by a
//! sink that no wake-up would speed up.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use offpath_trace::{Chunk, Exchange, Headers};

use crate::accounting::Account;
use crate::budget::{Budget, Ticket};
use crate::degrade::{Degraded, drop_bodies};
use crate::health::Health;
use crate::shelf::Shelf;
use crate::status::QueueStatus;
use crate::{DropReason, Status};

/// Gives exchanges to the background. Cheap to clone, and the same for every route.
#[derive(Clone)]
pub struct Handle {
    queue: Arc<Queue>,
}

/// What the request path and the background share.
pub(crate) struct Queue {
    ring: ArrayQueue<Box<Waiting>>,
    pub(crate) budget: Arc<Budget>,
    /// By `Plan::index`; behind them those of routes that are gone.
    pub(crate) accounts: Vec<Arc<Account>>,
    pub(crate) destinations: Vec<Destination>,
    /// Whether an offer was refused since an encoder last looked: they log the edge.
    pub(crate) refusing: AtomicBool,
    state: AtomicU8,
    /// Until when traces are sent; set with the close, and perhaps moved forward.
    stop_at: Mutex<Option<Instant>>,
    encoders: OnceLock<Vec<Thread>>,
}

/// A destination as `/status` sees it.
pub(crate) struct Destination {
    pub(crate) health: Arc<Health>,
    pub(crate) shelf: Option<Arc<Shelf>>,
}

/// An exchange in the ring.
pub(crate) struct Waiting {
    pub(crate) exchange: Exchange,
    pub(crate) ticket: Ticket,
    pub(crate) since: Instant,
    pub(crate) degraded: Option<Degraded>,
}

/// After the time to send, encoders have this long to bring what is left to disk.
const SPOOLING: Duration = Duration::from_secs(10);

const OPEN: u8 = 0;
/// No offer is taken any more; encoders finish what is there.
const CLOSED: u8 = 1;
/// The encoders are gone: whoever finds an exchange in the ring drops it.
const SWEPT: u8 = 2;

impl Handle {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// Takes an exchange that is kept, or may be by its content, or drops it and counts why.
    /// Never waits.
    pub fn offer(&self, exchange: Exchange) {
        self.queue.offer(exchange);
    }

    /// Counts an exchange that is not kept, of the route at this place in the configuration.
    pub fn passed_over(&self, index: usize) {
        let account = self.queue.accounts.get(index);
        account.into_iter().for_each(|account| account.not_kept());
    }

    /// The accounts and the sinks at this moment. Not for the request path: it allocates.
    pub fn status(&self) -> Status {
        let budget = &self.queue.budget;
        let queue = QueueStatus {
            traces: budget.traces(),
            bytes: budget.bytes(),
            max_traces: budget.max_traces,
            max_bytes: budget.max_bytes,
        };
        let accounts = self.queue.accounts.iter();
        let routes = accounts.map(|account| account.status()).collect();
        let destination = |destination: &Destination| {
            let mut status = destination.health.status();
            status.spool = destination.shelf.as_ref().map(|shelf| shelf.status());
            status
        };
        let destinations = self.queue.destinations.iter().map(destination).collect();
        Status {
            queue,
            routes,
            destinations,
        }
    }
}

impl Queue {
    pub(crate) fn new(
        budget: Arc<Budget>,
        accounts: Vec<Arc<Account>>,
        destinations: Vec<Destination>,
    ) -> Arc<Self> {
        Arc::new(Self {
            ring: ArrayQueue::new(budget.max_traces.max(1)),
            budget,
            accounts,
            destinations,
            refusing: AtomicBool::new(false),
            state: AtomicU8::new(OPEN),
            stop_at: Mutex::new(None),
            encoders: OnceLock::new(),
        })
    }

    /// Whom an offer wakes.
    pub(crate) fn attach(&self, encoders: Vec<Thread>) {
        self.encoders.get_or_init(|| encoders);
    }

    fn offer(&self, exchange: Exchange) {
        let Some(account) = self.accounts.get(exchange.plan.index) else {
            debug_assert!(
                false,
                "a plan's index is a route's place in the configuration"
            );
            return;
        };
        if let Some(because) = exchange.kept {
            account.kept(because);
        }
        if self.is_closed() {
            refuse(account, exchange.kept.is_some(), DropReason::Shutdown);
        } else {
            self.enqueue(account, exchange);
        }
    }

    fn enqueue(&self, account: &Account, mut exchange: Exchange) {
        let decided = exchange.kept.is_some();
        let mut degraded = None;
        let mut taken = self.budget.take(pinned_bytes(&exchange));
        if taken.as_ref().err() == Some(&DropReason::QueueBytes) {
            degraded = Some(Degraded::Queue);
            drop_bodies(&mut exchange);
            taken = self.budget.take(pinned_bytes(&exchange));
        }
        let (ticket, crossed) = match taken {
            Ok(taken) => taken,
            Err(reason) => {
                // A load first: a store by every offer would bounce the line between cores.
                if !self.refusing.load(Ordering::Relaxed) {
                    self.refusing.store(true, Ordering::Relaxed);
                }
                return refuse(account, decided, reason);
            }
        };
        if decided {
            account.queued();
        }
        let waiting = Box::new(Waiting {
            exchange,
            ticket,
            since: Instant::now(),
            degraded,
        });
        if self.ring.push(waiting).is_err() {
            // Cannot be: the ring holds as many as there are tickets.
            drop_queued(account, decided, DropReason::QueueFull);
        }
        if crossed {
            self.wake();
        }
        // The encoders may have left between the first look at the state and the push.
        if self.state.load(Ordering::SeqCst) == SWEPT {
            self.sweep();
        }
    }

    pub(crate) fn pop(&self) -> Option<Box<Waiting>> {
        self.ring.pop()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) != OPEN
    }

    /// Whether the time to send is up.
    pub(crate) fn is_overdue(&self) -> bool {
        self.is_past(Duration::ZERO)
    }

    /// Whether the encoders' time is up: with a disk they go on for a while.
    pub(crate) fn is_over(&self) -> bool {
        let on_disk = self.destinations.iter().any(|found| found.shelf.is_some());
        self.is_past(if on_disk { SPOOLING } else { Duration::ZERO })
    }

    fn is_past(&self, more: Duration) -> bool {
        let stop_at = *self.stop_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_closed() && stop_at.is_some_and(|at| Instant::now() >= at + more)
    }

    /// Takes no more offers and lets the encoders know until when traces are sent. Called again,
    /// the earlier time holds.
    pub(crate) fn close(&self, stop_at: Instant) {
        let mut at = self.stop_at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = Some(at.map_or(stop_at, |before| before.min(stop_at)));
        drop(at);
        self.state.fetch_max(CLOSED, Ordering::SeqCst);
        self.wake();
    }

    /// Drops what the encoders left behind. They are gone.
    pub(crate) fn sweep(&self) {
        self.state.fetch_max(SWEPT, Ordering::SeqCst);
        while let Some(waiting) = self.pop() {
            if let Some(account) = self.accounts.get(waiting.exchange.plan.index) {
                let decided = waiting.exchange.kept.is_some();
                drop_queued(account, decided, DropReason::Shutdown);
            }
        }
    }

    fn wake(&self) {
        self.encoders
            .get()
            .into_iter()
            .flatten()
            .for_each(Thread::unpark);
    }
}

/// Counts an exchange that did not get into the queue.
fn refuse(account: &Account, decided: bool, reason: DropReason) {
    if decided {
        account.refused(reason);
    } else {
        account.undecided_dropped();
    }
}

/// Counts an exchange that is lost on its way through the queue.
pub(crate) fn drop_queued(account: &Account, decided: bool, reason: DropReason) {
    if decided {
        account.claims().for_each(|claim| claim.dropped(reason));
    } else {
        account.undecided_dropped();
    }
}

/// What an exchange holds in memory: what its bodies pin, its header fields and itself.
fn pinned_bytes(exchange: &Exchange) -> usize {
    let mut bytes = size_of::<Waiting>();
    let mut fields = |headers: &Headers| bytes += headers.memory();
    fields(&exchange.request.headers);
    let mut chunks = exchange.request.body.chunks.capacity();
    if let Some(response) = &exchange.response {
        fields(&response.headers);
        response.trailers.iter().for_each(&mut fields);
        chunks += response.body.chunks.capacity();
    }
    let bodies = match &exchange.charge {
        Some(charge) => charge.bytes(),
        None => usize::try_from(exchange.kept_bytes()).unwrap_or(usize::MAX),
    };
    bytes
        .saturating_add(chunks * size_of::<Chunk>())
        .saturating_add(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::tests::stub::{PATIENCE, Stub};
    use crate::tests::support::{Export, config, exchange, plan};

    #[test]
    fn offers_that_bring_the_queue_past_a_quarter_wake_the_encoders() {
        let queue = Queue::new(Budget::new(8, 1 << 20), Vec::new(), Vec::new());
        let (woken, wakes) = std::sync::mpsc::sync_channel(1);
        let (slept, asleep) = std::sync::mpsc::sync_channel(1);
        let sleeper = std::thread::spawn(move || {
            slept.send(()).unwrap();
            std::thread::park();
            woken.send(()).unwrap();
        });
        queue.attach(vec![sleeper.thread().clone()]);
        asleep.recv().unwrap();
        let plan = plan();
        let config = config(&Stub::willing());
        let metrics = Metrics::register(&prometheus::Registry::new(), &queue.budget).unwrap();
        let account = Account::new(&config.routes[0], &metrics);
        for id in 1..=2 {
            queue.enqueue(&account, exchange(&plan, id, "{}".into()));
        }
        // Nobody else ever wakes it.
        wakes.recv_timeout(PATIENCE).unwrap();
    }

    #[test]
    fn an_offer_that_the_end_overtakes_is_counted() {
        let stub = Stub::willing();
        let Export {
            handle,
            pipeline,
            door,
            ..
        } = Export::open(&config(&stub));
        drop(pipeline);
        // The offer saw an open queue; the encoders left before it pushed.
        let account = handle.queue.accounts.first().unwrap();
        account.kept(offpath_trace::KeptBecause::Ratio);
        handle
            .queue
            .enqueue(account, exchange(&door.plan, 1, "{}".into()));
        let sink = handle.status().routes.remove(0).sinks.remove(0);
        assert_eq!(sink.dropped, [("shutdown", 1)].into());
        assert_eq!((sink.pending.queue, handle.status().queue.bytes), (0, 0));
    }
}
