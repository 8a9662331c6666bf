//! A real MLflow server on this machine, for the demo and for the tests.
//!
//! Installed once into a Python virtual environment, then started on SQLite and a free port. The
//! server ends with the value that started it, and also when this process dies: a parent
//! script watches its standard input, which the system closes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// The version that offpath is tested with.
pub const PACKAGE: &str = "mlflow==3.17.2";

/// A server on two busy cores takes some 10 s to answer.
const START: Duration = Duration::from_secs(180);

/// Runs a command in a process group of its own until standard input closes.
const LEASH: &str = "import os, signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
sys.stdin.read()
os.killpg(child.pid, signal.SIGTERM)
try:
    child.wait(10)
except subprocess.TimeoutExpired:
    os.killpg(child.pid, signal.SIGKILL)
";

/// A virtual environment with MLflow in it.
#[derive(Clone, Debug)]
pub struct Installation {
    bin: PathBuf,
}

/// A running server. Stops on drop.
#[derive(Debug)]
pub struct Server {
    leash: Leash,
    uri: String,
}

/// A process that ends when this value does.
#[derive(Debug)]
pub struct Leash {
    child: Child,
}

impl Installation {
    /// Makes `folder` a virtual environment with these packages, unless it is one already. Two
    /// processes may ask at once: one installs, the other waits. `progress` hears of long steps.
    pub fn ensure(
        folder: &Path,
        packages: &[&str],
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
        let lock = File::create(folder.join("offpath.lock"))?;
        lock.lock()
            .context("cannot lock the environment's folder")?;
        let bin = folder.join("bin");
        let done = folder.join("offpath.installed");
        let wanted = packages.join("\n");
        if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
            return Ok(Self { bin });
        }
        progress("making a Python virtual environment");
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            .context("python3 with its venv module is needed (Debian: python3-venv)")?;
        progress(&format!(
            "installing {} (once, a minute or two)",
            packages.join(", ")
        ));
        let quiet = ["install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(bin.join("pip")).args(quiet).args(packages))?;
        fs::write(&done, wanted)?;
        Ok(Self { bin })
    }

    /// A virtual environment that something else has set up in `folder`.
    pub fn existing(folder: &Path) -> Self {
        Self {
            bin: folder.join("bin"),
        }
    }

    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.bin.join("python")
    }

    /// A program of it with these arguments, on a leash. `log` receives what it says.
    pub fn start(&self, program: &str, args: &[&str], log: &Path) -> anyhow::Result<Leash> {
        let said = File::create(log)
            .with_context(|| format!("cannot write the log `{}`", log.display()))?;
        // MLflow starts helpers of its own by name.
        let mut path = self.bin.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let child = Command::new(self.python())
            .args(["-c", LEASH])
            .arg(self.bin.join(program))
            .args(args)
            .env("PATH", path)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdin(Stdio::piped())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .with_context(|| format!("cannot start `{program}`"))?;
        Ok(Leash { child })
    }
}

impl Server {
    /// Starts a server that keeps all it has in `data`, and waits until it answers.
    pub fn start(installation: &Installation, data: &Path) -> anyhow::Result<Self> {
        Self::start_at(installation, data, free_port()?)
    }

    /// The same, on this port.
    pub fn start_at(installation: &Installation, data: &Path, port: u16) -> anyhow::Result<Self> {
        fs::create_dir_all(data)?;
        let data = data.canonicalize()?;
        let store = format!("sqlite:///{}", data.join("mlflow.db").display());
        let artifacts = data.join("artifacts");
        let log = data.join("server.log");
        let args = [
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--workers",
            "1",
            "--backend-store-uri",
            &store,
            "--artifacts-destination",
            &artifacts.to_string_lossy(),
        ];
        let leash = installation.start("mlflow", &args, &log)?;
        let mut server = Self {
            leash,
            uri: format!("http://127.0.0.1:{port}"),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_until_healthy(&mut server.leash, address, "/health", &log)?;
        Ok(server)
    }

    /// What `MLFLOW_TRACKING_URI` should be.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// This port where it is free, else any that is.
pub(super) fn port_near(usual: u16) -> anyhow::Result<u16> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, usual)) {
        Ok(_) => Ok(usual),
        Err(_) => free_port(),
    }
}

/// Waits until a GET of `path` answers 200; fails with the log's end when the process does.
pub fn wait_until_healthy(
    leash: &mut Leash,
    address: SocketAddr,
    path: &str,
    log: &Path,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + START;
    while !answers(address, path) {
        let ended = leash.child.try_wait()?.is_some();
        if ended || Instant::now() > deadline {
            let said = fs::read_to_string(log).unwrap_or_default();
            let from = said.len().saturating_sub(2_000);
            let end = said.get(from..).unwrap_or(&said);
            bail!("no answer from {address}{path}; its log ends with:\n{end}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed:\n{said}");
    Ok(())
}
