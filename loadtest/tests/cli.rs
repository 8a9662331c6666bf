//! The binary as scripts use it: exit codes, stdout and stderr.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test fail as the test does"
)]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn loadtest(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(args).output().unwrap()
}

#[track_caller]
fn check_failure(args: &[&str], code: i32, message: &str) {
    let output = loadtest(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(message), "no `{message}` in {stderr}");
}

/// A temporary folder for input and output files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[test]
fn invalid_arguments_are_exit_code_64() {
    let url = "http://127.0.0.1:1/";
    let permit = "only loopback is loaded unless `--i-may-load 192.0.2.1` is given";
    check_failure(&["run", "http://192.0.2.1/", "--rate", "1"], 64, permit);
    check_failure(&["run", url], 64, "--rate <N>");
    check_failure(
        &["run", url, "--rate", "0"],
        64,
        "must be from 0.001 to 1000000",
    );
    check_failure(
        &["run", url, "--rate", "1", "--closed-loop", "2"],
        64,
        "cannot be used with",
    );
    check_failure(
        &["run", url, "--rate", "1", "--chat", "1", "--body", "f"],
        64,
        "cannot be used",
    );
    check_failure(
        &["run", url, "--rate", "1", "--body", "/no/file"],
        64,
        "body `/no/file`",
    );
    check_failure(
        &["run", url, "--rate", "1", "--json", "/no/dir/f"],
        64,
        "`/no/dir/f`",
    );
    check_failure(
        &["run", "https://127.0.0.1/", "--rate", "1"],
        64,
        "a file of certificate authorities",
    );
    check_failure(
        &["run", "nowhere", "--rate", "1"],
        64,
        "must begin with http://",
    );
    check_failure(&["walk"], 64, "unrecognized subcommand");
    let help = loadtest(&["replay", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("[default: 5m]"), "{help}");
}

#[test]
fn a_target_that_is_down_is_exit_code_1_with_its_name_and_a_table() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    drop(listener);
    let output = loadtest(&["run", &format!("http://{addr}/"), "--rate", "10"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&format!("cannot connect to `{addr}`")),
        "{stderr}"
    );
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("errors       connect: 1"), "{stdout}");
}

#[test]
fn a_server_that_never_responds_is_exit_code_1_with_the_time_limit_in_the_message() {
    // Connections wait in the backlog and are never accepted.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let load = ["--rate", "20", "--duration", "100ms", "--timeout", "200ms"];
    let message = "no complete response within 200ms of the intended start";
    check_failure(&[["run", &url].as_slice(), &load].concat(), 1, message);
}

/// `loadtest upstream`, killed when dropped.
struct Upstream {
    child: Child,
    url: String,
}

