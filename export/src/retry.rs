//! What a sink's answers mean for a batch: done, again later, or split. Sans-io: neither clock
//! nor chance is in here.

use std::time::Duration;

/// A sink's answer, by what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Stored.
    Taken,
    /// No fault of the batch's: the same again later, after this long where the sink says so.
    Busy {
        after: Option<Duration>,
        words: String,
    },
    /// No fault of the batch's either, but a human is needed: credentials, address, experiment.
    Denied { words: String },
    /// Something in the batch is not to the sink's liking.
    Refused { words: String },
}

/// The pauses between attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The first pause at most.
    pub(crate) initial: Duration,
    /// Every pause at most, `Retry-After` included.
    pub(crate) max: Duration,
}

/// One batch on its way: cut into pieces where the sink refuses it, down to single traces.
#[derive(Debug)]
pub(crate) struct Delivery<T> {
    /// The last is the next to be sent. None is empty.
    pieces: Vec<Vec<T>>,
    backoff: Backoff,
    failures: u32,
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<T> {
    /// These are done.
    Exported(Vec<T>),
    /// The sink does not want this one.
    Rejected(T),
    /// The same piece again, after a pause.
    Wait(Duration),
    /// Go on with what is now the current piece.
    Split,
}

impl<T> Delivery<T> {
    pub(crate) fn new(batch: Vec<T>, backoff: Backoff) -> Self {
        let pieces = if batch.is_empty() {
            Vec::new()
        } else {
            vec![batch]
        };
        Self {
            pieces,
            backoff,
            failures: 0,
        }
    }

    /// What is to be sent next; `None`: the batch is done.
    pub(crate) fn current(&self) -> Option<&[T]> {
        self.pieces.last().map(Vec::as_slice)
    }

    /// Takes the answer to the current piece. `jitter` is a random number in 0..1.
    pub(crate) fn answered(&mut self, answer: &Answer, jitter: f64) -> Step<T> {
        match answer {
            Answer::Taken => {
                self.failures = 0;
                Step::Exported(self.pieces.pop().unwrap_or_default())
            }
            Answer::Busy { after, .. } => self.wait(*after, jitter),
            Answer::Denied { .. } => self.wait(None, jitter),
            Answer::Refused { .. } => self.split(),
        }
    }

    /// Takes out what is too old to be sent again.
    pub(crate) fn expire(&mut self, too_old: impl Fn(&T) -> bool) -> Vec<T> {
        let expired = self
            .pieces
            .iter_mut()
            .flat_map(|piece| piece.extract_if(.., |item| too_old(item)));
        let expired = expired.collect();
        self.pieces.retain(|piece| !piece.is_empty());
        expired
    }

    /// What is not settled.
    pub(crate) fn into_rest(self) -> Vec<T> {
        self.pieces.into_iter().flatten().collect()
    }

    /// Begins with short pauses again.
    pub(crate) fn hurry(&mut self) {
        self.failures = 0;
    }

    fn split(&mut self) -> Step<T> {
        self.failures = 0;
        let mut piece = self.pieces.pop().unwrap_or_default();
        let second = piece.split_off(piece.len().div_ceil(2));
        if !second.is_empty() {
            self.pieces.push(second);
            self.pieces.push(piece);
            return Step::Split;
        }
        match piece.pop() {
            Some(alone) => Step::Rejected(alone),
            None => Step::Split,
        }
    }

