//! The head decision: keep this exchange or not, as far as its request tells.
//!
//! A share of all ids is kept by comparing a hash of the id with a threshold, so that every
//! replica decides alike. XXH3 with its default seed: fixed across builds and machines.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use offpath_config::{ParentPolicy, Sampling};
use offpath_trace::{KeptBecause, RateCap, Source, TraceContext, TraceId};
use xxhash_rust::xxh3::xxh3_64;

use crate::pace::Pace;

/// What the head decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The caller's trace id where it sent one, else the exchange's own.
    pub id: TraceId,
    /// The caller's trace context.
    pub caller: Option<TraceContext>,
    /// The request's target.
    pub uri: &'a Uri,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
}

/// The head decision, and what rules for the end make of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Why the exchange is kept; `None`: a rule for its end may still keep it.
    pub kept: Option<KeptBecause>,
    /// Inverse of the probability of being kept; `None` where it is unknown, or is zero.
    pub weight: Option<f64>,
}

impl Head {
    /// The decision of a route that is not traced.
    pub const NOT_KEPT: Self = Self {
        kept: None,
        weight: None,
    };
}

/// What the ratio is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis<'a> {
    /// The session or user that is hashed; `None`: the trace's id is.
    pub key: Option<Cow<'a, str>>,
    /// Its hash, as a share of all: kept where this is below the ratio.
    pub share: f64,
}

/// A route's head decision.
#[derive(Debug)]
pub struct Sampler {
    ratio: f64,
    /// What is hashed instead of the id; the first that is there.
    key: Vec<Source>,
    parent: ParentPolicy,
    cap: Option<RateCap>,
    pace: Option<Pace>,
}

impl Sampler {
    /// `key`: the sources of the session or user that decides; none where the trace does.
    /// `since_midnight`: how much of the day (UTC) has passed at `origin`.
    pub fn new(
        sampling: &Sampling,
        key: Vec<Source>,
        origin: Instant,
        since_midnight: Duration,
    ) -> Self {
        let cap = |rate| RateCap::new(rate, origin);
        Self {
            ratio: sampling.ratio,
            key,
            parent: sampling.parent,
            cap: sampling.max_per_second.map(cap),
            pace: Pace::new(sampling.daily, origin, since_midnight),
        }
    }

    /// Decides at `now`.
    pub fn decide(&self, incoming: Incoming<'_>, now: Instant) -> Head {
        let caller = incoming
            .caller
            .filter(|_| self.parent != ParentPolicy::Ignore);
        let (kept, known) = match (caller, self.parent) {
            (Some(caller), ParentPolicy::Follow) => {
                (caller.sampled.then_some(KeptBecause::Parent), false)
            }
            (Some(caller), _) => {
                let kept = caller.sampled.then(|| self.by_ratio(incoming, now));
                (kept.flatten(), false)
            }
            (None, _) => (self.by_ratio(incoming, now), true),
        };
        // How many callers sample, and how many exchanges a cap refuses, is not known here.
        let known = known && self.cap.is_none() && self.ratio > 0.0;
        Head {
            kept: kept.filter(|_| self.cap.as_ref().is_none_or(|cap| cap.take(now))),
            weight: known.then(|| 1.0 / self.ratio()),
        }
    }

    /// The share that it keeps at the moment, which a day's budget may have lowered.
    pub fn ratio(&self) -> f64 {
        self.ratio * self.pace.as_ref().map_or(1.0, Pace::share)
    }

    /// An exchange is kept, whatever for, with so many bytes of bodies: the day's budget pays.
    pub fn spend(&self, bytes: impl FnOnce() -> u64) {
        if let Some(pace) = &self.pace {
            pace.spend(bytes());
        }
    }

    /// What the ratio is compared with.
    pub fn basis<'a>(&'a self, incoming: Incoming<'a>) -> Basis<'a> {
        let header = |name: &HeaderName| incoming.headers.get(name).map(HeaderValue::as_bytes);
        let key = self
            .key
            .iter()
            .find_map(|source| source.of_head(incoming.uri, header));
        let hash = match &key {
            Some(key) => xxh3_64(key.as_bytes()),
            None => xxh3_64(incoming.id.as_bytes()),
        };
        // The upper 53 bits are exact as a float in 0..1, so a ratio of 1 keeps every id.
        let share = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        Basis { key, share }
    }

    fn by_ratio(&self, incoming: Incoming<'_>, now: Instant) -> Option<KeptBecause> {
        let share = self.basis(incoming).share;
        if share >= self.ratio {
            return None;
        }
        if let Some(pace) = &self.pace {
            pace.want(now);
        }
        (share < self.ratio()).then_some(KeptBecause::Ratio)
    }
}

#[cfg(test)]
mod tests;
