//! Who is kept, how many, and with which weight.

use offpath_config::{Daily, Keep, KeepContent, SampleBy};
use offpath_trace::SpanId;

use super::*;

fn origin() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as an origin"
    )]
    Instant::now()
}

fn sampling(ratio: f64) -> Sampling {
    Sampling {
        ratio,
        by: SampleBy::Trace,
        parent: ParentPolicy::Ignore,
        max_per_second: None,
        daily: Daily::default(),
        keep: Keep::default(),
        keep_content: KeepContent::default(),
    }
}

fn sampler(ratio: f64) -> Sampler {
    Sampler::new(&sampling(ratio), Vec::new(), origin(), Duration::ZERO)
}

/// Counted ids: the hash must spread what is not random too.
fn id(n: u32) -> TraceId {
    TraceId::from_random(u128::from(n) + 1)
}

fn keeps(sampler: &Sampler, id: TraceId, headers: &HeaderMap) -> bool {
    let incoming = Incoming {
        id,
        caller: None,
        uri: &Uri::default(),
        headers,
    };
    sampler.decide(incoming, origin()).kept.is_some()
}

/// Within four standard errors of the binomial.
#[track_caller]
fn check_share(kept: usize, count: u32, ratio: f64) {
    let mean = ratio * f64::from(count);
    let error = (f64::from(count) * ratio * (1.0 - ratio)).sqrt();
    let kept = kept as f64;
    assert!((kept - mean).abs() <= 4.0 * error, "{kept} kept at {ratio}");
}

#[track_caller]
fn check_ratio(ratio: f64) {
    let (sampler, none) = (sampler(ratio), HeaderMap::new());
    let kept = (0..20_000).filter(|n| keeps(&sampler, id(*n), &none));
    check_share(kept.count(), 20_000, ratio);
}

#[test]
fn the_share_kept_is_the_ratio() {
    check_ratio(0.0);
    check_ratio(0.01);
    check_ratio(0.05);
    check_ratio(0.5);
    check_ratio(1.0);
}

#[test]
fn what_a_smaller_ratio_keeps_a_larger_one_keeps_too() {
    let (small, large, none) = (sampler(0.1), sampler(0.2), HeaderMap::new());
    let held = |n| !keeps(&small, id(n), &none) || keeps(&large, id(n), &none);
    assert!((0..5_000).all(held));
}

