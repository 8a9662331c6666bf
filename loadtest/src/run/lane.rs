//! Connections to one target that outlive one load, and one load on them.
//!
//! What a load leaves open the next one uses, so that a target which is loaded in turns with others
//! is met each time with warm connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::dispatch::{Dispatcher, Due};
use super::queue::Queue;
use super::requests::Requests;
use super::worker::{self, Check, Shared};
use super::{Error, LEAD, PROGRESS_INTERVAL, Plan};
use crate::client::{self, Connection, Connector, Http, Target, Trust};
use crate::report::{Failure, Recorder};

/// One target that may be loaded.
pub(crate) struct Lane {
    connector: Connector,
    /// Idle HTTP/1.1 connections, or the one HTTP/2 connection.
    kept: Vec<Connection>,
}

/// One load.
pub(crate) struct Load {
    /// The requests; which of them, the schedule says.
    pub(crate) requests: Requests,
    pub(crate) when: When,
    /// From a request's intended start to its last byte.
    pub(crate) timeout: Duration,
    /// Where what is seen goes.
    pub(crate) recorder: Recorder,
    /// Looks at whole answers; without one their bodies are not kept.
    pub(crate) check: Option<Arc<Check>>,
}

/// When requests are sent.
pub(crate) enum When {
    Open {
        schedule: Box<dyn Iterator<Item = Due> + Send>,
        connections: usize,
    },
    Closed {
        workers: usize,
        duration: Duration,
    },
}

/// What one load saw.
pub(crate) struct Loaded {
    pub(crate) recorder: Recorder,
    pub(crate) start: Instant,
    /// Requests that were due; `None` in a closed loop.
    pub(crate) offered: Option<u64>,
    /// How long it lasted, where it was stopped.
    pub(crate) stopped_after: Option<Duration>,
}

impl Lane {
    /// The lane of a plan's target.
    pub(super) async fn of(plan: &Plan) -> Result<Self, Error> {
        let (trust, host) = (plan.trust.as_ref(), plan.permitted_host.as_deref());
        Self::open(&plan.target, plan.http, trust, host, plan.timeout).await
    }

    /// Resolves the target and opens a first connection.
    ///
    /// Only a target on this machine is called, unless `permitted_host` is its host.
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
        let is_here = |addr: &std::net::SocketAddr| addr.ip().to_canonical().is_loopback();
        if !is_permitted && !connector.addrs().iter().all(is_here) {
            return Err(refused());
        }
        match tokio::time::timeout(timeout, connector.connect()).await {
            Ok(Ok(first)) => Ok(Self {
                connector,
                kept: vec![first],
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

    /// Loads it until the load is done or `stop` resolves, telling `progress` the time and the
    /// requests that are over.
    pub(crate) async fn load(
        &mut self,
        load: Load,
        stop: impl Future<Output = ()>,
        progress: impl Fn(Duration, u64),
    ) -> Result<Loaded, Error> {
        let mut start = Instant::now();
        if let When::Open { .. } = &load.when {
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
        match load.when {
            When::Open {
                schedule,
                connections,
            } => {
                let queue = Arc::new(Queue::default());
                for _ in 0..connections {
                    let (shared, queue) = (Arc::clone(&shared), Arc::clone(&queue));
                    workers.spawn(worker::open_loop(shared, queue, self.kept.pop()));
                }
                let started = Dispatcher::start(schedule, start, queue);
                dispatcher = Some(started.map_err(Error::Thread)?);
            }
            When::Closed {
                workers: count,
                duration,
            } => {
                let end = start + duration;
                for index in 0..count {
                    let shared = Arc::clone(&shared);
                    workers.spawn(worker::closed_loop(shared, end, index, self.kept.pop()));
                }
            }
        }
        let is_whole = self
            .drain(&shared, &mut workers, start, stop, progress)
            .await;
        let stopped_after = (!is_whole).then(|| start.elapsed());
        let offered = dispatcher.map(|dispatcher| dispatcher.dispatched());
        let recorder = std::mem::take(&mut *shared.recorder());
        Ok(Loaded {
            recorder,
            start,
            offered,
            stopped_after,
        })
    }

    /// Waits for the workers, and says whether they came to their end by themselves.
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
                    Some(ended) => self.kept.extend(ended.ok().flatten()),
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

    /// HTTP/2 workers share one connection: any kept one.
    fn multiplexed(&mut self) -> Option<Connection> {
        if self.connector.http() == Http::One {
            return None;
        }
        self.kept.truncate(1);
        self.kept.first().and_then(Connection::share)
    }
}
