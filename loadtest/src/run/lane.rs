//! A lane: the connections to one target, and the loads that are sent over them.
//!
//! A load reuses the connections that the one before it left open, so that targets which are loaded
//! in turns are always loaded over warm connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::dispatch::{Dispatcher, Due};
use super::queue::Queue;
use super::requests::Requests;
use super::worker::{self, Check, Shared};
use super::{Error, LEAD, PROGRESS_INTERVAL, Plan};
use crate::client::{self, Connection, Connector, Http, Target, Trust};
use crate::report::{Failure, Recorder};

/// A target with open connections. Opening a lane checks that the target may be loaded.
pub(crate) struct Lane {
    connector: Connector,
    /// Idle HTTP/1.1 connections, or the one HTTP/2 connection.
    idle: Vec<Connection>,
}

/// The description of one load.
pub(crate) struct LoadSpec {
    /// The requests. The schedule refers to them by index.
    pub(crate) requests: Requests,
    pub(crate) pacing: Pacing,
    /// Time allowed from a request's intended start to the last byte of its response.
    pub(crate) timeout: Duration,
    /// Collects the measurements.
    pub(crate) recorder: Recorder,
    /// Inspects complete responses. Without it, response bodies are not buffered.
    pub(crate) check: Option<Arc<Check>>,
}

/// The timing of the requests.
pub(crate) enum Pacing {
    Open {
        schedule: Box<dyn Iterator<Item = Due> + Send>,
        connections: usize,
    },
    Closed {
        workers: usize,
        duration: Duration,
    },
}

/// The measurements of one load.
pub(crate) struct LoadOutcome {
    pub(crate) recorder: Recorder,
    pub(crate) start: Instant,
    /// Requests that were due; `None` in a closed loop.
    pub(crate) offered: Option<u64>,
    /// The time after which the load was stopped early, if it was.
    pub(crate) stopped_after: Option<Duration>,
}

impl Lane {
    /// Opens the lane of a plan's target.
    pub(super) async fn for_plan(plan: &Plan) -> Result<Self, Error> {
        let (trust, host) = (plan.trust.as_ref(), plan.permitted_host.as_deref());
        Self::open(&plan.target, plan.http, trust, host, plan.timeout).await
    }

    /// Resolves the target and opens a first connection.
    ///
    /// # Errors
    /// When the target is not this machine and its host is not `permitted_host`, when it cannot be
    /// reached, or when its URL cannot be used.
    pub(crate) async fn open(
        target: &Target,
        http: Http,
        trust: Option<&Trust>,
        permitted_host: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let is_permitted =
            permitted_host.is_some_and(|host| host.eq_ignore_ascii_case(&target.host));
        let refused = || Error::Refused(target.host.clone());
        if !is_permitted && !target.names_loopback() {
            return Err(refused());
        }
        let down = |error: &client::Error| Error::Down(Failure::from(error).into());
        let connector = match Connector::resolve(target, http, trust).await {
            Ok(connector) => connector,
            Err(error @ client::Error::Resolve { .. }) => return Err(down(&error)),
            Err(error) => return Err(Error::Request(error)),
        };
        let is_loopback = |addr: &std::net::SocketAddr| addr.ip().to_canonical().is_loopback();
        if !is_permitted && !connector.addrs().iter().all(is_loopback) {
            return Err(refused());
        }
        match tokio::time::timeout(timeout, connector.connect()).await {
            Ok(Ok(first)) => Ok(Self {
                connector,
                idle: vec![first],
            }),
            Ok(Err(error)) => Err(down(&error)),
            Err(_) => {
                let authority = &target.authority;
                let message = format!("cannot connect to `{authority}` within {timeout:?}");
                let kind = "connect";
                Err(Error::Down(Failure { kind, message }.into()))
            }
        }
    }

    /// Sends a load until it is complete or `stop` resolves. `progress` is called regularly with
    /// the elapsed time and the number of finished requests.
    pub(crate) async fn load(
        &mut self,
        load: LoadSpec,
        stop: impl Future<Output = ()>,
        progress: impl Fn(Duration, u64),
    ) -> Result<LoadOutcome, Error> {
        let mut start = Instant::now();
        if let Pacing::Open { .. } = &load.pacing {
            start += LEAD;
        }
        let mut recorder = load.recorder;
        if let Some(timeline) = &mut recorder.timeline {
            timeline.begin(start);
        }
        let shared = Arc::new(Shared {
            connector: self.connector.clone(),
            requests: load.requests,
            timeout: load.timeout,
            is_stopped: AtomicBool::new(false),
            multiplexed: tokio::sync::Mutex::new(self.multiplexed()),
            recorder: Mutex::new(recorder),
            check: load.check,
        });
        let mut workers = JoinSet::new();
        let mut dispatcher = None;
        match load.pacing {
            Pacing::Open {
                schedule,
                connections,
            } => {
                let queue = Arc::new(Queue::default());
                for _ in 0..connections {
                    let (shared, queue) = (Arc::clone(&shared), Arc::clone(&queue));
                    workers.spawn(worker::open_loop(shared, queue, self.idle.pop()));
                }
                let started = Dispatcher::start(schedule, start, queue);
                dispatcher = Some(started.map_err(Error::Thread)?);
            }
            Pacing::Closed {
                workers: count,
                duration,
            } => {
                let end = start + duration;
                for index in 0..count {
                    let shared = Arc::clone(&shared);
                    workers.spawn(worker::closed_loop(shared, end, index, self.idle.pop()));
                }
            }
        }
        let is_whole = self
            .drain(&shared, &mut workers, start, stop, progress)
            .await;
        let stopped_after = (!is_whole).then(|| start.elapsed());
        let offered = dispatcher.map(|dispatcher| dispatcher.dispatched());
        let recorder = std::mem::take(&mut *shared.recorder());
        Ok(LoadOutcome {
            recorder,
            start,
            offered,
            stopped_after,
        })
    }

    /// Waits for the workers. Returns whether they finished before `stop` resolved.
    async fn drain(
        &mut self,
        shared: &Shared,
        workers: &mut JoinSet<Option<Connection>>,
        start: Instant,
        stop: impl Future<Output = ()>,
        progress: impl Fn(Duration, u64),
    ) -> bool {
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                joined = workers.join_next() => match joined {
                    Some(ended) => self.idle.extend(ended.ok().flatten()),
                    None => return true,
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

    /// The connection that all HTTP/2 workers share.
    fn multiplexed(&mut self) -> Option<Connection> {
        if self.connector.http() == Http::One {
            return None;
        }
        self.idle.truncate(1);
        self.idle.first().and_then(Connection::share)
    }
}