#[test]
fn a_decision_is_the_same_on_every_build() {
    let id = TraceId::from_random(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    let edge = (xxh3_64(id.as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64;
    let none = HeaderMap::new();
    assert!(!keeps(&sampler(edge), id, &none));
    assert!(keeps(&sampler(edge + 1e-9), id, &none));
    // From the reference implementation, by another binding of it.
    assert_eq!(xxh3_64(b"offpath"), 1_759_727_363_255_291_716);
}

#[test]
fn a_session_is_kept_whole_or_not_at_all_by_every_replica() {
    let key = vec![Source::Header("x-session-id".parse().unwrap())];
    let replicas =
        [0, 1].map(|_| Sampler::new(&sampling(0.2), key.clone(), origin(), Duration::ZERO));
    let mut kept = 0;
    for session in 0..4_000_u32 {
        let mut headers = HeaderMap::new();
        let name = format!("session-{session}");
        headers.insert("x-session-id", name.parse().unwrap());
        let first = keeps(&replicas[0], id(session), &headers);
        for turn in 0..5 {
            let other = id(session * 31 + turn);
            for replica in &replicas {
                assert_eq!(keeps(replica, other, &headers), first, "{name}");
            }
        }
        kept += usize::from(first);
    }
    check_share(kept, 4_000, 0.2);
}

#[test]
fn without_its_session_an_exchange_is_decided_by_its_trace() {
    let key = vec![Source::Header("x-session-id".parse().unwrap())];
    let by_session = Sampler::new(&sampling(0.3), key, origin(), Duration::ZERO);
    let (by_trace, none) = (sampler(0.3), HeaderMap::new());
    for n in 0..1_000 {
        assert_eq!(
            keeps(&by_session, id(n), &none),
            keeps(&by_trace, id(n), &none)
        );
    }
}

#[track_caller]
fn check_parent(parent: ParentPolicy, ratio: f64, sampled: Option<bool>, expect: Head) {
    let sampling = Sampling {
        parent,
        ..sampling(ratio)
    };
    let caller = sampled.map(|sampled| TraceContext {
        trace_id: id(7),
        span_id: SpanId::from_random(1),
        sampled,
    });
    let incoming = Incoming {
        id: id(7),
        caller,
        uri: &Uri::default(),
        headers: &HeaderMap::new(),
    };
    let head =
        Sampler::new(&sampling, Vec::new(), origin(), Duration::ZERO).decide(incoming, origin());
    assert_eq!(head, expect, "{parent:?} {ratio} {sampled:?}");
}

#[test]
fn a_callers_flag_may_do_what_the_route_lets_it() {
    let head = |kept, weight| Head { kept, weight };
    let (by_ratio, by_parent) = (Some(KeptBecause::Ratio), Some(KeptBecause::Parent));
    for sampled in [None, Some(true), Some(false)] {
        let all = head(by_ratio, Some(1.0));
        check_parent(ParentPolicy::Ignore, 1.0, sampled, all);
        check_parent(ParentPolicy::Ignore, 0.0, sampled, head(None, None));
    }
    for parent in [ParentPolicy::Follow, ParentPolicy::Cap] {
        check_parent(parent, 1.0, None, head(by_ratio, Some(1.0)));
        check_parent(parent, 1.0, Some(false), head(None, None));
    }
    let follow = ParentPolicy::Follow;
    check_parent(follow, 0.0, Some(true), head(by_parent, None));
    let cap = ParentPolicy::Cap;
    check_parent(cap, 1.0, Some(true), head(by_ratio, None));
    check_parent(cap, 0.0, Some(true), head(None, None));
}

#[test]
fn a_rate_cap_keeps_no_more_and_leaves_no_weight() {
    let sampling = Sampling {
        max_per_second: Some(5.0),
        ..sampling(1.0)
    };
    let origin = origin();
    let sampler = Sampler::new(&sampling, Vec::new(), origin, Duration::ZERO);
    let decide = |n| {
        let incoming = Incoming {
            id: id(n),
            caller: None,
            uri: &Uri::default(),
            headers: &HeaderMap::new(),
        };
        sampler.decide(incoming, origin)
    };
    let heads: Vec<_> = (0..100).map(decide).collect();
    assert_eq!(heads.iter().filter(|head| head.kept.is_some()).count(), 5);
    assert!(heads.iter().all(|head| head.weight.is_none()));
}

#[test]
fn what_a_days_budget_lowers_has_the_weight_for_it() {
    let sampling = Sampling {
        daily: Daily {
            max_traces: Some(8_640),
            max_bytes: None,
        },
        ..sampling(0.5)
    };
    let origin = origin();
    let sampler = Sampler::new(&sampling, Vec::new(), origin, Duration::ZERO);
    let (mut weights, mut kept) = (0.0, 0);
    for n in 0..40_000 {
        let incoming = Incoming {
            id: id(n),
            caller: None,
            uri: &Uri::default(),
            headers: &HeaderMap::new(),
        };
        // Ten a second, of which the budget pays for one in ten seconds.
        let now = origin + Duration::from_millis(100 * u64::from(n));
        let head = sampler.decide(incoming, now);
        if head.kept.is_some() {
            sampler.spend(|| 0);
            (weights, kept) = (weights + head.weight.unwrap(), kept + 1);
        }
    }
    assert!((300..900).contains(&kept), "{kept}");
    let off = (weights - 40_000.0_f64).abs();
    assert!(off < 4_000.0, "{weights}");
}
