//! One run: a schedule, connections, and what they saw.
//!
//! Open loop: requests are due at absolute instants whether or not earlier ones were answered, and
//! latency counts from those instants, so that a slow target cannot make itself look better by
//! slowing the load down. A request that finds every connection taken waits, and its waiting is in
//! its latency. Closed loop: N workers, each with one request in flight; asked for by name only.
//!
//! The time allowed to a request counts from its intended start too, so a run ends no later than
//! its duration and one timeout.

mod dispatch;
mod queue;
mod tokens;
mod worker;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use self::dispatch::Dispatcher;
use self::queue::Queue;
use self::worker::Shared;
use crate::client::{self, Connection, Connector, Http, Target, Template, Trust};
use crate::report::{Failure, Measured, Recorder, Summary};
use crate::schedule::{Load, Schedule};

/// Between the start being fixed and the first request, so that every worker stands ready.
const LEAD: Duration = Duration::from_millis(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// All that a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the requests go.
    pub target: Target,
    /// The request.
    pub template: Template,
    /// The version spoken.
    pub http: Http,
    /// Authorities for an `https` target.
    pub trust: Option<Trust>,
    /// When requests are sent.
    pub load: Load,
    /// How long.
    pub duration: Duration,
    /// From a request's intended start to its last byte.
    pub timeout: Duration,
    /// A host besides this machine that the caller may load.
    pub permitted_host: Option<String>,
}

/// Why there was no run at all. A target that is down is no such error: see [`Summary`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host is not this machine, and was not permitted.
    #[error(
        "`{0}` is not this machine: only loopback is loaded unless `--i-may-load {0}` is given"
    )]
    Refused(String),
    /// The url cannot be called as asked.
    #[error(transparent)]
    Request(client::Error),
    /// The system has no thread for the schedule.
    #[error("cannot start the dispatcher")]
    Thread(#[source] io::Error),
}

/// Runs `plan` until it is done or `stop` resolves, telling `progress` the time and the requests
/// that are over.
///
/// Only a target on this machine is called, unless the plan permits its host by name. A target that
/// is down when the run begins is not loaded; the summary says so.
///
/// # Errors
/// When nothing could be tried. What goes wrong on the wire is in the summary.
pub async fn run(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<Summary, Error> {
    let is_permitted = match &plan.permitted_host {
        Some(host) => host.eq_ignore_ascii_case(&plan.target.host),
        None => false,
    };
    let refused = || Error::Refused(plan.target.host.clone());
    if !is_permitted && !plan.target.names_loopback() {
        return Err(refused());
    }
    let connector = match Connector::resolve(&plan.target, plan.http, plan.trust.as_ref()).await {
        Ok(connector) => connector,
        Err(error @ client::Error::Resolve { .. }) => return Ok(down(plan, Failure::from(&error))),
        Err(error) => return Err(Error::Request(error)),
    };
    let is_here = |addr: &std::net::SocketAddr| addr.ip().to_canonical().is_loopback();
    if !is_permitted && !connector.addrs().iter().all(is_here) {
        return Err(refused());
    }
    let shared = Arc::new(Shared {
        connector,
        template: plan.template.clone(),
        timeout: plan.timeout,
        is_stopped: AtomicBool::new(false),
        multiplexed: tokio::sync::Mutex::default(),
        recorder: Mutex::default(),
    });
    match tokio::time::timeout(plan.timeout, shared.connect()).await {
        Ok(Ok(first)) => load(plan, shared, first, stop, progress).await,
        Ok(Err(error)) => Ok(down(plan, Failure::from(&error))),
        Err(_) => {
            let (target, timeout) = (&plan.target.authority, plan.timeout);
            let message = format!("cannot connect to `{target}` within {timeout:?}");
            let kind = "connect";
            Ok(down(plan, Failure { kind, message }))
        }
    }
}

async fn load(
    plan: &Plan,
    shared: Arc<Shared>,
    first: Connection,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<Summary, Error> {
    let mut start = Instant::now();
    let mut workers = JoinSet::new();
    let mut first = Some(first);
    let mut dispatcher = None;
    match plan.load {
        Load::Open {
            arrivals,
            rate,
            seed,
            connections,
        } => {
            start += LEAD;
            let queue = Arc::new(Queue::default());
            for _ in 0..connections {
                let (shared, queue) = (Arc::clone(&shared), Arc::clone(&queue));
                workers.spawn(worker::open_loop(shared, queue, first.take()));
            }
            let schedule = Schedule::new(arrivals, rate, plan.duration, seed);
            let started = Dispatcher::start(schedule, start, queue);
            dispatcher = Some(started.map_err(Error::Thread)?);
        }
        Load::Closed { workers: count } => {
            let end = start + plan.duration;
            for _ in 0..count {
                workers.spawn(worker::closed_loop(Arc::clone(&shared), end, first.take()));
            }
        }
    }
    let is_whole = drain(&shared, &mut workers, start, stop, progress).await;
    let duration = if is_whole {
        plan.duration
    } else {
        start.elapsed()
    };
    let offered = dispatcher.map(|dispatcher| dispatcher.dispatched());
    let recorder = shared.recorder();
    Ok(summary(plan, &recorder, start, duration, offered))
}

/// Waits for the workers, and says whether they came to their end by themselves.
async fn drain(
    shared: &Shared,
    workers: &mut JoinSet<()>,
    start: Instant,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> bool {
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            joined = workers.join_next() => if joined.is_none() {
                return true;
            },
            _ = ticks.tick() => progress(start.elapsed(), shared.recorder().finished),
            () = &mut stop => {
                shared.is_stopped.store(true, Ordering::Relaxed);
                workers.shutdown().await;
                return false;
            }
        }
    }
}

fn down(plan: &Plan, failure: Failure) -> Summary {
    let mut recorder = Recorder::default();
    recorder.add_failure(failure);
    summary(plan, &recorder, Instant::now(), Duration::ZERO, None)
}

fn summary(
    plan: &Plan,
    recorder: &Recorder,
    start: Instant,
    duration: Duration,
    offered: Option<u64>,
) -> Summary {
    Summary::of(Measured {
        target: &plan.target,
        http: plan.http,
        load: plan.load,
        request_body_bytes: plan.template.body_bytes(),
        recorder,
        start,
        duration,
        offered,
    })
}

#[cfg(test)]
mod tests;
