//! The main job, visible within a minute: a model endpoint, offpath before it, traffic, MLflow.
//!
//! Everything is real: the proxy is the one that `run` starts, MLflow is MLflow, and what is
//! shown at the end was read back from it.
#![expect(clippy::print_stdout, reason = "a demo speaks to whoever started it")]

pub mod mlflow;

mod check;
mod source;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context, ensure};
use offpath_config::{Config, Env, SinkKind};
use offpath_export::{Reader, SpoolView};
use offpath_loadtest::upstream;
use tokio::sync::oneshot;

use self::source::Source;
use crate::log;
use crate::serve::{self, Serving};

/// How the demo is run.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Send the traffic, read every trace back, print a table, and exit: 0 only if each kept
    /// exchange arrived whole.
    #[arg(long)]
    once: bool,
    /// Without MLflow, and so without Python: traces wait in a spool, and are read back from there.
    #[arg(long)]
    no_mlflow: bool,
}

/// Where traces can be looked at, and what keeps it there.
enum Tracking {
    Mlflow {
        uri: String,
        /// `None`: somebody else's.
        _server: Option<mlflow::Server>,
    },
    Spool(PathBuf),
}

/// Runs it until Ctrl-C, or once.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    let env = Env::from_process();
    let tracking = if options.no_mlflow {
        Tracking::spool()?
    } else {
        Tracking::mlflow()?
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("demo-model")
        .enable_all()
        .build()?;
    let model = runtime.block_on(upstream::Server::start(([127, 0, 0, 1], 0).into()))?;
    let config = config(&tracking, &model.url(""), &env)?;
    let source = tracking.source(&config)?;
    let listener = config
        .listeners
        .first()
        .context("the demo has a listener")?
        .address;

    log::start(&config.log);
    // Held to the end: its drop stops the proxy.
    let (stop, stopped) = oneshot::channel();
    let mut stop = Some(stop);
    let (started, is_up) = sync_channel(1);
    let proxy = std::thread::spawn(move || {
        let serving = Serving {
            started: Some(started),
            stop: Some(stopped),
        };
        serve::serve(&config, serving)
    });
    let result = is_up
        .recv_timeout(Duration::from_secs(30))
        .context("offpath did not start")
        .and_then(|()| {
            addresses(&tracking, &model.url(""), listener);
            let calls = runtime.block_on(traffic::send(&format!("http://{listener}")))?;
            let whole = runtime.block_on(check::arrived(&source, &calls))?;
            if options.once {
                return Ok(whole);
            }
            println!("\nRunning until Ctrl-C. Traces: {}", tracking.place());
            Ok(true)
        });
    if options.once || result.is_err() {
        drop(stop.take());
    }
    let drained = proxy
        .join()
        .map_err(|_| anyhow::anyhow!("the proxy's thread panicked"))??;
    println!(
        "offpath stopped: {} traces delivered on the way out, {} dropped, {} on disk.",
        drained.delivered, drained.dropped, drained.spooled
    );
    if let Tracking::Spool(path) = &tracking
        && options.once
    {
        std::fs::remove_dir_all(path).context("cannot remove the demo's spool")?;
    }
    Ok(if result? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Tracking {
    /// `MLFLOW_TRACKING_URI`, or a server of the demo's own.
    fn mlflow() -> anyhow::Result<Self> {
        if let Ok(uri) = std::env::var("MLFLOW_TRACKING_URI") {
            println!("MLflow: {uri} (from MLFLOW_TRACKING_URI)");
            return Ok(Self::Mlflow { uri, _server: None });
        }
        let cache = cache_folder()?;
        let mut progress = |step: &str| println!("MLflow: {step} ...");
        let installed =
            mlflow::Installation::ensure(&cache.join("mlflow"), &[mlflow::PACKAGE], &mut progress)?;
        progress("starting a server on SQLite");
        let server = mlflow::Server::start(&installed, &cache.join("demo"))?;
        Ok(Self::Mlflow {
            uri: server.uri().to_owned(),
            _server: Some(server),
        })
    }

    /// A folder that no other demo uses.
    fn spool() -> anyhow::Result<Self> {
        let name = format!("offpath-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).context("cannot make a folder for the spool")?;
        Ok(Self::Spool(path))
    }

    /// Where somebody can look.
    fn place(&self) -> String {
        match self {
            Self::Mlflow { uri, .. } => uri.clone(),
            Self::Spool(path) => format!("offpath spool ls --traces --path {}", path.display()),
        }
    }

    /// The `export` section of the configuration.
    fn export(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Mlflow { uri, .. } => format!(
                "  sinks: {{mlflow: {{type: mlflow, tracking_uri: \"{uri}\"}}}}\n  batch: {{linger: 200ms}}"
            ),
            // Nobody listens there: what is kept stays on disk.
            Self::Spool(path) => format!(
                "  sinks: {{mlflow: {{type: mlflow, tracking_uri: \"http://127.0.0.1:{}\"}}}}\n  spool: {{path: \"{}\", when: always}}",
                mlflow::free_port()?,
                path.display()
            ),
        })
    }

    /// Where the demo reads traces back.
    fn source(&self, config: &Config) -> anyhow::Result<Source> {
        match self {
            Self::Mlflow { .. } => reader(config).map(Source::Mlflow),
            Self::Spool(path) => Ok(Source::Spool(SpoolView::open(path)?)),
        }
    }
}

fn cache_folder() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let usual = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = named.filter(|path| path.is_absolute()).or_else(usual);
    Ok(cache
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("offpath"))
}

/// The configuration that the demo runs, as a user would write it.
fn config(tracking: &Tracking, model: &str, env: &Env) -> anyhow::Result<Config> {
    let export = tracking.export()?;
    let [proxy, telemetry, admin] =
        [8080, 9902, 9901].map(|usual| mlflow::port_near(usual).map(|p| format!("127.0.0.1:{p}")));
    let (proxy, telemetry, admin) = (proxy?, telemetry?, admin?);
    let text = format!(
        r#"listeners: [{{address: "{proxy}"}}]
upstreams: {{model: {{endpoints: ["{model}"]}}}}
routes:
  - name: chat
    match: {{path: /v1/chat/completions}}
    upstream: model
    trace: {{experiment: offpath-demo, user: [{{header: x-user-id}}], session: [{{header: x-session-id}}], tags: {{environment: demo}}}}
  - name: scoring
    match: {{path: /invocations}}
    upstream: model
    trace: {{experiment: offpath-demo, tags: {{environment: demo}}}}
export:
{export}
telemetry: {{address: "{telemetry}"}}
admin: {{address: "{admin}"}}
log: {{level: warn}}
"#
    );
    println!("\nThe configuration:\n\n{text}");
    Config::parse(&text, "demo.yaml", env).map_err(|errors| anyhow::anyhow!("{errors}"))
}

fn reader(config: &Config) -> anyhow::Result<Reader> {
    let mlflow = config
        .export
        .sinks
        .iter()
        .find_map(|sink| match &sink.kind {
            SinkKind::Mlflow(mlflow) => Some(mlflow),
            SinkKind::Otlp(_) => None,
        });
    ensure!(mlflow.is_some(), "the demo has an MLflow sink");
    Ok(Reader::new(mlflow.context("checked above")?)?)
}

fn addresses(tracking: &Tracking, model: &str, listener: std::net::SocketAddr) {
    println!("traces   {}", tracking.place());
    println!("model    {model}  (bundled: chat with streaming, DataFrame scoring)");
    println!("offpath  http://{listener}\n");
}
