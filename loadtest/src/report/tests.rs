use super::*;
use crate::schedule::Arrivals;

const LOAD: Load = Load::Open {
    arrivals: Arrivals::Poisson,
    rate: 100.0,
    ramp_to: None,
    seed: 7,
    connections: 8,
};

/// `count` responses, one every 10 ms, each 1 ms after its request, which was sent `lag` late.
fn recorded(start: Instant, count: u32, lag: Duration) -> Recorder {
    let mut recorder = Recorder::default();
    for n in 0..count {
        let intended = start + n * Duration::from_millis(10);
        let sent = intended + lag;
        recorder.add(Attempt {
            intended,
            lag: Some(lag),
            sent: Some(sent),
            body_bytes: 1000,
            outcome: Ok(TimedResponse {
                status: 200,
                head: sent,
                ended: sent + Duration::from_millis(1),
                overhead: Some(Duration::from_micros(43)),
                ttft: None,
                tpot: None,
            }),
        });
    }
    recorder
}

fn summary(recorder: &Recorder, start: Instant, offered: u64) -> Summary {
    Summary::new(Measured {
        target: &"http://127.0.0.1:9001/a".parse().unwrap(),
        http: Http::One,
        load: LOAD,
        recorder,
        start,
        duration: Duration::from_secs(1),
        offered: Some(offered),
    })
}

#[track_caller]
fn check_degraded(count: u32, lag: Duration, expect: &[&str]) {
    let start = Instant::now();
    let summary = summary(&recorded(start, count, lag), start, 100);
    assert_eq!(summary.degraded, expect);
}

#[test]
fn a_run_with_a_high_dispatch_lag_or_a_low_rate_is_marked_as_degraded() {
    check_degraded(100, Duration::from_micros(900), &[]);
    check_degraded(96, Duration::ZERO, &[]);
    check_degraded(
        100,
        Duration::from_micros(1500),
        &["dispatch lag p99 is 1500 us, above 1000 us"],
    );
    check_degraded(
        90,
        Duration::ZERO,
        &["achieved 90.0/s, less than 95 % of 100.0/s"],
    );
    // The last request is late by only 4 % of the run.
    check_degraded(
        100,
        Duration::from_millis(45),
        &["dispatch lag p99 is 45023 us, above 1000 us"],
    );
    // The last request was sent at 10.99 s instead of 0.99 s.
    check_degraded(
        100,
        Duration::from_secs(10),
        &[
            "dispatch lag p99 is 10002431 us, above 1000 us",
            "achieved 9.1/s, less than 95 % of 100.0/s",
        ],
    );
}

#[test]
fn the_two_latencies_differ_by_the_lateness_of_the_send() {
    let start = Instant::now();
    let summary = summary(
        &recorded(start, 100, Duration::from_micros(900)),
        start,
        100,
    );
    assert_eq!(summary.figure("latency").unwrap().max, 1_900);
    assert_eq!(summary.figure("latency from send").unwrap().max, 1_000);
    assert_eq!(summary.figure("x-offpath-overhead-us").unwrap().p50, 43);
    assert_eq!(summary.body_bytes.sent, 100_000);
}

#[test]
fn the_table_contains_counts_errors_formulas_and_the_degraded_mark() {
    let start = Instant::now();
    let mut recorder = recorded(start, 50, Duration::ZERO);
    recorder.add(Attempt {
        intended: start,
        lag: None,
        sent: None,
        body_bytes: 1000,
        outcome: Err(Failure {
            kind: "connect",
            message: "cannot connect to `127.0.0.1:9001`: connection refused".to_owned(),
        }),
    });
    let table = summary(&recorder, start, 1234).to_string();
    for line in [
        "load         open loop, poisson (seed 7), 100/s, at most 8 in flight",
        "requests     51 in 1.0 s on 0 connections: 50.0/s achieved of 1234.0/s offered",
        "statuses     200: 50",
        "errors       connect: 1",
        "first error  cannot connect to `127.0.0.1:9001`: connection refused",
        "body bytes   50,000 sent, 0 received",
        "latency from send = last byte of the response - request handed to its connection",
        "DEGRADED     achieved 50.0/s, less than 95 % of 1234.0/s",
    ] {
        assert!(
            table.lines().any(|found| found == line),
            "no `{line}` in\n{table}"
        );
    }
}
