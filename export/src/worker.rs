//! One destination's worker: batches what comes in, and delivers one batch at a time.
//!
//! It ends when its inbox is closed and everything is settled, or when the time to send is up.
//! Then what it holds goes to disk; without one its claims, let go of, count as `shutdown`.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Histogram;
use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use crate::DropReason;
use crate::batch::{Batcher, Limits};
use crate::exporter::time_up;
use crate::health::Health;
use crate::record::{Origin, Parcel};
use crate::retry::{Answer, Backoff, Delivery, Step};
use crate::shelf::{Shelf, Taken};
use crate::sink::Sink;
use crate::spool::Position;
use crate::status::DestinationState;

/// How many parcels are moved at one time.
const PARCELS_AT_ONCE: usize = 64;
/// After so many failures in a row a part of the disk counts as unreadable.
const READ_FAILURES_MAX: u32 = 5;

/// What one worker works with.
pub(crate) struct Worker {
    pub(crate) inbox: mpsc::Receiver<Parcel>,
    pub(crate) batcher: Batcher<Parcel>,
    pub(crate) limits: Limits,
    pub(crate) sink: Sink,
    pub(crate) health: Arc<Health>,
    pub(crate) backoff: Backoff,
    pub(crate) give_up_after: Duration,
    /// Says so when the pipeline drains: pauses are cut short.
    pub(crate) draining: watch::Receiver<Option<Instant>>,
    pub(crate) seconds: Histogram,
    pub(crate) disk: Option<DiskSide>,
    pub(crate) hand: Hand,
}

/// The disk as a worker reads it.
pub(crate) struct DiskSide {
    shelf: Arc<Shelf>,
    backoff: Backoff,
    failures: u32,
    /// Not before then.
    again_at: Option<Instant>,
}

/// The batch that is being delivered. It lies here rather than in the future that delivers it,
/// so that it outlives that one's end.
#[derive(Default)]
pub(crate) struct Hand {
    delivery: Option<Delivery<Parcel>>,
    /// Those of its records on disk that are settled.
    settled: Vec<Position>,
}

/// How a delivery went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Settled,
    /// The destination fails, and there is a disk to leave the rest on.
    LeftOver,
}

impl Worker {
    pub(crate) async fn run(mut self) {
        let mut stop = self.draining.clone();
        tokio::select! {
            () = self.work() => {}
            () = time_up(&mut stop, Duration::ZERO) => {}
        }
        self.put_away();
    }

    /// Memory and disk take turns, so that neither waits for the other to be empty.
    async fn work(&mut self) {
        let mut open = true;
        loop {
            let mut delivered = false;
            if let Some(batch) = self.batcher.take(Instant::now(), !open) {
                delivered = true;
                if self.deliver(batch).await == Ended::LeftOver {
                    return;
                }
            }
            self.collect_waiting();
            if let Some(taken) = self.take_from_disk(!open).await {
                delivered = true;
                if self.deliver(taken.parcels).await == Ended::LeftOver {
                    return;
                }
                self.hand.settled.clear();
                if let Some(disk) = &self.disk {
                    disk.shelf.settled(taken.next);
                }
            }
            if !delivered {
                if !open {
                    return;
                }
                open = self.collect().await;
            }
        }
    }

    /// Waits for parcels, or until a batch is due. `false`: there will be no more.
    async fn collect(&mut self) -> bool {
        let disk_due = self.disk.as_ref().and_then(|disk| disk.due(&self.limits));
        let due = [self.batcher.due(), disk_due].into_iter().flatten().min();
        let linger = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let arrived = async {
            match &self.disk {
                Some(disk) => disk.shelf.arrived().await,
                None => std::future::pending().await,
            }
        };
        let mut parcels = Vec::with_capacity(PARCELS_AT_ONCE);
        tokio::select! {
            count = self.inbox.recv_many(&mut parcels, PARCELS_AT_ONCE) => {
                parcels.into_iter().for_each(|parcel| self.push(parcel));
                count > 0
            }
            () = arrived => true,
            () = linger => true,
        }
    }

    /// Takes in what came while a batch was on its way.
    fn collect_waiting(&mut self) {
        while let Ok(parcel) = self.inbox.try_recv() {
            self.push(parcel);
        }
    }

    fn push(&mut self, parcel: Parcel) {
        let bytes = self.sink.framed_bytes(parcel.record.bytes.len());
        let since = parcel.record.encoded;
        self.batcher.push(parcel, bytes, since);
    }

    /// The next batch on disk, where one is due. A disk that hangs holds up this worker alone.
    async fn take_from_disk(&mut self, flush: bool) -> Option<Taken> {
        let disk = self.disk.as_mut()?;
        let now = Instant::now();
        let due = disk.due(&self.limits)?;
        if now < due && !(flush && disk.again_at.is_none()) {
            return None;
        }
        let shelf = Arc::clone(&disk.shelf);
        let (count, bytes) = (self.limits.max_traces, self.limits.max_bytes);
        let read = tokio::task::spawn_blocking(move || shelf.take(count, bytes));
        match read
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        {
            Ok(taken) => {
                (disk.failures, disk.again_at) = (0, None);
                Some(taken)
            }
            Err(error) => disk.failed(&error),
        }
    }

