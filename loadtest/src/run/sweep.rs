//! One load after another, each at a higher rate: where does latency turn?

use std::time::Duration;

use serde::Serialize;

use super::{Error, Lane, Plan, load_once};
use crate::report::Summary;
use crate::schedule::Load;

/// A p99 over so many times the first step's is past the knee.
const P99_FACTOR: u64 = 5;

/// The result of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// One a rate, in the order they were run.
    pub steps: Vec<Summary>,
    /// Where latency turns; absent where it did not.
    pub knee: Option<Knee>,
}

/// Where latency turns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Knee {
    /// The last rate before it; absent where even the first one is past it.
    pub rate: Option<f64>,
    /// What was seen at the next rate.
    pub because: String,
}

impl Sweep {
    fn of(steps: Vec<Summary>) -> Self {
        let knee = knee(&steps);
        Self { steps, knee }
    }
}

/// Runs `plan` once for each of `rates`, for the plan's duration each, on the same connections.
///
/// Ends early after a step in which no request succeeded. `progress` is told the step, the time in
/// it, and its requests that are over.
///
/// # Errors
/// As [`super::run`]; a target that is down at the beginning, too.
pub async fn sweep(
    plan: &Plan,
    rates: &[f64],
    stop: impl Future<Output = ()>,
    progress: impl Fn(usize, Duration, u64),
) -> Result<Sweep, Error> {
    let mut lane = Lane::of(plan).await?;
    let mut stop = std::pin::pin!(stop);
    let mut steps = Vec::new();
    for (index, rate) in rates.iter().enumerate() {
        let mut plan = plan.clone();
        if let Load::Open { rate: of_step, .. } = &mut plan.load {
            *of_step = *rate;
        }
        let progress = |elapsed, finished| progress(index, elapsed, finished);
        let (summary, is_whole) = load_once(&mut lane, &plan, None, &mut stop, progress).await?;
        let is_over = summary.has_failed() || !is_whole;
        steps.push(summary);
        if is_over {
            break;
        }
    }
    Ok(Sweep::of(steps))
}

/// The last step before the first that missed its rate, or whose p99 is over [`P99_FACTOR`] times
/// the first one's.
fn knee(steps: &[Summary]) -> Option<Knee> {
    let first = steps.first()?.figure("latency").map(|latency| latency.p99);
    let mut before = None;
    for step in steps {
        let asked = asked(step);
        let p99 = step.figure("latency").map(|latency| latency.p99);
        let because = match (p99, first) {
            (None, _) => Some(format!("at {asked}/s nothing was answered")),
            _ if step.missed_its_rate() => {
                let achieved = step.rate.achieved;
                Some(format!("at {asked}/s only {achieved:.1}/s were sent"))
            }
            (Some(p99), Some(first)) if p99 > P99_FACTOR * first => Some(format!(
                "at {asked}/s p99 is {p99} us, over {P99_FACTOR} times the {first} us of the first rate"
            )),
            _ => None,
        };
        if let Some(because) = because {
            let rate = before;
            return Some(Knee { rate, because });
        }
        before = Some(asked);
    }
    None
}

fn asked(step: &Summary) -> f64 {
    step.load.rate().unwrap_or(step.rate.achieved)
}

#[cfg(test)]
mod tests {
    use std::future;

    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;
    use crate::client::{Http, Target, Template};
    use crate::run::Requests;
    use crate::schedule::Arrivals;
    use crate::upstream::Server;

    async fn swept(path: &str, rates: &[f64]) -> Sweep {
        let server = Server::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let target: Target = server.url(path).parse().unwrap();
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let plan = Plan {
            requests: Requests::same(
                Template::new(&target, Http::One, Method::POST, headers, body).unwrap(),
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
        let swept = sweep(&plan, rates, future::pending(), |_, _, _| ()).await;
        swept.unwrap()
    }

    #[tokio::test]
    async fn the_knee_is_before_the_rate_that_one_connection_cannot_carry() {
        // An answer takes 50 ms: one connection carries 20 a second.
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
        // It was answered, on time.
        assert_eq!(swept.knee, None);
    }
}
