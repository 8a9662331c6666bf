//! Runs: one load on one target, and its measurements.
//!
//! In an open loop, requests are due at absolute instants whether or not earlier ones were answered,
//! and latency counts from those instants, so that a slow target cannot make itself look better by
//! slowing down the load. A request that finds every connection busy waits, and its latency includes
//! the wait. In a closed loop, each of N workers has one request in flight; it must be requested
//! explicitly.
//!
//! A request's time limit also counts from its intended start, so a run ends no later than its
//! duration plus one timeout.

mod dispatch;
mod lane;
mod queue;
mod requests;
mod sweep;
mod tokens;
mod worker;

pub(crate) use self::dispatch::Due;
pub(crate) use self::lane::{Lane, LoadSpec, Pacing};
pub use self::requests::Requests;
pub use self::sweep::{Knee, Sweep, SweepProgress, sweep};
pub(crate) use self::worker::Check;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{self, Http, Target, Trust};
use crate::report::{Failure, Measured, Recorder, Summary, Timeline};
use crate::schedule::{Load, Schedule};

/// Time between fixing the start of a load and its first request, in which every worker gets ready.
const LEAD: Duration = Duration::from_millis(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The description of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The target that the requests go to.
    pub target: Target,
    /// The requests to send.
    pub requests: Requests,
    /// The HTTP version to speak.
    pub http: Http,
    /// Certificate authorities; required for an `https` target.
    pub trust: Option<Trust>,
    /// The timing of the requests.
    pub load: Load,
    /// The time in which requests are due.
    pub duration: Duration,
    /// Time allowed from a request's intended start to the last byte of its response.
    pub timeout: Duration,
    /// A host that may be loaded although it is not this machine.
    pub permitted_host: Option<String>,
}

/// The schedule of a recording, and the check of its responses.
pub(crate) struct Recording {
    /// The requests and their instants, which must ascend.
    pub(crate) schedule: Box<dyn Iterator<Item = Due> + Send>,
    /// Inspects each complete response.
    pub(crate) check: Arc<Check>,
}

/// The reason why no load was sent at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host is not this machine, and was not permitted.
    #[error(
        "`{0}` is not this machine: only loopback is loaded unless `--i-may-load {0}` is given"
    )]
    Refused(String),
    /// The request cannot be built for this URL and these options.
    #[error(transparent)]
    Request(client::Error),
    /// The operating system could not start a thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The target cannot be reached. A single run reports this in its [`Summary`] instead.
    #[error("{0}")]
    Down(Down),
}

/// The reason why a target could not be reached.
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

/// Runs `plan` until it is complete or `stop` resolves. `progress` is called regularly with the
/// elapsed time and the number of finished requests.
///
/// Only a target on this machine is loaded, unless the plan permits its host by name. If the target
/// is down when the run begins, no load is sent, and the summary contains the failure.
///
/// # Errors
/// When no request could be attempted. The summary reports what goes wrong on the network.
pub async fn run(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<Summary, Error> {
    let mut lane = match Lane::for_plan(plan).await {
        Ok(lane) => lane,
        Err(Error::Down(Down(failure))) => return Ok(down(plan, failure)),
        Err(error) => return Err(error),
    };
    let (summary, _) = load_once(&mut lane, plan, None, stop, progress).await?;
    Ok(summary)
}

/// Sends the plan's requests at the instants of `recording`.
///
/// # Errors
/// When no request could be attempted, or the target is down.
pub(crate) async fn run_recorded(
    plan: &Plan,
    recording: Recording,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<Summary, Error> {
    let mut lane = Lane::for_plan(plan).await?;
    let (summary, _) = load_once(&mut lane, plan, Some(recording), stop, progress).await?;
    Ok(summary)
}

/// Runs `plan` on an open lane. The flag is true if the run was complete, false if it was stopped.
async fn load_once(
    lane: &mut Lane,
    plan: &Plan,
    recording: Option<Recording>,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<(Summary, bool), Error> {
    let mut check = None;
    let pacing = match (recording, plan.load) {
        (Some(recording), Load::Recorded { connections, .. }) => {
            check = Some(recording.check);
            let schedule = recording.schedule;
            Pacing::Open {
                schedule,
                connections,
            }
        }
        (_, load) => pacing(load, plan.duration),
    };
    let load = LoadSpec {
        requests: plan.requests.clone(),
        pacing,
        timeout: plan.timeout,
        recorder: Recorder {
            connections: 1,
            timeline: Some(Timeline::new(plan.duration)),
            ..Recorder::default()
        },
        check,
    };
    let outcome = lane.load(load, stop, progress).await?;
    let duration = outcome.stopped_after.unwrap_or(plan.duration);
    let (recorder, start) = (&outcome.recorder, outcome.start);
    let summary = summary(plan, recorder, start, duration, outcome.offered);
    Ok((summary, outcome.stopped_after.is_none()))
}

/// The pacing of a load. A recorded load gets an empty schedule, because its instants come with the
/// recording.
pub(crate) fn pacing(load: Load, duration: Duration) -> Pacing {
    match load {
        Load::Open {
            arrivals,
            rate,
            ramp_to,
            seed,
            connections,
        } => {
            let mut schedule = Schedule::new(arrivals, rate, duration, seed);
            if let Some(rate) = ramp_to {
                schedule = schedule.ramp_to(rate);
            }
            Pacing::Open {
                schedule: Box::new(
                    schedule
                        .enumerate()
                        .map(|(request, offset)| Due { offset, request }),
                ),
                connections,
            }
        }
        Load::Closed { workers } => Pacing::Closed { workers, duration },
        Load::Recorded { connections, .. } => Pacing::Open {
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
    Summary::new(Measured {
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
