//! The memory bound and its parts, and the highest load of each sink.

use super::fixture::{FULL, MINIMAL, full_env, parse};
use crate::{Env, SinkLoad};

#[test]
fn every_part_of_the_memory_bound_follows_from_its_keys() {
    let bound = parse(FULL, &full_env()).unwrap().memory_bound();
    let bytes: Vec<_> = bound.parts.iter().map(|p| (p.name, p.bytes)).collect();
    // Routes that capture nothing have no destination; `scores` goes to three sinks, `billing`
    // to the collector alone, which knows no experiments.
    let expect = [
        ("connections", 5000 * ((2 * (32 + 128) + 64 + 5) << 10)),
        ("bodies being captured", 128 << 20),
        ("exchanges in the queue", 16 << 20),
        ("encoders", 2 * 2 * (32 << 20)),
        ("batches", 3 * ((4 << 20) + (32 << 20))),
    ];
    assert_eq!(bytes, expect);
    let sum: u64 = expect.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(bound.total_bytes(), sum);
}

#[test]
fn routes_of_one_experiment_share_a_destination() {
    let route = |name: &str, experiment: &str| {
        format!("  - {{name: {name}, upstream: model, trace: {{experiment: {experiment}}}}}\n")
    };
    let routes = [route("b", "one"), route("c", "one"), route("d", "two")].concat();
    let config = parse(&format!("{MINIMAL}{routes}"), &Env::default());
    let bound = config
        .unwrap_or_else(|errors| panic!("{errors}"))
        .memory_bound();
    let batches = bound.parts.iter().find(|part| part.name == "batches");
    // The default experiment, `one` and `two`.
    assert_eq!(batches.unwrap().bytes, 3 * ((8 << 20) + (64 << 20)));
}

#[test]
fn a_daily_budget_limits_the_load_of_a_day() {
    for daily in ["max_traces: 1000", "max_bytes: 1MB"] {
        let text = format!("{MINIMAL}    sampling: {{daily: {{{daily}}}}}");
        let config = parse(&text, &Env::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let load = config.sink_load(100.0, 1000);
        let day = load.first().map(|load| load.bytes_per_day);
        assert_eq!(day, Some(1000.0 * 5096.0), "{daily}");
    }
}

#[track_caller]
fn check_load(routes: &str, body_bytes: u64, traces: f64, bytes: f64) {
    let text = format!("{MINIMAL}{routes}");
    let config = parse(&text, &Env::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let expect = SinkLoad {
        sink: "mlflow".into(),
        traces_per_second: traces,
        bytes_per_second: bytes,
        bytes_per_day: bytes * 86_400.0,
    };
    assert_eq!(config.sink_load(100.0, body_bytes), [expect]);
}

#[test]
fn a_sinks_load_is_that_of_its_most_demanding_route() {
    check_load("", 1000, 100.0, 100.0 * 5096.0);
    check_load("    sampling: {ratio: 0.5}", 1000, 50.0, 50.0 * 5096.0);
    check_load("    capture: {level: metadata}", 1000, 100.0, 409_600.0);
    check_load("    capture: {level: off}", 1000, 0.0, 0.0);
    check_load("    capture: {max_body: 100}", 1000, 100.0, 100.0 * 4296.0);
    let rules = "    sampling: {ratio: 0.5, keep: {errors: true, max_per_second: 5}}";
    check_load(rules, 1000, 55.0, 55.0 * 5096.0);
    let content = "    sampling: {ratio: 0, keep_content: {grpc_errors: true}}";
    check_load(content, 1000, 10.0, 10.0 * 5096.0);
    let capped = "    sampling: {max_per_second: 2}";
    check_load(capped, 1000, 2.0, 2.0 * 5096.0);
    let second =
        "    sampling: {ratio: 0.5}\n  - {name: b, upstream: model, sampling: {ratio: 0.25}}";
    check_load(second, 1000, 50.0, 50.0 * 5096.0);
}
