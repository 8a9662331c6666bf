//! A sweep: one load after another at different rates, to find where latency rises sharply.

use std::time::Duration;

use serde::Serialize;

use super::{Error, Lane, Plan, load_once};
use crate::report::Summary;
use crate::schedule::Load;

/// A p99 of more than this many times the first step's is past the knee.
const P99_FACTOR: u64 = 5;

/// The result of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// One summary per rate, in the order they were run.
    pub steps: Vec<Summary>,
    /// The knee, if a step was past it.
    pub knee: Option<Knee>,
}

/// The rate up to which the target keeps up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Knee {
    /// The last rate before the knee; `None` if even the first rate is past it.
    pub rate: Option<f64>,
    /// The observation at the next rate.
    pub because: String,
}

/// How far a sweep has got.
#[derive(Clone, Copy, Debug)]
pub struct SweepProgress {
    /// Index of the running step.
    pub step: u64,
    /// Time since that step began.
    pub elapsed: Duration,
    /// Finished requests of that step.
    pub finished: u64,
}

impl Sweep {
    fn new(steps: Vec<Summary>) -> Self {
        let knee = knee(&steps);
        Self { steps, knee }
    }
}

/// Runs `plan` once at each of `rates`, for the plan's duration each, over the same connections.
///
/// The sweep ends early after a step in which no request succeeded.
///
/// # Errors
/// When a load cannot be sent at all, as for [`super::run`], or the target is down at the beginning.
pub async fn sweep(
    plan: &Plan,
    rates: &[f64],
    stop: impl Future<Output = ()>,
    progress: impl Fn(SweepProgress),
) -> Result<Sweep, Error> {
    let mut lane = Lane::for_plan(plan).await?;
    let mut stop = std::pin::pin!(stop);
    let mut steps = Vec::new();
    for (step, rate) in (0..).zip(rates) {
        let mut plan = plan.clone();
        if let Load::Open { rate: of_step, .. } = &mut plan.load {
            *of_step = *rate;
        }
        let progress = |elapsed, finished| {
            progress(SweepProgress {
                step,
                elapsed,
                finished,
            });
        };
        let (summary, is_whole) = load_once(&mut lane, &plan, None, &mut stop, progress).await?;
        let is_over = summary.has_failed() || !is_whole;
        steps.push(summary);
        if is_over {
            break;
        }
    }
    Ok(Sweep::new(steps))
}

/// Finds the last step before the first one that missed its rate, or whose p99 is more than
/// [`P99_FACTOR`] times that of the first step.
fn knee(steps: &[Summary]) -> Option<Knee> {
    let first = steps.first()?.figure("latency").map(|latency| latency.p99);
    let mut last_good = None;
    for step in steps {
        let requested = step.load.rate().unwrap_or(step.rate.achieved);
        let p99 = step.figure("latency").map(|latency| latency.p99);
        let because = match (p99, first) {
            (None, _) => Some(format!("at {requested}/s nothing was answered")),
            _ if step.missed_its_rate() => {
                let achieved = step.rate.achieved;
                Some(format!("at {requested}/s only {achieved:.1}/s were sent"))
            }
            (Some(p99), Some(first)) if p99 > P99_FACTOR * first => Some(format!(
                "at {requested}/s p99 is {p99} us, more than {P99_FACTOR} times the {first} us of \
                 the first rate"
            )),
            _ => None,
        };
        if let Some(because) = because {
            let rate = last_good;
            return Some(Knee { rate, because });
        }
        last_good = Some(requested);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::future;

    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;
    use crate::client::{Http, PreparedRequest, Target};
    use crate::run::Requests;
    use crate::schedule::Arrivals;
    use crate::upstream::Server;

    async fn swept(path: &str, rates: &[f64]) -> Sweep {
        let server = Server::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let target: Target = server.url(path).parse().unwrap();
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let plan = Plan {
            requests: Requests::repeat(
                PreparedRequest::new(&target, Http::One, Method::POST, headers, body).unwrap(),
            ),
            target,
            http: Http::One,
            trust: None,
            load: Load::Open {
                arrivals: Arrivals::Constant,
                rate: 1.0,
                ramp_to: None,
                seed: 1,
                connections: 1,
            },
            duration: Duration::from_millis(200),
            timeout: Duration::from_secs(20),
            permitted_host: None,
        };
        sweep(&plan, rates, future::pending(), |_| ())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_knee_is_before_the_rate_that_one_connection_cannot_carry() {
        // A response takes 50 ms, so one connection carries 20 per second.
        let swept = swept("/echo?delay-us=50000", &[10.0, 200.0, 300.0]).await;
        assert_eq!(swept.steps.len(), 3);
        assert_eq!(swept.steps[1].requests, 40);
        let knee = swept.knee.unwrap();
        assert_eq!(knee.rate, Some(10.0), "{}", knee.because);
        assert!(
            knee.because.starts_with("at 200/s only "),
            "{}",
            knee.because
        );
    }

    #[tokio::test]
    async fn a_step_without_success_ends_the_sweep() {
        let swept = swept("/echo?status=503", &[10.0, 20.0]).await;
        assert_eq!(swept.steps.len(), 1);
        assert!(swept.steps[0].has_failed());
        // The requests were answered, and on time.
        assert_eq!(swept.knee, None);
    }
}
