//! Figures of all, and of what sampling and rules leave of them.

use std::time::Instant;

use http::{HeaderMap, StatusCode, Uri};
use offpath_config::{Daily, Keep, KeepContent, ParentPolicy, SampleBy, Sampling};
use offpath_filters::{End, Incoming, KeepRules, Sampler};
use offpath_trace::{EndReason, TraceId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

fn observed(weight: f64, failed: bool, millis: u64) -> Observed {
    Observed {
        weight: Some(weight),
        finished: true,
        failed,
        took: Some(Duration::from_millis(millis)),
        tokens: Tokens {
            input: 10,
            output: 2,
            total: 12,
        },
    }
}

#[test]
fn a_trace_counts_as_many_times_as_it_stands_for() {
    let heavy = [observed(3.0, false, 10), observed(1.0, true, 500)];
    let spelled: Vec<_> = [&[observed(1.0, false, 10); 3][..], &heavy[1..]].concat();
    let (weighted, exact) = (Figures::of(&heavy), Figures::of(&spelled));
    assert_eq!(weighted.error_rate, Some(0.25));
    assert_eq!(weighted.error_rate, exact.error_rate);
    assert_eq!(
        (weighted.p50_ms, weighted.p95_ms),
        (exact.p50_ms, exact.p95_ms)
    );
    assert_eq!((weighted.exchanges, weighted.total_tokens), (4.0, 48.0));
}

#[test]
fn percentiles_are_values_that_occurred() {
    let hundred: Vec<_> = (1..=100).map(|n| observed(1.0, false, n)).collect();
    let figures = Figures::of(&hundred);
    let expect = (Some(50.0), Some(95.0), Some(99.0));
    assert_eq!((figures.p50_ms, figures.p95_ms, figures.p99_ms), expect);
    let none = Figures::of(&[]);
    assert_eq!((none.error_rate, none.p50_ms, none.traces), (None, None, 0));
}

#[test]
fn what_is_unfinished_or_unweighted_is_told() {
    let unfinished = Observed {
        finished: false,
        ..observed(50.0, true, 1)
    };
    let unweighted = Observed {
        weight: None,
        ..observed(1.0, true, 7)
    };
    let figures = Figures::of(&[unfinished, unweighted]);
    assert_eq!(
        (figures.traces, figures.unfinished, figures.unweighted),
        (2, 1, 1)
    );
    assert_eq!((figures.exchanges, figures.error_rate), (1.0, Some(1.0)));
}

const POPULATION: u32 = 20_000;

/// Exchanges: most quick, some slow, some failing, and failing ones more often slow.
fn population(rng: &mut SmallRng) -> Vec<Observed> {
    let error_rate = rng.random_range(0.001..0.2);
    let one = |_| {
        let failed = rng.random_bool(error_rate);
        let slow = rng.random_bool(if failed { 0.5 } else { 0.02 });
        let millis = if slow {
            rng.random_range(4_000..20_000)
        } else {
            rng.random_range(5..900)
        };
        observed(1.0, failed, millis)
    };
    (0..POPULATION).map(one).collect()
}

/// An exchange with its weight, and whether it is kept.
struct Judged {
    one: Observed,
    kept: bool,
}

/// What the request path would keep of them, with its weights.
fn sampled(all: &[Observed], ratio: f64, keep: &Keep, seed: u128) -> Vec<Observed> {
    let judged = judged(all, ratio, keep, seed);
    let kept = judged.iter().filter(|judged| judged.kept);
    kept.map(|judged| judged.one).collect()
}

fn judged(all: &[Observed], ratio: f64, keep: &Keep, seed: u128) -> Vec<Judged> {
    let origin = Instant::now();
    let sampling = Sampling {
        ratio,
        by: SampleBy::Trace,
        parent: ParentPolicy::Ignore,
        max_per_second: None,
        daily: Daily::default(),
        keep: keep.clone(),
        keep_content: KeepContent::default(),
    };
    let sampler = Sampler::new(&sampling, Vec::new(), origin, Duration::ZERO);
    let rules = KeepRules::new(keep, origin);
    let (uri, headers) = (Uri::default(), HeaderMap::new());
    let mut judged = Vec::new();
    for (n, one) in all.iter().enumerate() {
        let now = origin + Duration::from_millis(n as u64);
        let incoming = Incoming {
            id: TraceId::from_random(seed << 32 | (n as u128 + 1)),
            caller: None,
            uri: &uri,
            headers: &headers,
        };
        let mut head = sampler.decide(incoming, now);
        let took = one.took.unwrap();
        let end = End {
            status: Some(if one.failed {
                StatusCode::BAD_GATEWAY
            } else {
                StatusCode::OK
            }),
            reason: EndReason::Complete,
            took,
            first_byte: Some(took),
            bytes: 0,
        };
        if let Some(rules) = &rules {
            head = rules.judge(head, &end, now).head;
        }
        judged.push(Judged {
            one: Observed {
                weight: head.weight,
                ..*one
            },
            kept: head.kept.is_some(),
        });
    }
    judged
}

/// Standard error of a weighted share, by the design: exchanges are drawn apart from each other,
/// each with the probability 1/w, so the variance of Hájek's estimator is the sum over all of
/// (w - 1)(value - mean)² over the square of their count.
fn standard_error(all: &[Judged], mean: f64, value: impl Fn(&Observed) -> bool) -> f64 {
    let spread = |judged: &Judged| {
        let value = f64::from(u8::from(value(&judged.one)));
        (judged.one.weight.unwrap() - 1.0) * (value - mean).powi(2)
    };
    all.iter().map(spread).sum::<f64>().sqrt() / all.len() as f64
}

/// Error rate and percentiles, the latter by rank, lie within five standard errors: of the 480
/// comparisons here, one in some 3,500 runs would not; and the seeds are fixed.
#[test]
fn weighted_figures_of_a_sample_agree_with_the_exact_ones() {
    let errors = Keep {
        errors: true,
        slower_than: Some(Duration::from_secs(5)),
        max_per_second: 1e6,
        ..Keep::default()
    };
    let capped = Keep {
        max_per_second: 20.0,
        ..errors.clone()
    };
    for seed in 0..20_u64 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let all = population(&mut rng);
        let exact = Figures::of(&all);
        for (ratio, keep) in [
            (1.0, &Keep::default()),
            (0.2, &Keep::default()),
            (0.05, &Keep::default()),
            (0.05, &errors),
            (0.05, &capped),
            (0.01, &capped),
        ] {
            let judged = judged(&all, ratio, keep, u128::from(seed) + 1);
            let kept = judged.iter().filter(|judged| judged.kept);
            let sample: Vec<_> = kept.map(|judged| judged.one).collect();
            let found = Figures::of(&sample);
            let (rate, true_rate) = (found.error_rate.unwrap(), exact.error_rate.unwrap());
            let error = standard_error(&judged, true_rate, |one| one.failed);
            let off = (rate - true_rate).abs();
            assert!(
                off <= 5.0 * error + 1e-9,
                "seed {seed}, {ratio}: {rate} for {true_rate}"
            );
            for (share, value) in [
                (0.50, found.p50_ms),
                (0.95, found.p95_ms),
                (0.99, found.p99_ms),
            ] {
                let value = Duration::from_secs_f64(value.unwrap() / 1e3);
                let below = |one: &Observed| one.took.unwrap() <= value;
                let rank = all.iter().filter(|one| below(one)).count() as f64 / all.len() as f64;
                let error = standard_error(&judged, share, below);
                // One observation's weight is as fine as a rank can be told.
                let grain = 1.0 / ratio / all.len() as f64 + 2e-3;
                let off = (rank - share).abs();
                assert!(
                    off <= 5.0 * error + grain,
                    "seed {seed}, {ratio}: {rank} for {share}"
                );
            }
        }
    }
}

