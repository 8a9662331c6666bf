//! A client driven by its program as a plan asks.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use offpath::demo::mlflow::Installation;
use serde_json::{Value, json};

use crate::Ending;
use crate::mlflow::{script, target};

/// One call that a driver makes.
#[derive(Clone, Debug)]
pub struct Step {
    /// The request's `x-request-id`, which a trace has as `offpath.request_id`.
    pub id: String,
    /// The call, by its name in the driver.
    pub call: String,
    /// How the answer ends. A client whose answer is held back leaves.
    pub ending: Ending,
    /// Further header fields.
    pub headers: Vec<(&'static str, String)>,
}

/// What a driver reports of a step: what its client made of each exchange, or its exception.
pub type Report = Result<Vec<Value>, String>;

impl Step {
    fn plan(&self) -> Value {
        let mut headers = json!({"x-request-id": self.id, Ending::FIELD: self.ending.value()});
        for (name, value) in &self.headers {
            headers[*name] = value.clone().into();
        }
        let leaves = self.ending == Ending::Held;
        json!({"id": self.id, "call": self.call, "leaves": leaves, "headers": headers})
    }
}

/// The clients of `py/clients/requirements.txt`, set up under `target/` by the first call.
pub fn installation() -> Installation {
    let list = fs::read_to_string(program("requirements.txt")).expect("the list is there");
    let packages: Vec<&str> = list
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    Installation::ensure(&target().join("clients-venv"), &packages, &mut |step| {
        eprintln!("{step} ...")
    })
    .expect("the clients can be installed")
}

/// One of the programs that drive a client.
pub fn program(name: &str) -> PathBuf {
    script("clients").join(name)
}

/// Has a program of this environment make these calls against the server at `url`. What it
/// reports, in the steps' order.
pub async fn drive(
    installation: &Installation,
    name: &str,
    url: &str,
    steps: &[Step],
) -> Vec<Report> {
    let mut command = Command::new(installation.python());
    command
        .arg("-B")
        .arg(program(name))
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let plan = Value::from_iter(steps.iter().map(Step::plan)).to_string();
    let run = move || {
        let mut child = command.spawn().expect("python starts");
        let mut input = child.stdin.take().expect("it was asked for");
        input.write_all(plan.as_bytes()).expect("the driver reads");
        drop(input);
        child.wait_with_output().expect("the driver is ours")
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8(output.stdout).expect("a report is UTF-8");
    let reports: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("a report is JSON"))
        .collect();
    let ids = reports.iter().map(|report| report["id"].as_str());
    assert!(
        output.status.success() && ids.eq(steps.iter().map(|step| Some(&*step.id))),
        "{name} made {} of {} calls:\n{}",
        reports.len(),
        steps.len(),
        String::from_utf8_lossy(&output.stderr)
    );
    reports.into_iter().map(report).collect()
}

fn report(mut line: Value) -> Report {
    match line["error"].take() {
        Value::Null => Ok(line["said"].as_array().expect("a list").clone()),
        error => Err(error.as_str().expect("a text").to_owned()),
    }
}
