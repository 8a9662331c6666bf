//! The decisions of the request path: the route, the sampling decision by session, and at the end
//! the keep rules. Only the identity that decides sampling is read on the request path.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use offpath_config::{Daily, Keep, KeepContent, ParentPolicy, SampleBy, Sampling};
use offpath_filters::{End, Head, Incoming, KeepRules, Router, Sampler};
use offpath_trace::{EndReason, Source, TraceId};

use crate::request_path::{router, target};

/// The source of the session id that decides sampling.
#[derive(Clone, Copy, Debug)]
pub enum Basis {
    /// There is no session; the trace id decides.
    Trace,
    /// The session id is a header.
    Header,
    /// The session id is the second query parameter and contains escapes.
    Query,
    /// The session id is the second path segment.
    Path,
}

impl Basis {
    /// All variants with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("trace", Self::Trace),
        ("header", Self::Header),
        ("query", Self::Query),
        ("path", Self::Path),
    ];

    fn source(self) -> Option<Source> {
        match self {
            Self::Trace => None,
            Self::Header => Some(Source::Header(HeaderName::from_static("x-session-id"))),
            Self::Query => Some(Source::Query("session".into())),
            Self::Path => Some(Source::Path(2)),
        }
    }
}

/// A gateway's routes, and the sampler and the rules of the last route.
#[derive(Debug)]
pub struct Decision {
    router: Router,
    sampler: Sampler,
    rules: Option<KeepRules>,
    uri: Uri,
    headers: HeaderMap,
    now: Instant,
}

impl Decision {
    /// Creates `routes` routes that match by path prefix. With `rules`, the last one has a daily
    /// budget and every keep rule.
    pub fn new(routes: usize, basis: Basis, rules: bool) -> Self {
        let now = Instant::now();
        let keep = Keep {
            errors: rules,
            slower_than: rules.then(|| Duration::from_secs(5)),
            first_byte_slower_than: rules.then(|| Duration::from_secs(1)),
            larger_than: rules.then_some(1 << 20),
            ..Keep::default()
        };
        let daily = Daily {
            max_traces: rules.then_some(1_000_000),
            max_bytes: None,
        };
        let sampling = Sampling {
            ratio: 0.05,
            by: SampleBy::Session,
            parent: ParentPolicy::Ignore,
            max_per_second: None,
            daily,
            keep: keep.clone(),
            keep_content: KeepContent::default(),
        };
        let key = basis.source().into_iter().collect();
        let mut headers = HeaderMap::new();
        let session = HeaderValue::from_static("session-0af76519");
        headers.insert("x-session-id", session);
        Self {
            router: router(routes, "path_prefix"),
            sampler: Sampler::new(&sampling, key, now, Duration::ZERO),
            rules: KeepRules::new(&keep, now),
            uri: Uri::from_static("/v1/chat/completions?a=1&session=0af7%206519"),
            headers,
            now,
        }
    }

    /// Decides on one exchange, from its route to its end. Returns the route's index and the
    /// sampling decision.
    pub fn make(&self, seed: u64) -> (Option<usize>, Head) {
        let index = self.router.find(target(self.uri.path(), &self.headers));
        let incoming = Incoming {
            id: TraceId::from_random(u128::from(seed) + 1),
            caller: None,
            uri: &self.uri,
            headers: &self.headers,
        };
        let head = self.sampler.decide(incoming, self.now);
        let end = End {
            status: Some(StatusCode::OK),
            reason: EndReason::Complete,
            took: Duration::from_millis(80),
            first_byte: Some(Duration::from_millis(20)),
            bytes: 1_000,
        };
        let decision = match &self.rules {
            Some(rules) => rules.judge(head, &end, self.now).head,
            None => head,
        };
        (index, decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_of_a_session_is_always_the_same_and_that_of_a_trace_is_not() {
        for (name, basis) in Basis::ALL {
            let decision = Decision::new(100, basis, true);
            let kept = |seed| {
                let (index, head) = decision.make(seed);
                assert_eq!(index, Some(99));
                head.kept.is_some()
            };
            let count = (0..1_000).filter(|seed| kept(*seed)).count();
            let is_constant = count == 0 || count == 1_000;
            let has_session = !matches!(basis, Basis::Trace);
            assert_eq!(is_constant, has_session, "{name}: {count}");
        }
    }
}