    /// Sends a batch until each of its traces is settled.
    async fn deliver(&mut self, mut batch: Vec<Parcel>) -> Ended {
        batch.iter_mut().for_each(|parcel| parcel.claim.depart());
        self.hand.delivery = Some(Delivery::new(batch, self.backoff));
        let mut refusals = Refusals::default();
        let mut payload = None;
        let mut ended = Ended::Settled;
        loop {
            if self.expire() {
                payload = None;
            }
            let piece = self.hand.delivery.as_ref().and_then(Delivery::current);
            let Some(piece) = piece else {
                break;
            };
            let body = payload.get_or_insert_with(|| {
                self.sink
                    .payload(piece.iter().map(|parcel| &parcel.record.bytes))
            });
            let timer = self.seconds.start_timer();
            let mut answer = self.sink.send(body).await;
            timer.observe_duration();
            if answer == Answer::Taken {
                let infos = piece.iter().filter_map(|parcel| parcel.record.info.clone());
                answer = self.sink.tell(infos).await;
            }
            self.note(&answer);
            match self.hand.answered(&answer) {
                Some(Step::Wait(pause)) => {
                    if self.disk.is_some() && self.draining.borrow().is_some() {
                        ended = Ended::LeftOver;
                        break;
                    }
                    if self.pause(pause).await {
                        self.hand.delivery.iter_mut().for_each(Delivery::hurry);
                    }
                    continue;
                }
                Some(Step::Exported(parcels)) => {
                    for parcel in parcels {
                        self.hand.note_settled(&parcel);
                        parcel.claim.exported();
                    }
                }
                Some(Step::Rejected(parcel)) => {
                    self.hand.note_settled(&parcel);
                    if let (Some(disk), Answer::Refused { words }) = (&self.disk, &answer) {
                        disk.shelf.set_aside(&parcel.record, words);
                    }
                    refusals.add(parcel, answer);
                }
                Some(Step::Split) | None => {}
            }
            payload = None;
        }
        refusals.report();
        ended
    }

    /// Gives up what is too old; whether there was any. With a disk nothing ever is.
    fn expire(&mut self) -> bool {
        let Some(delivery) = self.hand.delivery.as_mut().filter(|_| self.disk.is_none()) else {
            return false;
        };
        let now = Instant::now();
        let expired = delivery.expire(|parcel| now - parcel.record.offered >= self.give_up_after);
        if !expired.is_empty() {
            error!(
                traces = expired.len(),
                "Traces were dropped: the sink did not take them in time."
            );
        }
        let any = !expired.is_empty();
        expired
            .into_iter()
            .for_each(|parcel| parcel.claim.dropped(DropReason::GaveUp));
        any
    }

    fn note(&self, answer: &Answer) {
        match answer {
            Answer::Taken | Answer::Refused { .. } => self.health.up(),
            Answer::Busy { words, .. } => self.health.failing(DestinationState::Down, words),
            Answer::Denied { words } => self.health.failing(DestinationState::Denied, words),
        }
    }

    /// Waits, but not past the beginning of a drain; whether that came in between.
    async fn pause(&mut self, pause: Duration) -> bool {
        let begun = self.draining.borrow().is_some();
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            begins = self.draining.wait_for(Option::is_some), if !begun => begins.is_ok(),
        }
    }

    /// The end: what is only in memory goes to disk, what is there already stays.
    fn put_away(mut self) {
        self.inbox.close();
        self.collect_waiting();
        let Some(disk) = &self.disk else {
            return;
        };
        let settled = self.hand.settled.iter();
        settled.for_each(|at| disk.shelf.settled_alone(*at));
        let in_hand = self.hand.delivery.take().map(Delivery::into_rest);
        let waiting = std::iter::from_fn(|| self.batcher.take(Instant::now(), true)).flatten();
        for parcel in in_hand.into_iter().flatten().chain(waiting) {
            if matches!(parcel.origin, Origin::Memory(_)) && disk.shelf.put(&parcel.record) {
                parcel.claim.spooled();
            }
        }
    }
}

impl DiskSide {
    pub(crate) fn new(shelf: Arc<Shelf>, backoff: Backoff) -> Self {
        Self {
            shelf,
            backoff,
            failures: 0,
            again_at: None,
        }
    }

    /// When the next batch is due; `None` where nothing waits.
    fn due(&self, limits: &Limits) -> Option<Instant> {
        let (records, bytes, since) = self.shelf.waiting();
        let since = since.filter(|_| records > 0)?;
        let full = records >= limits.max_traces as u64 || bytes >= limits.max_bytes as u64;
        let due = if full { since } else { since + limits.linger };
        Some(self.again_at.map_or(due, |again| due.max(again)))
    }

    /// Tries again later, and goes on behind what cannot be read at all.
    fn failed(&mut self, error: &io::Error) -> Option<Taken> {
        self.failures += 1;
        if self.failures < READ_FAILURES_MAX {
            warn!(%error, "The spool cannot be read; trying again.");
            self.again_at = Some(Instant::now() + self.backoff.initial * self.failures);
            return None;
        }
        error!(%error, "A part of the spool cannot be read; its traces are lost.");
        (self.failures, self.again_at) = (0, None);
        Some(self.shelf.skip_unreadable())
    }
}

impl Hand {
    fn answered(&mut self, answer: &Answer) -> Option<Step<Parcel>> {
        let delivery = self.delivery.as_mut()?;
        Some(delivery.answered(answer, rand::random()))
    }

    fn note_settled(&mut self, parcel: &Parcel) {
        if let Origin::Disk(at) = parcel.origin {
            self.settled.push(at);
        }
    }
}

/// The traces of one batch that the sink refused: one warning for all of them.
#[derive(Default)]
struct Refusals {
    count: usize,
    first: Option<(offpath_trace::TraceId, String)>,
}

impl Refusals {
    fn add(&mut self, parcel: Parcel, answer: Answer) {
        self.count += 1;
        if let (None, Answer::Refused { words }) = (&self.first, answer) {
            self.first = Some((parcel.record.trace_id, words));
        }
        parcel.claim.dropped(DropReason::Rejected);
    }

    fn report(self) {
        if let Some((trace_id, answer)) = self.first {
            warn!(traces = self.count, first = %trace_id, answer, "Sink rejected traces.");
        }
    }
}
