//! The real gateway as a process of its own, and its configuration.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Authority, Collector, Head, Metrics, PATIENCE, Wire, ask, eventually, free_address, offpath,
};

/// A gateway that is not started yet. JSON is YAML, so the configuration is a JSON value.
pub struct Setup {
    config: Value,
    environment: Vec<(String, String)>,
    script: Option<String>,
}

/// A running gateway. Killed on drop; its log is shown when the test fails.
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    telemetry: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
}

/// A gateway that ended by itself.
#[derive(Debug)]
pub struct Stopped {
    /// How.
    pub status: ExitStatus,
    /// All it said.
    pub log: String,
}

impl Gateway {
    /// One listener, one upstream `model`, one route `model` that takes everything and keeps all,
    /// and a sink that nobody listens on.
    pub fn before(endpoint: impl AsRef<str>) -> Setup {
        let config = json!({
            "listeners": [{}],
            "limits": {},
            "upstreams": {"model": {"endpoints": [endpoint.as_ref()]}},
            "routes": [{"name": "model", "upstream": "model"}],
            "export": {"sinks": {"nowhere": {"type": "otlp", "endpoint": "http://127.0.0.1:9/v1/traces"}}},
        });
        Setup {
            config,
            environment: Vec::new(),
            script: None,
        }
    }

    /// The same, started, and a collector in place of that sink.
    pub async fn collected(endpoint: impl AsRef<str>) -> (Collector, Self) {
        let collector = Collector::start().await;
        let gateway = Self::before(endpoint).collect(&collector).start().await;
        (collector, gateway)
    }

    /// Where it takes requests.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its probes are.
    pub fn telemetry(&self) -> SocketAddr {
        self.telemetry
    }

    /// `/metrics`, once no request is under way: one is counted after its answer has left, so
    /// that a client may have all of it before.
    #[track_caller]
    pub fn metrics(&self) -> impl Future<Output = Metrics> {
        let rest = eventually("no request to be under way", async || {
            (self.status().await["requests_in_flight"] == 0).then_some(())
        });
        async {
            rest.await;
            self.metrics_now().await
        }
    }

    /// `/metrics`, as of now.
    pub async fn metrics_now(&self) -> Metrics {
        let (status, page) = ask(self.telemetry, "/metrics")
            .await
            .expect("telemetry answers");
        assert_eq!(status, 200);
        Metrics::parse(&String::from_utf8_lossy(&page))
    }

    /// `/status`, as of now.
    pub async fn status(&self) -> Value {
        let (status, page) = ask(self.admin, "/status").await.expect("admin answers");
        assert_eq!(status, 200);
        serde_json::from_slice(&page).expect("status is JSON")
    }

    /// The account of the first route at its first sink, once `settled` says so.
    pub async fn account(&self, settled: impl Fn(&Value) -> bool) -> Value {
        eventually("an account that is settled", async || {
            let status = self.status().await;
            let account = status["export"]["routes"][0]["sinks"][0].clone();
            settled(&account).then_some(account)
        })
        .await
    }

    /// Sends one request on a connection of its own.
    pub async fn exchange(&self, request: impl AsRef<[u8]>) -> (Head, Bytes) {
        Wire::connect(self.address).await.exchange(request).await
    }

    /// The file that it was configured by.
    pub fn config(&self) -> PathBuf {
        config_file(self.folder.path())
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// Asks it to stop, as an orchestrator does.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).expect("the process is there");
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a word, as a crash does, and gives its log.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("the process is ours");
        self.log()
    }

    /// Asks it to stop, and waits until it did.
    pub async fn terminate(self) -> Stopped {
        self.ask_to_stop();
        self.stopped().await
    }

    /// Waits until it stops.
    pub async fn stopped(mut self) -> Stopped {
        let ended = || std::future::ready(self.child.try_wait().unwrap());
        let status = eventually("the gateway's end", ended).await;
        Stopped {
            status,
            log: self.log(),
        }
    }
}

impl Setup {
    /// Sets one key, named by its path: `routes/0/trace/context`. What is missing on the way is made.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let place = path.split('/').fold(&mut self.config, |place, key| {
            match (key.parse::<usize>(), place.is_array()) {
                (Ok(index), true) => &mut place[index],
                _ => &mut place[key],
            }
        });
        *place = value.into();
        self
    }

    /// Clients need TLS, under this authority's certificate for `localhost`.
    pub fn listen_tls(self, authority: &Authority) -> Self {
        let tls = json!({"cert": authority.cert(), "key": authority.key()});
        self.set("listeners/0/tls", tls)
    }

    /// Traces go to this collector, at once.
    pub fn collect(self, collector: &Collector) -> Self {
        let sink = json!({"type": "otlp", "endpoint": collector.endpoint(), "compression": "none"});
        self.set("export/sinks", json!({"collector": sink}))
            .set("export/batch/linger", "1ms")
    }

    /// Kept traces wait on disk in this folder.
    pub fn spool(self, folder: &Path, when: &str) -> Self {
        let path = folder.to_str().expect("a test's folder has a plain name");
        self.set("export/spool", json!({"path": path, "when": when}))
    }

    /// Its configuration is started by this shell script, in which `"$@"` stands for the command.
    pub fn through(mut self, script: &str) -> Self {
        self.script = Some(script.to_owned());
        self
    }

    /// A variable of its environment, which is otherwise free of MLflow's.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// It lives in this world: time and names are as that has them.
    #[cfg(target_os = "linux")]
    pub fn within(self, world: &crate::World) -> Self {
        let variables = world.environment().into_iter();
        variables.fold(self, |setup, (name, value)| {
            setup.env(
                name,
                value.to_str().expect("a test's folder has a plain name"),
            )
        })
    }

    /// Starts it, and waits until it is ready.
    pub async fn start(mut self) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let [address, telemetry, admin] = [(); 3].map(|()| free_address());
        self.config["listeners"][0]["address"] = address.to_string().into();
        self.config["telemetry"]["address"] = telemetry.to_string().into();
        self.config["admin"]["address"] = admin.to_string().into();
        let file = config_file(folder.path());
        fs::write(&file, serde_json::to_vec_pretty(&self.config).unwrap()).unwrap();
        let child = self.spawn(&file, folder.path());
        let mut gateway = Gateway {
            child,
            address,
            telemetry,
            admin,
            folder,
        };
        let deadline = Instant::now() + PATIENCE;
        while !matches!(ask(telemetry, "/readyz").await, Some((200, _))) {
            let ended = gateway.child.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway did not start: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "the gateway is not ready in time"
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        gateway
    }

    fn spawn(&self, config: &Path, folder: &Path) -> Child {
        let log = File::create(log_file(folder)).unwrap();
        let mut command = match &self.script {
            None => Command::new(offpath()),
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", script, "sh"]).arg(offpath());
                shell
            }
        };
        command
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MLFLOW_") {
                command.env_remove(&name);
            }
        }
        command
            .env_remove("RUST_LOG")
            .envs(self.environment.iter().cloned());
        command.spawn().expect("the binary runs")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}---", self.log());
        }
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(log_file(folder)).unwrap_or_default()
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("offpath.yaml")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}
