//! The work before the response has left: routing, sampling, the tee, the hand-off.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use offpath_benches::background::Background;
use offpath_benches::decision::{Basis, Decision};
use offpath_benches::request_path::{RequestPath, decide, find, router, sampler};
use offpath_benches::stub_sink::StubSink;
use offpath_benches::traffic::Traffic;
use offpath_trace::TraceContext;

/// Number of offers at a time. The encoder catches up in between, so that none is refused.
const OFFERS: u64 = 1_000;

fn route(criterion: &mut Criterion) {
    let traffic = Traffic::chat_1k();
    let mut group = criterion.benchmark_group("route");
    for key in ["path", "path_prefix"] {
        for routes in [1, 100, 1_000] {
            let router = router(routes, key);
            group.bench_function(BenchmarkId::new(key, routes), |bencher| {
                bencher.iter(|| find(black_box(&router), black_box(&traffic)));
            });
        }
    }
}

/// Benches the route, the sampling decision and the keep rules together.
fn decision(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    for routes in [1, 100, 1_000] {
        for (name, basis) in Basis::ALL {
            for rules in [false, true] {
                let decision = Decision::new(routes, basis, rules);
                let kind = if rules { "rules" } else { "plain" };
                group.bench_function(format!("{name}/{kind}/{routes}"), |bencher| {
                    let mut seed = 0;
                    bencher.iter(|| {
                        seed += 1;
                        decision.make(black_box(seed))
                    });
                });
            }
        }
    }
}

fn sample_and_propagate(criterion: &mut Criterion) {
    let caller = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (sampler, headers, now) = (sampler(0.5), HeaderMap::new(), Instant::now());
    let mut group = criterion.benchmark_group("sample_propagate");
    for (name, header) in [("no_caller", None), ("caller", Some(&caller[..]))] {
        group.bench_function(name, |bencher| {
            let mut seed = 0;
            bencher.iter(|| {
                seed += 1;
                let caller = black_box(header).and_then(TraceContext::parse);
                let (propagation, head) = decide(&sampler, caller, &headers, now, seed);
                propagation
                    .traceparent(head.kept.is_some())
                    .map(|context| context.to_string())
            });
        });
    }
}

fn tee(criterion: &mut Criterion) {
    let path = RequestPath::new(1.0);
    let mut group = criterion.benchmark_group("tee");
    for traffic in Traffic::sizes() {
        group.bench_function(traffic.name, |bencher| {
            bencher.iter(|| path.tee(black_box(&traffic.request)));
        });
    }
}

/// Benches the capture of whole exchanges. The figures include dropping them, which the encoder does
/// in the product.
fn capture(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("capture");
    for (decision, ratio) in [("kept", 1.0), ("not_kept", 0.0)] {
        let path = RequestPath::new(ratio);
        for traffic in Traffic::all() {
            group.bench_function(BenchmarkId::new(decision, traffic.name), |bencher| {
                let mut seed = 0;
                bencher.iter(|| {
                    seed += 1;
                    path.pass(black_box(&traffic), seed)
                });
            });
        }
    }
}

fn hand_off(criterion: &mut Criterion) {
    let sink = StubSink::start().expect("a port is free");
    let background = Background::open(&sink.uri(), "{linger: 1ms}").expect("it opens");
    let path = RequestPath::new(1.0);
    let traffic = Traffic::chat_1k();
    criterion.bench_function("hand_off/offer", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut offering = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                let count = left.min(OFFERS);
                let exchanges: Vec<_> = (0..count)
                    .filter_map(|index| path.pass(&traffic, left - index))
                    .collect();
                let began = Instant::now();
                for exchange in exchanges {
                    background.handle().offer(exchange);
                }
                offering += began.elapsed();
                background.rest().expect("the sink responds at once");
                left -= count;
            }
            offering
        });
    });
    assert_eq!(background.account().dropped, 0, "an offer was refused");
    background.close();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = route, decision, sample_and_propagate, tee, capture, hand_off
}
criterion_main!(benches);
