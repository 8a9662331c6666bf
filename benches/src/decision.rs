//! What the request path does to decide: the route, the head decision by whom it is for, and at
//! the end the keep rules. Identity costs nothing there but what decides sampling.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use offpath_config::{Daily, Keep, KeepContent, ParentPolicy, SampleBy, Sampling};
use offpath_filters::{End, Head, Incoming, KeepRules, Router, Sampler};
use offpath_trace::{EndReason, Source, TraceId};

use crate::request_path::{router, target};

/// Where the session that decides comes from.
#[derive(Clone, Copy, Debug)]
pub enum Basis {
    /// No session: the trace's id decides.
    Trace,
    /// A header.
    Header,
    /// The query's second parameter, with escapes in it.
    Query,
    /// The path's second segment.
    Path,
}

impl Basis {
    /// All there are, with their names.
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

/// A gateway's routes, and the sampler and rules of the last of them.
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
    /// So many routes by path prefix. `rules`: a daily budget and every keep rule as well.
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

    /// One exchange from its route to its end: the route's index, and what was decided.
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
        let judged = self.rules.as_ref();
        (
            index,
            judged.map_or(head, |rules| rules.judge(head, &end, self.now)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_decides_alike_each_time_and_a_trace_does_not() {
        for (name, basis) in Basis::ALL {
            let decision = Decision::new(100, basis, true);
            let kept = |seed| {
                let (index, head) = decision.make(seed);
                assert_eq!(index, Some(99));
                head.kept.is_some()
            };
            let count = (0..1_000).filter(|seed| kept(*seed)).count();
            let alike = count == 0 || count == 1_000;
            assert_eq!(alike, !matches!(basis, Basis::Trace), "{name}: {count}");
        }
    }
}
