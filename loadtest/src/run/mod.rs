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
mod lane;
mod queue;
mod requests;
mod sweep;
mod tokens;
mod worker;

pub(crate) use self::dispatch::Due;
pub(crate) use self::lane::{Lane, Load as LaneLoad, When};
pub use self::requests::Requests;
pub use self::sweep::{Knee, Sweep, sweep};
pub(crate) use self::worker::Check;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{self, Http, Target, Trust};
use crate::report::{Failure, Measured, Recorder, Summary, Timeline};
use crate::schedule::{Load, Schedule};

/// Between the start being fixed and the first request, so that every worker stands ready.
const LEAD: Duration = Duration::from_millis(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// All that a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the requests go.
    pub target: Target,
    /// The requests.
    pub requests: Requests,
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

/// A plan's requests at instants of their own.
pub(crate) struct Recording {
    /// When each is due; ascends.
    pub(crate) schedule: Box<dyn Iterator<Item = Due> + Send>,
    /// Looks at each whole answer.
    pub(crate) check: Arc<Check>,
}

/// Why there was no load at all.
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
    /// Nobody answers at the target. A single run reports this in its [`Summary`] instead.
    #[error("{0}")]
    Down(Down),
}

/// Why nobody could be reached.
#[derive(Debug)]
pub struct Down(Failure);

impl From<Failure> for Down {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
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
    let mut lane = match Lane::of(plan).await {
        Ok(lane) => lane,
        Err(Error::Down(Down(failure))) => return Ok(down(plan, failure)),
        Err(error) => return Err(error),
    };
    let (summary, _) = load_once(&mut lane, plan, None, stop, progress).await?;
    Ok(summary)
}

/// Sends the plan's requests when `recording` says.
///
/// # Errors
/// As [`run`]; a target that is down, too.
pub(crate) async fn run_recorded(
    plan: &Plan,
    recording: Recording,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<Summary, Error> {
    let mut lane = Lane::of(plan).await?;
    let (summary, _) = load_once(&mut lane, plan, Some(recording), stop, progress).await?;
    Ok(summary)
}

/// Runs `plan` on an open lane, and says whether it came to its end.
async fn load_once(
    lane: &mut Lane,
    plan: &Plan,
    recording: Option<Recording>,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<(Summary, bool), Error> {
    let mut check = None;
    let when = match (recording, plan.load) {
        (Some(recording), Load::Recorded { connections, .. }) => {
            check = Some(recording.check);
            let schedule = recording.schedule;
            When::Open {
                schedule,
                connections,
            }
        }
        (_, load) => when(load, plan.duration),
    };
    let load = LaneLoad {
        requests: plan.requests.clone(),
        when,
        timeout: plan.timeout,
        recorder: Recorder {
            connections: 1,
            timeline: Some(Timeline::new(plan.duration)),
            ..Recorder::default()
        },
        check,
    };
    let loaded = lane.load(load, stop, progress).await?;
    let duration = loaded.stopped_after.unwrap_or(plan.duration);
    let (recorder, start) = (&loaded.recorder, loaded.start);
    let summary = summary(plan, recorder, start, duration, loaded.offered);
    Ok((summary, loaded.stopped_after.is_none()))
}

/// Requests one by one, as `load` has it.
pub(crate) fn when(load: Load, duration: Duration) -> When {
    match load {
        Load::Open {
            arrivals,
            rate,
            ramp_to,
            seed,
            connections,
        } => {
            let schedule = Schedule::new(arrivals, rate, duration, seed);
            let schedule = match ramp_to {
                Some(rate) => schedule.ramp_to(rate),
                None => schedule,
            };
            When::Open {
                schedule: Box::new(
                    schedule
                        .enumerate()
                        .map(|(request, offset)| Due { offset, request }),
                ),
                connections,
            }
        }
        Load::Closed { workers } => When::Closed { workers, duration },
        // Its schedule is with the recording; without one there is nothing to send.
        Load::Recorded { connections, .. } => When::Open {
            schedule: Box::new(std::iter::empty()),
            connections,
        },
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
        recorder,
        start,
        duration,
        offered,
    })
}

#[cfg(test)]
mod tests;
