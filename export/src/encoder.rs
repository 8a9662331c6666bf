//! Encoder threads: an exchange from the ring becomes a record in its destinations' inboxes.
//!
//! They run at low priority, on cores that they share with the request path. They look for work
//! by themselves, because the request path wakes nobody (see [`handle`](crate::handle)).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use offpath_trace::{Defect, Exchange, KeptBecause, Trace, TraceId, Value};
use prometheus::{Histogram, IntCounter, IntCounterVec};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::DropReason;
use crate::accounting::Account;
use crate::budget::Ticket;
use crate::handle::{Queue, Waiting};
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::otlp::Encodable;
use crate::preview::{TRACE_TOO_LARGE, shrink};
use crate::record::{Parcel, Record};
use crate::sink;

/// An exchange to a trace: [`offpath_trace::decode`], but for tests.
pub(crate) type Decode = fn(&Exchange) -> (Trace, Vec<Defect>);

/// How soon a thread looks again after it found the ring empty.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How soon it looks again when it keeps finding nothing.
const LOOK_AGAIN_AT_REST: Duration = Duration::from_millis(50);

/// What one encoder thread works with.
#[derive(Clone)]
pub(crate) struct Encoder {
    pub(crate) queue: Arc<Queue>,
    /// By `Plan::index`. When the last encoder is gone, the inboxes close.
    pub(crate) lanes: Arc<[Lane]>,
    pub(crate) decode: Decode,
    /// `batch.max_trace`.
    pub(crate) trace_bytes_max: usize,
    pub(crate) nice: i32,
    pub(crate) seconds: Histogram,
    pub(crate) defects: IntCounterVec,
    pub(crate) redactions: IntCounterVec,
}

/// Where a route's traces go on.
pub(crate) struct Lane {
    /// One per sink of the route, in the route's order.
    pub(crate) inboxes: Vec<mpsc::Sender<Parcel>>,
    pub(crate) tokens: Tokens,
    /// What may keep an exchange by its content.
    pub(crate) judge: Option<Judge>,
}

/// A route's token counters, by the attribute that holds the figure.
pub(crate) struct Tokens(Vec<(&'static str, IntCounter)>);

/// A trace that is encoded, and what was found on the way.
struct Encoded {
    trace_id: TraceId,
    info: Option<Bytes>,
    bytes: Bytes,
    defects: Vec<&'static str>,
}

/// Whether an exchange is kept, and its route's books.
struct Fate<'a> {
    account: &'a Account,
    kept: bool,
}

impl Fate<'_> {
    /// Keeps it, if it is not kept already.
    fn keep(&mut self, because: KeptBecause) {
        if !self.kept {
            self.kept = true;
            self.account.kept(because);
            self.account.queued();
        }
    }
}

impl Encoder {
    /// Works until the queue is closed and empty, or its time is up.
    pub(crate) fn run(self) {
        lower_priority(self.nice);
        let mut refusing = false;
        let mut pause = LOOK_AGAIN;
        while !self.queue.is_overdue() {
            // Asked before the look: what was offered before the close is seen by it.
            let closed = self.queue.is_closed();
            match self.queue.pop() {
                Some(waiting) => {
                    pause = LOOK_AGAIN;
                    self.handle(*waiting);
                }
                None if closed => return,
                None => {
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(LOOK_AGAIN_AT_REST);
                }
            }
            self.watch_refusals(&mut refusing);
        }
    }

    fn handle(&self, waiting: Waiting) {
        let Waiting {
            exchange,
            ticket,
            since,
        } = waiting;
        let index = exchange.plan.index;
        let (Some(account), Some(lane)) = (self.queue.accounts.get(index), self.lanes.get(index))
        else {
            return;
        };
        let seconds = self.seconds.start_timer();
        let mut fate = Fate {
            account,
            kept: exchange.kept.is_some(),
        };
        // The exchange is taken, and with it ends its share of the capture budget.
        let encoded = catch_unwind(AssertUnwindSafe(|| self.encode(exchange, lane, &mut fate)));
        drop(seconds);
        let encoded = match encoded {
            Ok(None) => return account.not_kept(),
            Ok(Some(encoded)) => encoded,
            Err(_) => Err(DropReason::EncodePanic),
        };
        if !fate.kept {
            return account.undecided_dropped();
        }
        let record = encoded.and_then(|encoded| self.record(encoded, since, ticket));
        for (claim, inbox) in account.claims().zip(&lane.inboxes) {
            match &record {
                Err(reason) => claim.dropped(*reason),
                // An inbox holds as many as there are tickets, and closes only when its worker
                // is gone; then the claim, let go of, counts as `shutdown`.
                Ok(record) => drop(inbox.try_send(Parcel {
                    record: Arc::clone(record),
                    claim,
                })),
            }
        }
    }

