//! What gives way before anything is dropped: contents.
//!
//! When the queue or a destination's disk is three quarters full, traces keep sizes, shapes,
//! usage and times, but no contents, until it is half empty again. When an exchange does not fit
//! into the queue's bytes at all, it is offered again without its bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use offpath_trace::{Body, Exchange, Level, Plan, Trace, Value};
use prometheus::IntCounter;

use crate::metrics::Metrics;

/// Why a trace has no contents although its route keeps them; on its root as `offpath.degraded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Degraded {
    /// The queue was nearly full.
    Queue,
    /// The destination's share of the disk was nearly full.
    Spool,
    /// The route's `latency_budget` was passed when it came.
    Latency,
}

impl Degraded {
    /// All there are.
    pub(crate) const ALL: [Self; 3] = [Self::Queue, Self::Spool, Self::Latency];

    fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Spool => "spool",
            Self::Latency => "latency",
        }
    }

    /// Says so on the root.
    pub(crate) fn mark(self, trace: &mut Trace) {
        if let Some(root) = trace.spans.first_mut() {
            let attribute = ("offpath.degraded".into(), Value::Text(self.as_str().into()));
            root.attributes.push(attribute);
        }
    }
}

/// One route's counters of degraded traces.
#[derive(Debug)]
pub(crate) struct Counters([(Degraded, IntCounter); 3]);

impl Counters {
    pub(crate) fn new(route: &str, metrics: &Metrics) -> Self {
        let counter = |why: Degraded| {
            let labels = [route, why.as_str()];
            (why, metrics.degraded.with_label_values(&labels))
        };
        Self(Degraded::ALL.map(counter))
    }

    pub(crate) fn count(&self, why: Degraded) {
        let counters = self.0.iter().filter(|(known, _)| *known == why);
        counters.for_each(|(_, counter)| counter.inc());
    }
}

/// Whether something is nearly full: from three quarters on, until it is half empty.
#[derive(Debug, Default)]
pub(crate) struct Tightness(AtomicBool);

impl Tightness {
    /// The answer now. Anybody may ask at any time; each answer counts from the last.
    pub(crate) fn is_tight(&self, used: u64, max: u64) -> bool {
        let tight = if self.0.load(Relaxed) {
            used > max / 2
        } else {
            used >= max - max / 4
        };
        self.0.store(tight, Relaxed);
        tight
    }
}

/// The same exchange for a trace without contents.
pub(crate) fn without_contents(plan: &Plan) -> Arc<Plan> {
    Arc::new(Plan {
        level: Level::Metadata,
        ..plan.clone()
    })
}

/// Lets go of the bodies; their true sizes stay.
pub(crate) fn drop_bodies(exchange: &mut Exchange) {
    let empty = |body: &mut Body| {
        body.truncated |= !body.chunks.is_empty();
        body.chunks = Vec::new();
    };
    empty(&mut exchange.request.body);
    if let Some(response) = &mut exchange.response {
        empty(&mut response.body);
    }
    exchange.charge = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_let_go_of_is_truncated_and_keeps_its_size() {
        let plan = crate::tests::support::plan();
        let mut exchange = crate::tests::support::exchange(&plan, 1, "word".into());
        let response = exchange.response.as_mut().unwrap();
        // There never was one: nothing is missing of it.
        response.body = Body::default();
        drop_bodies(&mut exchange);
        let (request, response) = (&exchange.request.body, &exchange.response.unwrap().body);
        assert_eq!((request.bytes, request.truncated), (4, true));
        assert_eq!((response.bytes, response.truncated), (0, false));
        assert!(request.chunks.is_empty() && exchange.charge.is_none());
    }

    #[test]
    fn tight_from_three_quarters_on_until_half() {
        let tightness = Tightness::default();
        let answers = [74, 75, 60, 51, 50, 74].map(|used| tightness.is_tight(used, 100));
        assert_eq!(answers, [false, true, true, true, false, false]);
    }
}
