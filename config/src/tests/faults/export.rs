//! Faults of the export, and of offpath's own addresses and log.

use super::check_top;
use crate::{
    Env,
    tests::fixture::{MINIMAL, parse},
};

#[test]
fn sinks_are_ones_that_can_be_sent_to() {
    let sink = |keys: &str| format!("export: {{sinks: {{a: {{{keys}}}}}}}");
    check_top(
        "export: {sinks: {}}",
        "9: export.sinks: at least one sink is needed",
    );
    check_top(
        &sink("token: x, anything: y"),
        "9: export.sinks.a.type: is required",
    );
    check_top(
        &sink("type: kafka, brokers: y"),
        "9: export.sinks.a.type: `kafka` is not one of",
    );
    let uri = "type: mlflow, tracking_uri: 'file:///x'";
    check_top(&sink(uri), "9: export.sinks.a.tracking_uri: must be a URL");
    let both = "type: mlflow, token: x, username: u, password: p";
    check_top(
        &sink(both),
        "9: export.sinks.a.token: is set together with `username`",
    );
    check_top(
        &sink("type: mlflow, username: u"),
        "9: export.sinks.a.password: is required",
    );
    check_top(
        &sink("type: mlflow, password: u"),
        "9: export.sinks.a.username: is required",
    );
    let colon = "type: mlflow, username: 'a:b', password: u";
    check_top(&sink(colon), "9: export.sinks.a.username: must be a name");
    check_top(
        &sink("type: mlflow, ca: no.pem"),
        "9: export.sinks.a.ca: cannot read",
    );
    check_top(
        &sink("type: mlflow, timeout: 0s"),
        "9: export.sinks.a.timeout: must be more than 0",
    );
    check_top(
        &sink("type: mlflow, headers: {a b: c}"),
        "9: export.sinks.a.headers.a b: `a b`",
    );
    check_top(
        &sink("type: otlp"),
        "9: export.sinks.a.endpoint: is required",
    );
    let otlp = "type: otlp, endpoint: 'http://a/v1/traces'";
    check_top(
        &sink(&format!("{otlp}, compression: zip")),
        "9: export.sinks.a.compression: `zip`",
    );
    check_top(
        &sink(&format!("{otlp}, token: x")),
        "9: export.sinks.a.token: unknown key",
    );
}

#[test]
fn a_secret_with_a_fault_is_not_shown() {
    let text =
        format!("{MINIMAL}export: {{sinks: {{a: {{type: mlflow, token: \"hunter\\n2\"}}}}}}");
    let errors = parse(&text, &Env::default()).unwrap_err().to_string();
    assert!(
        errors.contains("export.sinks.a.token: contains a character"),
        "{errors}"
    );
    assert!(!errors.contains("hunter"), "{errors}");
}

#[test]
fn bounds_of_the_export_are_positive_and_consistent() {
    check_top(
        "export: {queue: {max_traces: 0}}",
        "9: export.queue.max_traces: `0` is not",
    );
    check_top(
        "export: {queue: {max_bytes: 0}}",
        "9: export.queue.max_bytes: must be more than 0",
    );
    check_top(
        "export: {batch: {max_traces: 0}}",
        "9: export.batch.max_traces: `0` is not",
    );
    check_top(
        "export: {batch: {max_bytes: 0}}",
        "9: export.batch.max_bytes: must be more than 0",
    );
    check_top(
        "export: {batch: {max_trace: 0}}",
        "9: export.batch.max_trace: must be more than 0",
    );
    check_top(
        "export: {retry: {initial: 0s}}",
        "9: export.retry.initial: must be more than 0",
    );
    check_top(
        "export: {retry: {initial: 31s}}",
        "9: export.retry: `initial` is longer than `max`",
    );
    check_top(
        "export: {encoders: {threads: 0}}",
        "9: export.encoders.threads: `0` is not",
    );
    check_top(
        "export: {encoders: {nice: 20}}",
        "9: export.encoders.nice: `20` is not",
    );
    check_top(
        "log: {format: xml}",
        "9: log.format: `xml` is not one of `text`, `json`",
    );
    check_top(
        "telemetry: {address: nowhere}",
        "9: telemetry.address: `nowhere` is not an address",
    );
}

#[test]
fn a_spool_has_a_folder_and_room() {
    let spool = |keys: &str| format!("export: {{spool: {{{keys}}}}}");
    check_top(
        &spool("when: always"),
        "9: export.spool.when: needs a folder: set `path`",
    );
    check_top(
        &spool("path: s, when: sometimes"),
        "9: export.spool.when: `sometimes` is not one of",
    );
    check_top(
        &spool("path: s, max_bytes: 1000KiB"),
        "9: export.spool.max_bytes: must be at least 1MiB",
    );
}
