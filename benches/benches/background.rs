//! The work after the response has left: decoding, and all of the encoder's work.
//!
//! `decode` is the wall time of one call. `encoder` is the CPU time of the real encoder thread per
//! exchange (queue, decoding, OTLP, accounting), while another thread delivers to a stub sink.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use offpath_benches::background::Background;
use offpath_benches::request_path::RequestPath;
use offpath_benches::stub_sink::StubSink;
use offpath_benches::traffic::Traffic;
use offpath_trace::decode;

/// Total body length offered at a time; it is within the queue's budget.
const BLOCK_BYTES: usize = 64 << 20;

fn decoding(criterion: &mut Criterion) {
    let path = RequestPath::new(1.0);
    let mut group = criterion.benchmark_group("decode");
    let mut bench = |name: &str, path: &RequestPath, traffic: &Traffic| {
        let exchange = path.pass(traffic, 1).expect("the ratio is 1");
        group.bench_function(name, |bencher| {
            bencher.iter(|| decode(black_box(&exchange)));
        });
    };
    for traffic in Traffic::all() {
        bench(traffic.name, &path, &traffic);
    }
    let statistics = path.with_statistics();
    bench("frame_1m_statistics", &statistics, &Traffic::frame_1m());
}

fn encoder(criterion: &mut Criterion) {
    let sink = StubSink::start().expect("a port is free");
    let background = Background::open(&sink.uri(), "{linger: 1ms}").expect("it opens");
    let path = RequestPath::new(1.0);
    let mut group = criterion.benchmark_group("encoder");
    group.sample_size(10);
    for traffic in Traffic::all() {
        let block = (BLOCK_BYTES / traffic.body_bytes()).clamp(1, 2_000) as u64;
        group.bench_function(traffic.name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut running = Duration::ZERO;
                let mut left = iterations;
                while left > 0 {
                    let count = left.min(block);
                    let exchanges = (0..count)
                        .filter_map(|index| path.pass(&traffic.fresh(), left - index))
                        .collect();
                    let cpu_time = background.encode(exchanges);
                    running += cpu_time.expect("the sink responds at once");
                    left -= count;
                }
                running
            });
        });
    }
    group.finish();
    background.close();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = decoding, encoder
}
criterion_main!(benches);
