//! The process's life: sockets, requests, signals, drain.
//!
//! pingora's own `Server` sleeps its whole grace period and cuts what is left, whatever is
//! under way. offpath runs pingora's services on a runtime of its own, so that a drain ends with
//! the last request, and what is cut is handed off when the runtime drops it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use anyhow::Context;
use offpath_config::Config;
use offpath_export::{Drained, Handle};
use offpath_filters::{CaptureBudget, Router};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use prometheus::Registry;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::alerts;
use crate::inflight::InFlight;
use crate::latency;
use crate::listener::{self, Limit};
use crate::metrics::Metrics;
use crate::ops::{AdminApp, Ops, TelemetryApp};
use crate::proxy::Gateway;
use crate::route::{self, RouteState};
use crate::signals::{self, Stops};
use crate::upstream::{self, Upstream};
use crate::workers::{Threads, Workers};

/// Connections get this long to end once no request is under way.
const CLOSING: Duration = Duration::from_millis(200);

/// Who else follows a run; nobody by default.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    /// Told once requests are taken.
    pub(crate) started: Option<SyncSender<()>>,
    /// Ends the run as SIGTERM does; its sender's drop does too.
    pub(crate) stop: Option<oneshot::Receiver<()>>,
}

/// The export gets what requests leave of `limits.drain`, and at least this much: what was cut
/// at the deadline is to be recorded too.
const FLUSHING: Duration = Duration::from_secs(5);

/// Runs until a signal ends it. What went on after the last request is in the answer.
pub(crate) fn serve(config: &Config, serving: Serving) -> anyhow::Result<Drained> {
    pingora_rustls::install_default_crypto_provider();
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::register(&registry)?);
    let (export, pipeline) = offpath_export::open(config, &registry)?;
    let hurry = pipeline.hurry();
    // Before the drain of the export it has nothing to hurry, and must not close it: the requests
    // that are cut are still to be recorded.
    let draining = Arc::new(AtomicBool::new(false));
    let may_hurry = Arc::clone(&draining);
    let stops = signals::listen(Box::new(move || {
        if may_hurry.load(SeqCst) {
            hurry.now();
        }
    }))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;

    let served =
        Parts::assemble(config, &metrics, export, registry).and_then(|(parts, threads)| {
            let served = runtime.block_on(parts.run(config, serving, &stops));
            // Drops what is still under way, which hands it off with the reason `shutdown`.
            threads.stop(CLOSING);
            served
        });
    runtime.shutdown_timeout(CLOSING);
    let left = served.as_ref().map_or(Duration::ZERO, |deadline| {
        deadline.saturating_duration_since(Instant::now())
    });
    draining.store(true, SeqCst);
    let hurried = stops.count() > 1;
    let drained = pipeline.drain(if hurried {
        Duration::ZERO
    } else {
        left.max(FLUSHING)
    });
    served.map(|_| drained)
}

/// Everything that runs.
struct Parts {
    workers: Arc<Workers>,
    limit: Limit,
    telemetry: Service<TelemetryApp>,
    admin: Service<AdminApp>,
    upstreams: Vec<Arc<Upstream>>,
    ops: Arc<Ops>,
}

impl Parts {
    fn assemble(
        config: &Config,
        metrics: &Arc<Metrics>,
        export: Handle,
        registry: Registry,
    ) -> anyhow::Result<(Self, Threads)> {
        let upstreams = Upstream::compile(config);
        let budget = CaptureBudget::new(config.limits.capture_bytes);
        let in_flight = InFlight::default();
        let routes = route::compile(config, &upstreams, metrics);
        let latency = routes.iter().filter_map(|route| route.latency.clone());
        let latency: Vec<_> = latency.collect();
        let gateway = Arc::new(Gateway {
            router: Router::new(&config.routes),
            routes: routes.clone(),
            unrouted: metrics.unrouted(),
            budget: budget.clone(),
            head_bytes: config.limits.head_bytes,
            export: export.clone(),
            in_flight: in_flight.clone(),
        });
        let (workers, threads) = Workers::start(&gateway)?;
        let limit = Limit {
            open: InFlight::default(),
            most: config.limits.connections,
            refused: metrics.connections_refused.clone(),
        };
        let ops = Arc::new(Ops {
            registry,
            metrics: Arc::clone(metrics),
            budget,
            routes,
            export,
            in_flight,
            latency,
            ready: AtomicBool::new(false),
        });
        let mut telemetry = Service::new("telemetry".to_owned(), TelemetryApp(Arc::clone(&ops)));
        telemetry.add_tcp(&config.telemetry.address.to_string());
        let mut admin = Service::new("admin".to_owned(), AdminApp(Arc::clone(&ops)));
        admin.add_tcp(&config.admin.address.to_string());
        let parts = Self {
            workers,
            limit,
            telemetry,
            admin,
            upstreams,
            ops,
        };
        Ok((parts, threads))
    }