    fn wait(&mut self, after: Option<Duration>, jitter: f64) -> Step<T> {
        let pause = self.backoff.pause(self.failures, after, jitter);
        self.failures = self.failures.saturating_add(1);
        Step::Wait(pause)
    }
}

impl Backoff {
    /// The pause after so many failures in a row: between half of it and all of it, so that
    /// replicas that failed together do not come back together. The sink's own word goes first.
    fn pause(&self, failures: u32, after: Option<Duration>, jitter: f64) -> Duration {
        if let Some(after) = after {
            return after.max(self.initial).min(self.max);
        }
        let doubled = 2_u32
            .checked_pow(failures)
            .and_then(|factor| self.initial.checked_mul(factor));
        doubled
            .unwrap_or(self.max)
            .min(self.max)
            .mul_f64(0.5 + jitter / 2.0)
    }
}

/// A `Retry-After` value: seconds, or an HTTP date (RFC 9110, section 10.2.3). `date` is the same
/// answer's `Date`, as only the sink's clock knows what its dates mean: the one here may be wrong.
pub(crate) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(date?).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(30),
    };

    fn busy(after: Option<u64>) -> Answer {
        Answer::Busy {
            after: after.map(Duration::from_secs),
            words: String::new(),
        }
    }

    fn refused() -> Answer {
        Answer::Refused {
            words: String::new(),
        }
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over_after_success() {
        let mut delivery = Delivery::new(vec![1], BACKOFF);
        let mut pauses: Vec<_> = (0..8)
            .map(|_| delivery.answered(&busy(None), 1.0))
            .collect();
        let last = delivery.answered(&busy(None), 0.0);
        let ms = |ms| Step::Wait(Duration::from_millis(ms));
        assert_eq!(pauses.split_off(5), [ms(16_000), ms(30_000), ms(30_000)]);
        assert_eq!(pauses, [ms(500), ms(1000), ms(2000), ms(4000), ms(8000)]);
        assert_eq!(last, ms(15_000));
        delivery.hurry();
        assert_eq!(delivery.answered(&busy(None), 1.0), ms(500));
    }

    #[test]
    fn the_sinks_own_word_on_when_to_come_back_goes_first_within_bounds() {
        let mut delivery = Delivery::new(vec![1], BACKOFF);
        let mut pause = |after| delivery.answered(&busy(Some(after)), 0.0);
        assert_eq!(pause(7), Step::Wait(Duration::from_secs(7)));
        assert_eq!(pause(0), Step::Wait(BACKOFF.initial));
        assert_eq!(pause(86_400), Step::Wait(BACKOFF.max));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        let check = |value, date, expect| {
            assert_eq!(
                retry_after(value, date),
                Option::map(expect, Duration::from_secs),
                "{value} {date:?}"
            );
        };
        check("120", None, Some(120));
        check(" 5 ", date, Some(5));
        check("Sun, 06 Nov 1994 08:49:47 GMT", date, Some(10));
        check("Sun, 06 Nov 1994 08:49:27 GMT", date, Some(0));
        check("Sun, 06 Nov 1994 08:49:47 GMT", None, None);
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some("now"), None);
        check("-1", date, None);
        check("soon", date, None);
        check("", date, None);
    }

    #[test]
    fn what_is_too_old_leaves_every_piece() {
        let mut delivery = Delivery::new(vec![1, 2, 3, 4], BACKOFF);
        assert_eq!(delivery.answered(&refused(), 0.0), Step::Split);
        let mut expired = delivery.expire(|item| item % 2 == 1);
        expired.sort_unstable();
        assert_eq!(expired, [1, 3]);
        assert_eq!(delivery.current(), Some([2].as_slice()));
        assert_eq!(delivery.expire(|_| true).len(), 2);
        assert_eq!(delivery.current(), None);
    }

    proptest! {
        #[test]
        fn bisecting_delivers_the_good_once_rejects_the_bad_and_ends(
            bad in prop::collection::vec(any::<bool>(), 0..70),
        ) {
            let batch: Vec<_> = bad.iter().copied().enumerate().collect();
            let mut delivery = Delivery::new(batch.clone(), BACKOFF);
            let (mut exported, mut rejected, mut requests) = (Vec::new(), Vec::new(), 0);
            while let Some(piece) = delivery.current() {
                requests += 1;
                let poisoned = piece.iter().any(|(_, bad)| *bad);
                let answer = if poisoned { refused() } else { Answer::Taken };
                match delivery.answered(&answer, 0.0) {
                    Step::Exported(items) => exported.extend(items),
                    Step::Rejected(item) => rejected.push(item),
                    Step::Split => {}
                    Step::Wait(_) => prop_assert!(false, "nothing was busy"),
                }
            }
            prop_assert!(exported.iter().all(|(_, bad)| !bad) && rejected.iter().all(|(_, bad)| *bad));
            let mut all = [exported, rejected].concat();
            all.sort_unstable();
            prop_assert_eq!(&all, &batch);
            prop_assert!(requests < 2 * batch.len().max(1));
        }
    }
}
