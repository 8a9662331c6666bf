//! One destination's worker: batches what comes in, and delivers one batch at a time.
//!
//! It ends when its inbox is closed and everything is settled. Aborted, it lets go of its
//! parcels, whose claims then count as `shutdown`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Histogram;
use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use crate::DropReason;
use crate::batch::Batcher;
use crate::health::Health;
use crate::record::Parcel;
use crate::retry::{Answer, Backoff, Delivery, Step};
use crate::sink::Sink;
use crate::status::DestinationState;

/// How many parcels are moved at one time.
const PARCELS_AT_ONCE: usize = 64;

/// What one worker works with.
pub(crate) struct Worker {
    pub(crate) inbox: mpsc::Receiver<Parcel>,
    pub(crate) batcher: Batcher<Parcel>,
    pub(crate) sink: Sink,
    pub(crate) health: Arc<Health>,
    pub(crate) backoff: Backoff,
    pub(crate) give_up_after: Duration,
    /// Says so when the pipeline drains: pauses are cut short.
    pub(crate) draining: watch::Receiver<Option<Instant>>,
    pub(crate) seconds: Histogram,
}

impl Worker {
    pub(crate) async fn run(mut self) {
        let mut open = true;
        while open {
            open = self.collect().await;
            while let Some(batch) = self.batcher.take(Instant::now(), !open) {
                self.deliver(batch).await;
                self.collect_waiting();
            }
        }
    }

    /// Waits for parcels, or until a batch is due. `false`: there will be no more.
    async fn collect(&mut self) -> bool {
        let due = self.batcher.due();
        let linger = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let mut parcels = Vec::with_capacity(PARCELS_AT_ONCE);
        tokio::select! {
            count = self.inbox.recv_many(&mut parcels, PARCELS_AT_ONCE) => {
                parcels.into_iter().for_each(|parcel| self.push(parcel));
                count > 0
            }
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

    /// Sends a batch until each of its traces is settled.
    async fn deliver(&mut self, mut batch: Vec<Parcel>) {
        batch.iter_mut().for_each(|parcel| parcel.claim.depart());
        let mut delivery = Delivery::new(batch, self.backoff);
        let mut refusals = Refusals::default();
        let mut payload = None;
        loop {
            if self.expire(&mut delivery) {
                payload = None;
            }
            let Some(piece) = delivery.current() else {
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
            match delivery.answered(&answer, rand::random()) {
                Step::Wait(pause) => {
                    if self.pause(pause).await {
                        delivery.hurry();
                    }
                    continue;
                }
                Step::Exported(parcels) => {
                    parcels
                        .into_iter()
                        .for_each(|parcel| parcel.claim.exported());
                }
                Step::Rejected(parcel) => refusals.add(parcel, answer),
                Step::Split => {}
            }
            payload = None;
        }
        refusals.report();
    }

    /// Gives up what is too old; whether there was any.
    fn expire(&self, delivery: &mut Delivery<Parcel>) -> bool {
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
