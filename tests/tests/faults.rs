//! Faults of every neighbour, with the real binary: users see nothing of them, and what was kept
//! is exported, dropped for a reason that is counted, or pending.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[cfg(target_os = "linux")]
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/degrade.rs"]
mod degrade;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/kill.rs"]
mod kill;
#[path = "faults/mlflow.rs"]
mod mlflow;
#[cfg(target_os = "linux")]
#[path = "faults/overload.rs"]
mod overload;
#[path = "faults/restart.rs"]
mod restart;
#[path = "faults/sinks.rs"]
mod sinks;
#[cfg(target_os = "linux")]
#[path = "faults/unreadable.rs"]
mod unreadable;
#[path = "faults/users.rs"]
mod users;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use offpath_tests::{Collector, Gateway, Wire, offpath};
use serde_json::Value;

/// One figure of an account; 0 where it is not there.
fn number(account: &Value, pointer: &str) -> u64 {
    account
        .pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

fn dropped(account: &Value) -> u64 {
    let reasons = account["dropped"].as_object().into_iter().flatten();
    reasons.filter_map(|(_, count)| count.as_u64()).sum()
}

fn pending(account: &Value) -> u64 {
    let places = ["/pending/queue", "/pending/spool", "/pending/in_flight"];
    places.iter().map(|place| number(account, place)).sum()
}

fn balances(account: &Value) -> bool {
    number(account, "/kept") == number(account, "/exported") + dropped(account) + pending(account)
}

/// The account once nothing of it is pending; it balances, on `/metrics` too.
async fn settled(gateway: &Gateway, kept: u64) -> Value {
    let account = gateway
        .account(|account| {
            number(account, "/kept") == kept && pending(account) == 0 && balances(account)
        })
        .await;
    let metrics = gateway.metrics().await;
    let sum = metrics.sum("offpath_traces_total", &[]) + metrics.sum("offpath_traces_pending", &[]);
    assert_eq!(metrics.sum("offpath_kept_total", &[]), sum);
    account
}

/// Sends a request of its own, and gives the id under which it is kept.
async fn keep(client: &mut Wire, body: &str) -> String {
    let (head, came_back) = client.exchange(post(body)).await;
    assert_eq!((head.status(), came_back), (200, body.to_owned().into()));
    id(&head)
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn id(head: &offpath_tests::Head) -> String {
    let id = head.field("x-offpath-trace-id").unwrap();
    id.strip_prefix("tr-").unwrap().to_owned()
}

/// All of these came, each once, and nothing else.
#[track_caller]
fn check_each_once(collector: &Collector, ids: &[String]) {
    let times = collector.times();
    let more: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(more.is_empty(), "came more than once: {more:?}");
    let came: BTreeSet<_> = times.keys().collect();
    assert_eq!(came, ids.iter().collect());
}

/// `offpath spool DEED --path FOLDER`.
fn spool(deed: &str, folder: &Path) -> Output {
    let mut command = Command::new(offpath());
    command.args(["spool", deed, "--path"]).arg(folder);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The segments of a spool.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let shelves = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = shelves
        .filter(|path| path.is_dir())
        .flat_map(|shelf| std::fs::read_dir(shelf).unwrap())
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect();
    found.sort();
    found
}
