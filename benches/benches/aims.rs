//! The encoder's work per kept exchange (queue, decoding, OTLP, accounting) compared with its aims,
//! and with sonic-rs parsing the same bodies into a document.
//!
//! Both are measured in turns, so that other work on the machine affects them alike, and in CPU time
//! of the thread that does the work. Each exchange has its own memory, so that its bytes are cold.
//! The bench prints the median and the extremes of the turns, and the median of their ratios.
#![expect(clippy::print_stdout, reason = "a table on stdout")]

use std::hint::black_box;
use std::time::Duration;

use offpath_benches::background::Background;
use offpath_benches::request_path::RequestPath;
use offpath_benches::stub_sink::StubSink;
use offpath_benches::traffic::Traffic;
use rustix::time::{ClockId, clock_gettime};

/// Number of turns of each subject.
const TURNS: u64 = 15;

/// Total body length in a turn: much larger than the CPU caches, and within the queue's budget.
const TURN_BYTES: usize = 32 << 20;

/// A measured subject and its aim.
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
        // The first turn grows the heap to its final size and does not count.
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

/// Returns the CPU time of the encoder's thread per exchange, in microseconds.
fn encode(background: &Background, subject: &Subject, turn: u64) -> f64 {
    let count = count(&subject.traffic);
    let exchanges = (0..count)
        .filter_map(|index| {
            subject
                .path
                .pass(&subject.traffic.fresh(), turn << 16 | index)
        })
        .collect();
    let cpu_time = background.encode(exchanges);
    micros(cpu_time.expect("the sink responds at once"), count)
}

/// Returns the CPU time of this thread for parsing both bodies with sonic-rs, in microseconds. The
/// pieces of the bodies are joined beforehand. Parsing a streamed response fails at once, because it
/// is not a document.
fn read(traffic: &Traffic) -> f64 {
    let count = count(traffic);
    let bodies: Vec<_> = (0..count)
        .map(|_| (traffic.request.concat(), traffic.response.concat()))
        .collect();
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
    let seconds = u64::try_from(time.tv_sec).expect("CPU time is not negative");
    Duration::from_secs(seconds) + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

fn micros(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

/// Returns the minimum, the median and the maximum.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| *values.get(index).expect("there is a value for every turn");
    [at(0), at(values.len() / 2), at(values.len() - 1)]
}

fn shown(values: &[f64]) -> String {
    let [least, median, most] = spread(values.to_vec());
    format!("{median:.1} ({least:.1} to {most:.1})")
}