impl Upstream {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.args(["upstream", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let url = line
            .strip_prefix("listening on ")
            .unwrap()
            .trim()
            .to_owned();
        Self { child, url }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_run_prints_a_table_and_writes_the_same_as_json() {
    let upstream = Upstream::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let json = file.path().to_str().unwrap();
    let url = format!("{}/v1/chat/completions?tokens=3", upstream.url);
    let chat = ["--chat", "10", "--stream", "--http", "2"];
    let load = [
        "--rate",
        "10",
        "--duration",
        "2s",
        "--arrivals",
        "poisson",
        "--json",
        json,
    ];
    let output = loadtest(&[["run", &url].as_slice(), &chat, &load].concat());
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let summary: Value = serde_json::from_reader(file.reopen().unwrap()).unwrap();
    let answered = summary["statuses"]["200"].as_u64().unwrap();
    assert_eq!(summary["requests"], answered);
    assert!(
        stdout.contains(&format!("statuses     200: {answered}\n")),
        "{stdout}"
    );
    let figures = summary["figures"].as_array().unwrap();
    let names: Vec<&str> = figures
        .iter()
        .map(|figure| figure["name"].as_str().unwrap())
        .collect();
    let expect = [
        "latency",
        "latency from send",
        "dispatch lag",
        "ttft",
        "itl",
        "tpot",
    ];
    assert_eq!(names, expect);
    assert_eq!(figures[4]["us"]["count"], answered * 2);
    assert_eq!(summary["load"]["loop"], "open");

    let sweep = ["--sweep", "20..40:2", "--duration", "200ms", "--json", json];
    let output = loadtest(&[["run", &url].as_slice(), &chat, &sweep].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("\nknee "), "{stdout}");
    let swept: Value = serde_json::from_reader(file.reopen().unwrap()).unwrap();
    assert_eq!(swept["steps"][1]["load"]["rate"], 40.0);

    let failing = [
        "-H",
        "x-status: 503",
        "--closed-loop",
        "2",
        "--duration",
        "20ms",
    ];
    let output = loadtest(&[["run", &url].as_slice(), &failing].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("statuses     503: ")
    );
}

#[test]
fn a_rate_that_cannot_be_reached_is_exit_code_1_and_what_was_measured_is_written() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let (json, csv, html) = (
        folder.path("a.json"),
        folder.path("a.csv"),
        folder.path("a.html"),
    );
    // One connection with 10 ms per response carries a tenth of the load.
    let url = format!("{}/echo?delay-us=10000", upstream.url);
    let load = [
        "--method",
        "POST",
        "--rate",
        "1000",
        "--duration",
        "100ms",
        "--connections",
        "1",
    ];
    let files = ["--json", &json, "--csv", &csv, "--html", &html];
    let args = [["run", &url].as_slice(), &load, &files].concat();
    check_failure(&args, 1, "the rate was not reached");
    let summary: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(summary["statuses"]["200"], 100);
    assert_eq!(summary["windows"][0]["requests"], 100);
    let csv = std::fs::read_to_string(&csv).unwrap();
    assert!(csv.starts_with("target,asked_per_s,"), "{csv}");
    assert!(csv.contains(",true,latency,100,"), "{csv}");
    let html = std::fs::read_to_string(&html).unwrap();
    assert!(html.contains("Degraded: achieved"), "{html}");
}

#[test]
fn templates_and_prompts_are_filled_for_each_request() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let json = folder.path("out.json");
    let received = |path: &str, body: &[&str]| {
        let url = format!("{}{path}", upstream.url);
        let load = ["--rate", "10", "--duration", "1s", "--json", &json];
        let output = loadtest(&[&["run", &url], body, &load].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let summary: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(summary["statuses"]["200"], 10);
        summary["body_bytes"]["received"].as_u64().unwrap()
    };
    // The numbers 0 to 9 have one byte each, the two words have 12.
    let template = folder.write("a.txt", "{{n}}{{words:2}}");
    assert_eq!(received("/echo", &["--template", &template]), 10 * (1 + 12));
    // Echoed chats differ in length as their prompts do.
    let prompts = folder.write("a.jsonl", "{\"prompt\": \"abcdef\"}\na");
    let long = folder.write("b.jsonl", "abcdef");
    let mixed = received("/echo", &["--prompts", &prompts]);
    assert_eq!(received("/echo", &["--prompts", &long]) - mixed, 5 * 5);
    let broken = folder.write("c.txt", "{{now}}");
    let url = format!("{}/echo", upstream.url);
    let args = ["run", &url, "--rate", "1", "--template", &broken];
    check_failure(&args, 64, "c.txt`: `{{now}}` is not one of");
    check_failure(
        &["run", &url, "--rate", "1", "--stream"],
        64,
        "`--stream` needs",
    );
}

#[test]
fn a_replay_reads_a_trace_and_its_exit_code_depends_on_whether_responses_differ() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let line = r#"{"timestamp": 0, "payload": 1, "recorded": {"path": "/echo", "response": 2}}"#;
    let later =
        r#"{"timestamp": 2000, "payload": 1, "recorded": {"path": "/echo", "response": 1}}"#;
    let differing = folder.write("a.jsonl", &format!("{line}\n{later}"));
    let url = format!("{}/", upstream.url);
    let json = folder.path("a.json");
    let args = ["replay", &url, "--trace", &differing, "--json", &json];
    assert_eq!(loadtest(&args).status.code(), Some(0));
    let replayed: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let mismatch = &replayed["answers"]["first"][0];
    assert_eq!(mismatch["detail"], "/: recorded 2, now 1");
    assert_eq!(replayed["load"]["load"]["loop"], "recorded");
    let strict = [&args[..], &["--fail-if-different"]].concat();
    assert_eq!(loadtest(&strict).status.code(), Some(2));
    let none = [&args[..], &["--filter", "path=/x"]].concat();
    check_failure(&none, 64, "none of 2 exchanges is selected");
    let broken = folder.write("b.jsonl", &format!("{line}\n{{"));
    check_failure(
        &["replay", &url, "--trace", &broken],
        64,
        "b.jsonl`, line 2: EOF",
    );
    check_failure(&["replay", &url], 64, "--trace <FILE>");
    let down = ["replay", &url, "--mlflow", "http://127.0.0.1:1"];
    check_failure(&down, 1, "MLflow at `http://127.0.0.1:1`: cannot connect");
}

#[test]
fn the_exit_code_of_a_comparison_is_its_verdict_and_it_writes_json() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let direct = format!("direct={}/echo", upstream.url);
    let slow = format!("slow={}/echo?delay-us=20000", upstream.url);
    let small = [
        "--block", "20ms", "--rounds", "8", "--rate", "1000", "--case", "chat:5",
    ];
    let compare = |gate: &[&str]| {
        let files = [
            "--json",
            &folder.path("json"),
            "--csv",
            &folder.path("csv"),
            "--html",
            &folder.path("html"),
        ];
        let output =
            loadtest(&[&["compare", &direct, &slow], small.as_slice(), &files, gate].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stderr)
    };
    // An hour is far more than was added, and wider than the confidence interval.
    assert_eq!(
        compare(&["--fail-if", "added_p50 > 1h"]),
        (Some(0), String::new())
    );
    let json: Value = serde_json::from_slice(&std::fs::read(folder.path("json")).unwrap()).unwrap();
    let csv = std::fs::read_to_string(folder.path("csv")).unwrap();
    assert!(csv.contains("\nchat:5,"), "{csv}");
    let page = std::fs::read_to_string(folder.path("html")).unwrap();
    assert!(page.contains("Added latency, with 95 % confidence intervals"));
    assert_eq!(json["gates"][0]["verdict"], "passed");
    assert_eq!(json["cases"][0]["lanes"][2]["name"], "control");
    assert_eq!(compare(&["--fail-if", "added_p99.9 > 1ms"]).0, Some(3));
    let (code, stderr) = compare(&["--fail-if", "added_p50 = 1ms"]);
    assert_eq!(code, Some(64));
    assert!(
        stderr.contains("is not a condition such as `added_p99 > 500us`"),
        "{stderr}"
    );
    check_failure(&["compare", &direct], 64, "2 values required");
    check_failure(
        &["compare", &direct, &slow, "--rounds", "3"],
        64,
        "too few for an interval",
    );
    check_failure(
        &["compare", &direct, &slow, "--rate", "1"],
        64,
        "fewer than 10",
    );
    check_failure(
        &["compare", &direct, "a=http://192.0.2.1/"],
        64,
        "--i-may-load 192.0.2.1",
    );
    check_failure(
        &["compare", &direct, "down=http://127.0.0.1:1/"],
        1,
        "cannot connect",
    );
}
