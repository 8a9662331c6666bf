//! Encoder threads: an exchange from the ring becomes a record in its destinations' inboxes.
//!
//! They run at low priority, on cores that they share with the request path. They look for work
//! by themselves, because the request path wakes nobody (see [`handle`](crate::handle)).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use offpath_trace::{Defect, Exchange, KeptBecause, Level, Trace, Value};
use prometheus::{Histogram, IntCounter, IntCounterVec};
use tracing::{info, warn};

use crate::DropReason;
use crate::accounting::Account;
use crate::degrade::{Degraded, without_contents};
use crate::forms::{Encoded, Form, Records, Variants, bytes_of};
use crate::handle::{Queue, Waiting};
use crate::judge::{self, Judge};
use crate::metrics::Metrics;
use crate::otlp_write::Encodable;
use crate::outlet::Outlet;
use crate::preview::{TRACE_TOO_LARGE, shrink};
use crate::record::Record;
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
    pub(crate) outlets: Vec<Outlet>,
    pub(crate) tokens: Tokens,
    /// Whether its configuration asks for contents.
    pub(crate) keeps_contents: bool,
    /// What may keep an exchange by its content.
    pub(crate) judge: Option<Judge>,
}

/// A route's token counters, by the attribute that holds the figure.
pub(crate) struct Tokens(Vec<(&'static str, IntCounter)>);

impl Lane {
    /// Why an exchange came without contents.
    fn metadata_because(&self) -> Option<Degraded> {
        self.keeps_contents.then_some(Degraded::Latency)
    }
}

/// Whether an exchange is kept, and its route's books.
struct Fate<'a> {
    account: &'a Account,
    kept: bool,
    /// What its content decided: for each of its encodings.
    taken: Option<(KeptBecause, Option<f64>)>,
}

impl Fate<'_> {
    /// The first look at what was decoded: tokens are counted, and the content may keep it.
    fn decide(&mut self, lane: &Lane, exchange: &Exchange, trace: &Trace) {
        lane.tokens.count(trace);
        let judge = lane.judge.as_ref();
        let said = judge.and_then(|judge| judge.take(exchange, trace, Instant::now()));
        self.taken = judge::kept_as_left(exchange, trace).or(said);
        if let Some((because, _)) = self.taken {
            self.keep(because);
        }
    }

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
        while !self.queue.is_over() {
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
        let index = waiting.exchange.plan.index;
        let (Some(account), Some(lane)) = (self.queue.accounts.get(index), self.lanes.get(index))
        else {
            return;
        };
        let mut wanted = self.wanted(&waiting, lane);
        let seconds = self.seconds.start_timer();
        let mut fate = Fate {
            account,
            kept: waiting.exchange.kept.is_some(),
            taken: None,
        };
        // The exchange is taken, and with it ends its share of the capture budget.
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            self.records(waiting, lane, &mut wanted, &mut fate)
        }));
        drop(seconds);
        let records = match encoded {
            Ok(None) => return account.not_kept(),
            Ok(Some(records)) => records,
            Err(_) => Err(DropReason::EncodePanic),
        };
        if !fate.kept {
            return account.undecided_dropped();
        }
        let ending = self.queue.is_overdue();
        for ((claim, outlet), form) in account.claims().zip(&lane.outlets).zip(&wanted) {
            let record = match &records {
                Err(reason) => Err(*reason),
                Ok(records) => records.get(*form).ok_or(DropReason::EncodePanic),
            };
            match record {
                Err(reason) => claim.dropped(reason),
                Ok(record) => outlet.leave(record, claim, ending),
            }
        }
    }

    /// How each of a route's sinks gets the trace.
    fn wanted(&self, waiting: &Waiting, lane: &Lane) -> Vec<Form> {
        let level = waiting.exchange.plan.level;
        let for_all = match (waiting.degraded, level) {
            (Some(why), _) => Some(why),
            (None, Level::Metadata) => lane.metadata_because(),
            (None, Level::Full) => self.queue.budget.is_tight().then_some(Degraded::Queue),
        };
        let spool = |outlet: &Outlet| {
            (level == Level::Full && outlet.is_tight()).then_some(Degraded::Spool)
        };
        let form = |outlet: &Outlet| Form {
            degraded: for_all.or_else(|| spool(outlet)),
            fitted: outlet.is_mlflow,
        };
        lane.outlets.iter().map(form).collect()
    }

    /// The records that are wanted, with contents, without, or both. Where they do not fit into
    /// the queue, all that are wanted is without; `wanted` says so then. `None`: it is not kept.
    fn records(
        &self,
        waiting: Waiting,
        lane: &Lane,
        wanted: &mut [Form],
        fate: &mut Fate<'_>,
    ) -> Option<Result<Records, DropReason>> {
        let Waiting {
            mut exchange,
            mut ticket,
            since,
            ..
        } = waiting;
        let offered_ms = offered_ms(&exchange);
        let mut encoded = match self.variants(&mut exchange, Some(lane), wanted, fate)? {
            Ok(encoded) => encoded,
            Err(reason) => return Some(Err(reason)),
        };
        if !ticket.resize(bytes_of(&encoded)) {
            if wanted.iter().all(|form| form.degraded.is_some()) {
                return Some(Err(DropReason::QueueBytes));
            }
            for form in &mut *wanted {
                form.degraded = Some(Degraded::Queue);
            }
            encoded = match self.variants(&mut exchange, None, wanted, fate)? {
                Ok(encoded) if ticket.resize(bytes_of(&encoded)) => encoded,
                Ok(_) => return Some(Err(DropReason::QueueBytes)),
                Err(reason) => return Some(Err(reason)),
            };
        }
        drop(exchange);
        let ticket = Arc::new(ticket);
        let record = |(form, encoded): (Form, Encoded)| {
            let record = Record {
                trace_id: encoded.trace_id,
                route: Arc::clone(fate.account.route()),
                bytes: encoded.bytes,
                info: encoded.info,
                offered: since,
                offered_ms,
                encoded: Instant::now(),
                _ticket: Some(Arc::clone(&ticket)),
            };
            (form, Arc::new(record))
        };
        Some(Ok(Records(encoded.into_iter().map(record).collect())))
    }

    /// One encoding for each form that is wanted; the one with contents comes first. `first` is
    /// the lane on the first look at the exchange, which counts and decides; `None`: not kept.
    fn variants(
        &self,
        exchange: &mut Exchange,
        mut first: Option<&Lane>,
        wanted: &[Form],
        fate: &mut Fate<'_>,
    ) -> Option<Result<Variants, DropReason>> {
        let mut encoded = Vec::new();
        for why in std::iter::once(None).chain(Degraded::ALL.map(Some)) {
            let alike = wanted.iter().filter(|form| form.degraded == why);
            let readers: Vec<bool> = alike.map(|form| form.fitted).collect();
            if readers.is_empty() {
                continue;
            }
            if why.is_some() {
                exchange.plan = without_contents(&exchange.plan);
            }
            let (mut trace, defects) = (self.decode)(exchange);
            let look = first.take();
            if let Some(lane) = look {
                fate.decide(lane, exchange, &trace);
                for (rule, count) in trace.redactions.iter() {
                    self.redactions.with_label_values(&[rule]).inc_by(count);
                }
            }
            if !fate.kept {
                return None;
            }
            if let Some((because, weight)) = fate.taken {
                trace.keep(because, weight);
            }
            if let Some(why) = why {
                why.mark(&mut trace);
                fate.account.degraded.count(why);
            }
            let defects = look.map(|_| defects);
            if let Err(reason) = self.forms(trace, why, &readers, defects, &mut encoded) {
                return Some(Err(reason));
            }
        }
        Some(Ok(encoded))
    }

    /// Encodes a trace as it is, fitted to MLflow, or both, as its readers need it; each of these
    /// is an MLflow server or not. `defects` are counted, on the first look at an exchange.
    fn forms(
        &self,
        trace: Trace,
        degraded: Option<Degraded>,
        readers: &[bool],
        defects: Option<Vec<Defect>>,
        encoded: &mut Variants,
    ) -> Result<(), DropReason> {
        let first_look = defects.is_some();
        let wanted = readers.contains(&true);
        let fitted = wanted.then(|| trace.fitted()).flatten();
        let mut counted = defects.unwrap_or_default();
        if let (true, Some((_, more))) = (first_look, &fitted) {
            for defect in more {
                if !counted.contains(defect) {
                    counted.push(*defect);
                }
            }
        }
        let as_it_is = fitted.is_none() || readers.contains(&false);
        let fitted = fitted.map(|(trace, _)| (true, trace));
        for (fitted, trace) in as_it_is.then_some((false, trace)).into_iter().chain(fitted) {
            let variant = self.encode(trace, std::mem::take(&mut counted))?;
            encoded.push((Form { degraded, fitted }, variant));
        }
        Ok(())
    }

    /// Counts the defects.
    fn encode(&self, mut trace: Trace, defects: Vec<Defect>) -> Result<Encoded, DropReason> {
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
        for kind in defects {
            // The one place that resolves labels per event: defects are rare.
            self.defects.with_label_values(&[kind]).inc();
        }
        Ok(Encoded {
            trace_id,
            info: sink::info::of(&trace),
            bytes: encodable.encode(),
        })
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

/// When the exchange ended, in milliseconds since 1970.
fn offered_ms(exchange: &Exchange) -> u64 {
    let ended = exchange.timing.start.checked_add(exchange.timing.end);
    let since = ended.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Makes the calling thread yield to the others: on Linux, niceness belongs to a thread.
pub(crate) fn lower_priority(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        warn!(%error, nice, "Cannot lower a background thread's priority.");
    }
}
