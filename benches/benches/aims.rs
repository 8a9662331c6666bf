//! The aims of decoding: the encoder's whole work per kept exchange (queue, decoding, OTLP,
//! accounts), and beside it sonic-rs's bare reading of the same bodies into a document.
//!
//! In turns, so that what else the machine does hits all alike; in CPU time of the thread that
//! does the work; each exchange in memory of its own, so that its bytes are cold. Prints medians
//! of the turns, their extremes, and the median of the turns' ratios.
#![expect(clippy::print_stdout, reason = "a table on stdout")]

use std::hint::black_box;
use std::time::Duration;

use offpath_benches::background::Background;
use offpath_benches::request_path::RequestPath;
use offpath_benches::stub_sink::StubSink;
use offpath_benches::traffic::Traffic;
use rustix::time::{ClockId, clock_gettime};

/// Turns of each subject.
const TURNS: u64 = 15;

/// Bytes of bodies in a turn: far more than caches hold, and within the queue's budget.
const TURN_BYTES: usize = 32 << 20;

/// A subject and what it is held to.
struct Subject {
    name: &'static str,
    traffic: Traffic,
    path: RequestPath,
    aim: &'static str,
}

fn main() {
    let sink = StubSink::start().expect("a port is free");
    let background = Background::open(&sink.uri(), "{linger: 1ms}").expect("it opens");
    println!(
        "{:24} {:>9} {:>24} {:>8} {:>24} {:>14}  aim",
        "exchange", "bytes", "encoder, µs", "GB/s", "sonic-rs, µs", "ratio"
    );
    for subject in subjects() {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        // The first turn brings memory to its size, and is not counted.
        for turn in 0..=TURNS {
            let (encoded, read) = (encode(&background, &subject, turn), read(&subject.traffic));
            if turn > 0 {
                ours.push(encoded);
                theirs.push(read);
            }
        }
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
        let [least, ratio, most] = spread(ratios.collect());
        let bytes = subject.traffic.body_bytes();
        println!(
            "{:24} {bytes:>9} {:>24} {:>8.2} {:>24} {ratio:>5.2} ({least:.2}-{most:.2})  {}",
            subject.name,
            shown(&ours),
            bytes as f64 / spread(ours)[1] / 1e3,
            shown(&theirs),
            subject.aim
        );
    }
    background.close();
}

fn subjects() -> [Subject; 4] {
    let plain = || RequestPath::new(1.0);
    [
        ("chat_20k", Traffic::chat_20k(), plain(), "40 µs"),
        ("stream_200", Traffic::stream_200(), plain(), "150 µs"),
        ("frame_1m", Traffic::frame_1m(), plain(), "1 GB/s"),
        (
            "frame_1m, statistics",
            Traffic::frame_1m(),
            plain().with_statistics(),
            "ratio 2",
        ),
    ]
    .map(|(name, traffic, path, aim)| Subject {
        name,
        traffic,
        path,
        aim,
    })
}

fn count(traffic: &Traffic) -> u64 {
    (TURN_BYTES / traffic.body_bytes()).clamp(1, 500) as u64
}

/// Microseconds of the encoder's thread per exchange.
fn encode(background: &Background, subject: &Subject, turn: u64) -> f64 {
    let count = count(&subject.traffic);
    let exchanges = (0..count)
        .filter_map(|one| {
            subject
                .path
                .pass(&subject.traffic.fresh(), turn << 16 | one)
        })
        .collect();
    let ran = background.encode(exchanges);
    micros(ran.expect("the sink answers at once"), count)
}

/// Microseconds of this thread for both bodies, joined beforehand. A stream is read as its
/// request and nothing else: it is no document.
fn read(traffic: &Traffic) -> f64 {
    let count = count(traffic);
    let bodies = (0..count).map(|_| (traffic.request.concat(), traffic.response.concat()));
    let bodies: Vec<_> = bodies.collect();
    let began = thread_time();
    for (request, response) in &bodies {
        for body in [request, response] {
            black_box(sonic_rs::from_slice::<sonic_rs::Value>(body).ok());
        }
    }
    micros(thread_time().saturating_sub(began), count)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

fn micros(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

/// Least, median and greatest.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    [
        at(0),
        at(values.len() / 2),
        at(values.len().saturating_sub(1)),
    ]
}

fn shown(values: &[f64]) -> String {
    let [least, median, most] = spread(values.to_vec());
    format!("{median:.1} ({least:.1} to {most:.1})")
}