#[test]
fn without_weights_the_figures_of_what_rules_keep_would_be_wrong() {
    let errors = Keep {
        errors: true,
        max_per_second: 1e6,
        ..Keep::default()
    };
    let all = population(&mut SmallRng::seed_from_u64(1));
    let mut sample = sampled(&all, 0.01, &errors, 1);
    sample.iter_mut().for_each(|one| one.weight = None);
    let (naive, exact) = (Figures::of(&sample), Figures::of(&all));
    assert!(naive.error_rate.unwrap() > 2.0 * exact.error_rate.unwrap());
}

#[test]
fn of_one_in_a_hundred_and_rules_all_errors_and_slow_ones_are_kept() {
    let rules = Keep {
        errors: true,
        slower_than: Some(Duration::from_secs(5)),
        max_per_second: 1e6,
        ..Keep::default()
    };
    let all = population(&mut SmallRng::seed_from_u64(2));
    let meets = |one: &&Observed| one.failed || one.took.unwrap() > Duration::from_secs(5);
    let sample = sampled(&all, 0.01, &rules, 2);
    let (kept, there) = (
        sample.iter().filter(meets).count(),
        all.iter().filter(meets).count(),
    );
    assert_eq!(kept, there);
    let rest = (all.len() - there) as f64;
    let off = ((sample.len() - kept) as f64 - 0.01 * rest).abs();
    assert!(off <= 4.0 * (rest * 0.01 * 0.99).sqrt(), "{off}");
}