    /// Serves until told to stop, then until the last request ends; gives the drain's deadline.
    async fn run(
        mut self,
        config: &Config,
        serving: Serving,
        stops: &Stops,
    ) -> anyhow::Result<Instant> {
        let Some(accepting) = self.workers.runtimes().next().cloned() else {
            anyhow::bail!("there is no thread to serve on");
        };
        let bound = listener::bind(&config.listeners, &accepting)?;
        [config.telemetry.address, config.admin.address]
            .into_iter()
            .try_for_each(bindable)?;
        upstream::resolve(&self.upstreams).await;

        let runtimes = self.workers.runtimes().cloned().collect();
        let _watch = latency::Watch::start(self.ops.latency.clone(), runtimes)?;
        // Two watches: probes are answered until the end of a drain.
        let (stop_proxy, proxy_watch) = watch::channel(false);
        let (_stop_ops, ops_watch) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let telemetry_watch = ops_watch.clone();
        tasks.spawn(async move { self.telemetry.start_service(None, telemetry_watch, 1).await });
        tasks.spawn(async move { self.admin.start_service(None, ops_watch, 1).await });
        tasks.spawn(upstream::watch(self.upstreams));
        tasks.spawn(watch(self.ops.routes.clone()));
        for listener in bound {
            let workers = Arc::clone(&self.workers);
            accepting.spawn(listener.accept(workers, self.limit.clone(), proxy_watch.clone()));
        }
        self.ops.ready.store(true, Relaxed);
        info!(version = env!("CARGO_PKG_VERSION"), "offpath is ready.");
        if let Some(started) = serving.started {
            // Whoever asked may be gone by now.
            started.try_send(()).ok();
        }

        tokio::select! {
            () = stops.times(1) => {}
            () = asked(serving.stop) => {}
            // A service ends before the signal only when it could not be started.
            _ = tasks.join_next() => anyhow::bail!("telemetry or admin could not be started"),
        }
        let deadline = Instant::now() + config.limits.drain;
        self.ops.ready.store(false, Relaxed);
        stop_proxy.send_replace(true);
        self.workers.end_idle().await;
        let in_flight = self.ops.in_flight.count();
        info!(in_flight, "Draining.");
        tokio::select! {
            () = self.ops.in_flight.idle() => {}
            () = tokio::time::sleep_until(deadline.into()) => {
                let cut = self.ops.in_flight.count();
                warn!(cut, "Requests are cut: limits.drain is over.");
            }
            () = stops.times(2) => warn!("A second signal: requests are cut."),
        }
        // The last responses' connections close by themselves.
        drop(tokio::time::timeout(CLOSING, self.limit.open.idle()).await);
        Ok(deadline)
    }
}

async fn asked(stop: Option<oneshot::Receiver<()>>) {
    match stop {
        Some(stop) => drop(stop.await),
        None => std::future::pending().await,
    }
}

/// Looks at the routes' alerts for as long as it runs.
async fn watch(routes: Vec<Arc<RouteState>>) {
    let mut looks = tokio::time::interval(alerts::LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = looks.tick().await;
        for watch in routes.iter().filter_map(|route| route.watch.as_ref()) {
            watch.look(now.into_std());
        }
    }
}

/// Asked beforehand: pingora panics where it cannot bind.
fn bindable(address: SocketAddr) -> anyhow::Result<()> {
    TcpListener::bind(address)
        .map(drop)
        .with_context(|| format!("cannot listen on `{address}`"))
}
