//! A real MLflow server, and MLflow's own Python client to read what arrived.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use offpath::demo::mlflow::{Installation, PACKAGE, Server};
use serde_json::{Value, json};

use crate::binary::workspace;
use crate::eventually;

/// One server for all tests of a process.
pub struct Tracking {
    server: Server,
    reader: Mutex<Reader>,
    installation: Installation,
}

/// `py/reader.py`, which imports MLflow once and answers one line with another.
struct Reader {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Tracking {
    /// The server; the first call sets MLflow up under `target/` and starts it.
    pub fn server() -> &'static Self {
        static SERVER: OnceLock<Tracking> = OnceLock::new();
        SERVER.get_or_init(|| {
            let installation = installation();
            let data = own_folder();
            let server = Server::start(&installation, &data).expect("MLflow starts");
            let reader = Mutex::new(Reader::start(&installation, server.uri()));
            Self {
                server,
                reader,
                installation,
            }
        })
    }

    /// What `MLFLOW_TRACKING_URI` should be.
    pub fn uri(&self) -> &str {
        self.server.uri()
    }

    /// MLflow's virtual environment.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// All traces of an experiment, oldest first, once there are so many. `py/reader.py` says
    /// what is in each.
    pub async fn traces(&self, experiment: &str, count: usize) -> Vec<Value> {
        eventually("traces in MLflow", async || {
            let traces = self.read(&json!({"experiment": experiment}));
            let traces = traces
                .as_array()
                .expect("the reader answers with a list")
                .clone();
            (traces.len() >= count).then_some(traces)
        })
        .await
    }

    /// The only trace of an experiment.
    pub async fn trace(&self, experiment: &str) -> Value {
        let mut traces = self.traces(experiment, 1).await;
        assert_eq!(traces.len(), 1, "{traces:#?}");
        traces.remove(0)
    }

    /// How many traces of an experiment this filter of `mlflow.search_traces` finds.
    pub fn search(&self, experiment: &str, filter: &str) -> usize {
        let found = self.read(&json!({"experiment": experiment, "filter": filter}));
        found
            .as_array()
            .expect("the reader answers with a list")
            .len()
    }

    fn read(&self, question: &Value) -> Value {
        self.reader.lock().unwrap().ask(question)
    }
}

/// A server of a test's own, which can be stopped and started again in its place.
pub struct Own {
    installation: Installation,
    data: tempfile::TempDir,
    port: u16,
    server: Option<Server>,
}

impl Own {
    /// A server with nothing in it.
    pub fn start() -> Self {
        let mut own = Self {
            installation: installation(),
            data: tempfile::tempdir().unwrap(),
            port: crate::free_address().port(),
            server: None,
        };
        own.start_again();
        own
    }

    /// What `MLFLOW_TRACKING_URI` should be.
    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its `--backend-store-uri`.
    pub fn store(&self) -> String {
        format!("sqlite:///{}", self.data.path().join("mlflow.db").display())
    }

    /// Ends it; what it stored stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it in the same place.
    pub fn start_again(&mut self) {
        let server = Server::start_at(&self.installation, self.data.path(), self.port);
        self.server = Some(server.expect("MLflow starts"));
    }

    /// All traces of an experiment.
    pub fn traces(&self, experiment: &str) -> Vec<Value> {
        let mut reader = Reader::start(&self.installation, &self.uri());
        let traces = reader.ask(&json!({"experiment": experiment}));
        traces
            .as_array()
            .expect("the reader answers with a list")
            .clone()
    }
}

/// MLflow, a small library of models, OpenAI's client, and what MLflow's server of agents imports
/// without depending on it.
fn installation() -> Installation {
    let packages = [PACKAGE, "openai", "scikit-learn", "httpx"];
    Installation::ensure(&target().join("mlflow-venv"), &packages, &mut |step| {
        eprintln!("{step} ...")
    })
    .expect("MLflow can be installed")
}

/// Cargo's folder for what can be made again.
pub(crate) fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| workspace().join("target"))
}

/// A folder of this process' own. A static is never dropped, so the next process clears up.
fn own_folder() -> PathBuf {
    let all = target().join("mlflow-data");
    for old in fs::read_dir(&all).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(old.file_name()).exists() {
            // Another process may clear it up as well.
            fs::remove_dir_all(old.path()).ok();
        }
    }
    all.join(std::process::id().to_string())
}

/// One of the scripts beside the tests.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("py").join(name)
}

impl Reader {
    fn start(installation: &Installation, uri: &str) -> Self {
        let mut child = Command::new(installation.python())
            .arg(script("reader.py"))
            .env("MLFLOW_TRACKING_URI", uri)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let ask = child.stdin.take().expect("it was asked for");
        let answers = BufReader::new(child.stdout.take().expect("it was asked for"));
        Self {
            child,
            ask,
            answers,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.ask, "{question}").expect("the reader reads");
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .expect("the reader answers");
        let ended = self.child.try_wait();
        serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{error}: {answer:?} {ended:?}"))
    }
}
