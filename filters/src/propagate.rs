//! Trace context of one exchange: which ids it takes, and what the upstream is told.

use offpath_config::TraceContextMode;
use offpath_trace::{Ids, SpanId, TraceContext, TraceId};

/// The ids of an exchange, and the id that sampling looks at.
#[derive(Clone, Copy, Debug)]
pub struct Propagation {
    /// Fixed for the exchange's life.
    pub ids: Ids,
    /// The caller's trace id where it sent one, else the exchange's own.
    pub sampled_by: TraceId,
    /// Whether the upstream is sent a `traceparent` of offpath's making.
    sends: bool,
}

/// Decides from the caller's context and 256 random bits.
///
/// `own`: a whole trace under a fresh id, the caller's header passing on as it is. `join`: the
/// caller's trace goes on, offpath's span under the caller's. Without a caller both start a trace.
pub fn propagate(
    mode: TraceContextMode,
    caller: Option<TraceContext>,
    random: (u128, u64, u64),
) -> Propagation {
    let (trace, root, upstream) = random;
    let joined = caller.filter(|_| mode == TraceContextMode::Join);
    let ids = Ids {
        trace_id: joined.map_or(TraceId::from_random(trace), |caller| caller.trace_id),
        root: SpanId::from_random(root),
        upstream: SpanId::from_random(upstream),
        parent: joined.map(|caller| caller.span_id),
        caller,
    };
    Propagation {
        ids,
        sampled_by: caller.map_or(ids.trace_id, |caller| caller.trace_id),
        sends: caller.is_none() || joined.is_some(),
    }
}

impl Propagation {
    /// The `traceparent` for the upstream; `None`: the caller's own passes on.
    pub fn traceparent(&self, kept: bool) -> Option<TraceContext> {
        self.sends.then_some(TraceContext {
            trace_id: self.ids.trace_id,
            span_id: self.ids.upstream,
            sampled: kept,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: (u128, u64, u64) = (7, 8, 9);

    fn caller() -> TraceContext {
        TraceContext {
            trace_id: TraceId::from_random(100),
            span_id: SpanId::from_random(200),
            sampled: true,
        }
    }

    #[test]
    fn without_a_caller_the_upstream_hangs_under_offpath() {
        for mode in [TraceContextMode::Own, TraceContextMode::Join] {
            let given = propagate(mode, None, RANDOM);
            let sent = given.traceparent(false).unwrap();
            assert_eq!(
                (sent.trace_id, sent.span_id),
                (given.ids.trace_id, given.ids.upstream)
            );
            assert!(!sent.sampled && given.ids.parent.is_none());
            assert_eq!(given.sampled_by, given.ids.trace_id);
        }
    }

    #[test]
    fn own_is_a_whole_trace_and_leaves_the_callers_header_alone() {
        let given = propagate(TraceContextMode::Own, Some(caller()), RANDOM);
        assert_eq!(given.ids.trace_id, TraceId::from_random(7));
        assert_eq!((given.ids.parent, given.ids.caller), (None, Some(caller())));
        assert_eq!(given.traceparent(true), None);
        assert_eq!(given.sampled_by, caller().trace_id);
    }

    #[test]
    fn join_continues_the_callers_trace() {
        let given = propagate(TraceContextMode::Join, Some(caller()), RANDOM);
        assert_eq!(given.ids.trace_id, caller().trace_id);
        assert_eq!(given.ids.parent, Some(caller().span_id));
        let sent = given.traceparent(true).unwrap();
        assert_eq!(
            (sent.trace_id, sent.span_id),
            (caller().trace_id, given.ids.upstream)
        );
        assert!(sent.sampled);
    }
}