    /// `None`: it is not kept.
    fn encode(
        &self,
        exchange: Exchange,
        lane: &Lane,
        fate: &mut Fate<'_>,
    ) -> Option<Result<Encoded, DropReason>> {
        let (mut trace, defects) = (self.decode)(&exchange);
        lane.tokens.count(&trace);
        let judge = lane.judge.as_ref();
        let taken = judge.and_then(|judge| judge.take(&exchange, &trace, Instant::now()));
        if let Some((because, weight)) = taken {
            trace.keep(because, weight);
            fate.keep(because);
        }
        drop(exchange);
        for (rule, count) in trace.redactions.iter() {
            self.redactions.with_label_values(&[rule]).inc_by(count);
        }
        fate.kept.then(|| self.encode_trace(trace, defects))
    }

    fn encode_trace(&self, mut trace: Trace, defects: Vec<Defect>) -> Result<Encoded, DropReason> {
        let mut defects: Vec<_> = defects.into_iter().map(Defect::as_str).collect();
        let trace_id = trace.id;
        let mut encodable = Encodable::new(&trace);
        if encodable.len() > self.trace_bytes_max {
            shrink(&mut trace);
            defects.push(TRACE_TOO_LARGE);
            encodable = Encodable::new(&trace);
            if encodable.len() > self.trace_bytes_max {
                return Err(DropReason::TooLarge);
            }
        }
        Ok(Encoded {
            trace_id,
            info: sink::info::of(&trace),
            bytes: encodable.encode(),
            defects,
        })
    }

    /// Counts the defects, and charges the budget with what the record holds.
    fn record(
        &self,
        encoded: Encoded,
        since: Instant,
        mut ticket: Ticket,
    ) -> Result<Arc<Record>, DropReason> {
        for kind in encoded.defects {
            // The one place that resolves labels per event: defects are rare.
            self.defects.with_label_values(&[kind]).inc();
        }
        let held = encoded.bytes.len() + encoded.info.as_ref().map_or(0, Bytes::len);
        if !ticket.resize(held + size_of::<Record>()) {
            return Err(DropReason::QueueBytes);
        }
        Ok(Arc::new(Record {
            trace_id: encoded.trace_id,
            bytes: encoded.bytes,
            info: encoded.info,
            offered: since,
            encoded: Instant::now(),
            _ticket: ticket,
        }))
    }

    /// Logs when the queue begins to refuse offers, and when it is half empty again.
    fn watch_refusals(&self, refusing: &mut bool) {
        let queue = &self.queue;
        let budget = &queue.budget;
        let refused =
            queue.refusing.load(Ordering::Relaxed) && queue.refusing.swap(false, Ordering::Relaxed);
        if refused && !*refusing {
            *refusing = true;
            warn!(
                traces = budget.traces(),
                bytes = budget.bytes(),
                "Export queue is full; new traces are dropped and counted."
            );
        } else if *refusing
            && !refused
            && budget.traces() <= budget.max_traces / 2
            && budget.bytes() <= budget.max_bytes / 2
        {
            *refusing = false;
            info!("Export queue takes traces again.");
        }
    }
}

impl Tokens {
    pub(crate) fn new(route: &str, metrics: &Metrics) -> Self {
        let kinds = [
            ("gen_ai.usage.input_tokens", "input"),
            ("gen_ai.usage.output_tokens", "output"),
            ("gen_ai.usage.cache_read.input_tokens", "cache_read_input"),
            (
                "gen_ai.usage.cache_creation.input_tokens",
                "cache_creation_input",
            ),
        ];
        let counter = |kind| metrics.tokens.with_label_values(&[route, kind]);
        Self(
            kinds
                .map(|(attribute, kind)| (attribute, counter(kind)))
                .into(),
        )
    }

    /// Adds each figure once: root and child may both carry it.
    fn count(&self, trace: &Trace) {
        for (name, counter) in &self.0 {
            let mut attributes = trace.spans.iter().flat_map(|span| &span.attributes);
            if let Some((_, Value::Int(tokens))) = attributes.find(|(key, _)| key == name) {
                counter.inc_by(u64::try_from(*tokens).unwrap_or(0));
            }
        }
    }
}

/// Makes the calling thread yield to the others: on Linux, niceness belongs to a thread.
pub(crate) fn lower_priority(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        warn!(%error, nice, "Cannot lower a background thread's priority.");
    }
}
