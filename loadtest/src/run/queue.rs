//! The queue between the schedule and the connections.
//!
//! A due request goes to the connection that became idle last, so that a run opens no more
//! connections than it needs. If none is idle the request waits in the queue, and its latency counts
//! from its intended start. The queue holds at most the requests of one run's schedule, and
//! `dispatch` never waits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A request to send.
#[derive(Debug, PartialEq)]
pub(super) struct Job {
    /// The instant it is due.
    pub(super) intended: Instant,
    /// Index among the load's requests.
    pub(super) request: usize,
    /// The dispatch lag, if it is known: for a queued job the lag of the dispatcher. A job that is
    /// handed to an idle connection has none, so that the receiver's lag includes the hand-over.
    pub(super) lag: Option<Duration>,
}

/// Either queued jobs, or idle connections that wait for jobs.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: Vec<oneshot::Sender<Job>>,
    is_closed: bool,
}

impl Queue {
    /// Hands a due request to an idle connection, or queues it.
    pub(super) fn dispatch(&self, intended: Instant, request: usize) {
        let mut job = Job {
            intended,
            request,
            lag: None,
        };
        let mut state = self.state.lock();
        while let Some(idle) = state.idle.pop() {
            match idle.send(job) {
                Ok(()) => return,
                Err(returned) => job = returned,
            }
        }
        job.lag = Some(intended.elapsed());
        state.jobs.push_back(job);
    }

    /// Declares that no more jobs will come. Queued jobs are still handed out.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.idle.clear();
    }

    /// Waits for the next job. Returns `None` once the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Job> {
        let waiting = {
            let mut state = self.state.lock();
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            state.idle.push(sender);
            receiver
        };
        waiting.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll(next: Pin<&mut impl Future<Output = Option<Job>>>) -> Poll<Option<Job>> {
        next.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_job_goes_to_the_connection_that_became_idle_last() {
        let queue = Queue::default();
        let (mut first, mut last) = (pin!(queue.next()), pin!(queue.next()));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(last.as_mut()).is_pending());
        let intended = Instant::now();
        queue.dispatch(intended, 7);
        assert!(poll(first.as_mut()).is_pending());
        let job = Job {
            intended,
            request: 7,
            lag: None,
        };
        assert_eq!(poll(last.as_mut()), Poll::Ready(Some(job)));
    }

    #[tokio::test]
    async fn queued_jobs_keep_their_order_and_survive_the_close() {
        let queue = Queue::default();
        let start = Instant::now();
        let instants = [start, start + Duration::from_micros(1)];
        for intended in instants {
            queue.dispatch(intended, 0);
        }
        queue.close();
        for intended in instants {
            let job = queue.next().await.unwrap();
            assert_eq!(job.intended, intended);
            assert!(job.lag.is_some());
        }
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test]
    async fn a_connection_that_stops_waiting_loses_no_job() {
        let queue = Queue::default();
        {
            let left = pin!(queue.next());
            assert!(poll(left).is_pending());
        }
        queue.dispatch(Instant::now(), 0);
        assert!(queue.next().await.is_some());
    }
}
