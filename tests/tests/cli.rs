//! The command line: what is wrong is all said at once, and costs exit code 64.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use offpath_tests::offpath;

const GOOD: &str = "\
listeners:
  - address: 127.0.0.1:8080
upstreams:
  model:
    endpoints: [http://127.0.0.1:8000]
routes:
  - name: chat
    upstream: model
";

const BAD: &str = "\
listeners:
  - address: 127.0.0.1:99999
    tls: {cert: nowhere.pem, key: nowhere.key}
upstreams:
  model:
    endpoints: [http://127.0.0.1:8000]
    timeout: 3s
routes:
  - name: chat
    upstream: modle
    sampling: {ratio: 1.5}
    match: {path: v1}
    redact: {fields: [/a]}
";

fn run(command: &str, config: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offpath.yaml");
    std::fs::write(&file, config).unwrap();
    let mut offpath = Command::new(offpath());
    offpath.arg(command).arg("--config").arg(&file).args(more);
    offpath.env_remove("MLFLOW_TRACKING_URI").output().unwrap()
}

#[track_caller]
fn check_refused(config: &str, expect: &[&str]) {
    for command in ["run", "validate"] {
        let output = run(command, config, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        for line in expect {
            assert!(said.contains(line), "no `{line}` in:\n{said}");
        }
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_line_and_key() {
    let expect = [
        "offpath.yaml:2: listeners[0].address: ",
        "offpath.yaml:3: listeners[0].tls.cert: ",
        "offpath.yaml:3: listeners[0].tls.key: ",
        "offpath.yaml:7: upstreams.model.timeout: ",
        "offpath.yaml:10: routes[0].upstream: ",
        "offpath.yaml:11: routes[0].sampling.ratio: ",
        "offpath.yaml:12: routes[0].match.path: ",
        "offpath.yaml:13: routes[0].redact.fields: not yet supported",
    ];
    check_refused(BAD, &expect);
}

#[test]
fn broken_yaml_is_refused_with_its_line() {
    check_refused("listeners:\n  - address: [\n", &["offpath.yaml:"]);
    check_refused("", &["offpath.yaml"]);
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let output = Command::new(offpath())
        .args(["validate", "--config", "/nowhere.yaml"])
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere.yaml"));
}

#[test]
fn validate_says_what_a_configuration_costs() {
    let output = run("validate", GOOD, &["--rps", "200", "--body-bytes", "1000"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in [
        "memory: at most",
        "200.0 traces/s",
        "the configuration is valid",
    ] {
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
}

#[test]
fn an_address_that_is_taken_ends_the_start_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run("run", &GOOD.replace("127.0.0.1:8080", &address), &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("cannot listen on `{address}`")),
        "{said}"
    );
}

#[test]
fn the_schema_is_json_and_the_version_is_the_packages() {
    let schema = Command::new(offpath()).arg("schema").output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"]["routes"].is_object());
    let version = Command::new(offpath()).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(
        version.trim(),
        concat!("offpath ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_demo_without_mlflow_reads_every_exchange_back_from_disk() {
    let mut command = Command::new(offpath());
    let output = command.args(["demo", "--once", "--no-mlflow"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("7 on disk"), "{said}");
}
