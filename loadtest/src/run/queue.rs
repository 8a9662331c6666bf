//! The seam between the schedule and the connections.
//!
//! A due request goes to the connection that fell idle last, so that a run opens no more
//! connections than it needs; with none idle it waits in line, and its latency counts from when it
//! was intended. Holds at most the requests of one run's schedule. `dispatch` never waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// One request to be sent.
#[derive(Debug, PartialEq)]
pub(super) struct Job {
    /// When the schedule wanted it sent.
    pub(super) intended: Instant,
    /// Which of the load's requests.
    pub(super) request: usize,
    /// The dispatcher's lag, where the job had to wait in line; a job that is handed over leaves
    /// it to the receiver, so that the hand-over is in it.
    pub(super) lag: Option<Duration>,
}

/// Jobs in line, or connections in line for jobs.
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
    /// Hands a due request over, or puts it in line.
    pub(super) fn dispatch(&self, intended: Instant, request: usize) {
        let mut job = Job {
            intended,
            request,
            lag: None,
        };
        let mut state = self.lock();
        while let Some(idle) = state.idle.pop() {
            match idle.send(job) {
                Ok(()) => return,
                Err(returned) => job = returned,
            }
        }
        job.lag = Some(intended.elapsed());
        state.jobs.push_back(job);
    }

    /// No more jobs come; those in line are still given out.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.idle.clear();
    }

    /// The next job; `None` when it is closed and the line is empty.
    pub(super) async fn next(&self) -> Option<Job> {
        let waiting = {
            let mut state = self.lock();
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn a_job_goes_to_the_connection_that_fell_idle_last() {
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
    async fn jobs_in_line_keep_their_order_and_outlive_the_close() {
        let queue = Queue::default();
        let start = Instant::now();
        let instants = [start, start + Duration::from_micros(1)];
        instants.into_iter().for_each(|at| queue.dispatch(at, 0));
        queue.close();
        for intended in instants {
            let job = queue.next().await.unwrap();
            assert_eq!(job.intended, intended);
            assert!(job.lag.is_some());
        }
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test]
    async fn a_connection_that_left_loses_no_job() {
        let queue = Queue::default();
        {
            let left = pin!(queue.next());
            assert!(poll(left).is_pending());
        }
        queue.dispatch(Instant::now(), 0);
        assert!(queue.next().await.is_some());
    }
}
