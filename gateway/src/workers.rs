//! The proxy's threads.
//!
//! Each has a runtime, a pool of upstream connections, and its clients to itself, so that no
//! request wakes up another thread: handing a task over costs more than all else that offpath
//! adds to it. A connection goes to the thread that has the fewest and stays there, as with
//! nginx, haproxy and Envoy.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::inflight::{Guard, InFlight};
use crate::proxy::{Gateway, Phases};
use crate::socket::ClientSocket;

/// A TLS handshake is over within this time.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// An HTTP/2 connection without a stream is closed after this long.
const H2_IDLE: Duration = Duration::from_secs(300);

/// Pooled upstream connections of a thread, all endpoints together.
const POOLED_CONNECTIONS: usize = 1024;

/// Attempts at a request: the first, one more on a fresh connection, one at another endpoint.
const ATTEMPTS: usize = 3;

/// pingora's proxy, on one thread.
type Proxy = Arc<HttpProxy<Phases>>;

/// Where connections are served.
pub(crate) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    proxy: Proxy,
    open: InFlight,
}

/// The threads themselves; they end when this is dropped.
pub(crate) struct Threads {
    stop: watch::Sender<()>,
    ended: Receiver<()>,
    count: usize,
}

/// A connection to serve, and what counts it as open until it ends.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<Acceptor>>,
    pub(crate) open: Guard,
}

impl Workers {
    /// Starts a thread for each core.
    pub(crate) fn start(gateway: &Arc<Gateway>) -> anyhow::Result<(Arc<Self>, Threads)> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let (stop, stopped) = watch::channel(());
        let (ends, ended) = sync_channel(count);
        let all = (0..count)
            .map(|_| {
                Ok(Worker {
                    runtime: thread(stopped.clone(), ends.clone())?,
                    proxy: proxy(gateway),
                    open: InFlight::default(),
                })
            })
            .collect::<io::Result<_>>()
            .context("cannot start the proxy's threads")?;
        let threads = Threads { stop, ended, count };
        Ok((Arc::new(Self(all)), threads))
    }

    /// To run something on each.
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.0.iter().map(|worker| &worker.runtime)
    }

    /// Serves a connection, on the thread that has the fewest.
    pub(crate) fn serve(&self, client: Client, shutdown: &ShutdownWatch) {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.open.count()) else {
            return;
        };
        let here = worker.open.enter();
        let (proxy, shutdown) = (Arc::clone(&worker.proxy), shutdown.clone());
        worker.runtime.spawn(async move {
            let address = client.address;
            if let Err(error) = serve(client, &proxy, shutdown).await {
                debug!(%error, %address, "Connection failed.");
            }
            drop(here);
        });
    }

    /// Ends connections that wait for a request.
    pub(crate) async fn end_idle(&self) {
        for worker in &self.0 {
            ServerApp::cleanup(&*worker.proxy).await;
        }
    }
}

impl Threads {
    /// Drops all that is under way, and waits so long for the threads to end.
    pub(crate) fn stop(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        drop(self.stop);
        let left = || deadline.saturating_duration_since(Instant::now());
        let ended = (0..self.count).take_while(|_| self.ended.recv_timeout(left()).is_ok());
        let stuck = self.count - ended.count();
        if stuck > 0 {
            warn!(stuck, "Threads of the proxy did not end in time.");
        }
    }
}

/// A thread with a runtime, until the watch's other end is dropped.
fn thread(mut stopped: watch::Receiver<()>, ended: SyncSender<()>) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("offpath-proxy".to_owned())
        .spawn(move || {
            runtime.block_on(async { while stopped.changed().await.is_ok() {} });
            drop(runtime);
            // Nobody waits where the run failed.
            ended.send(()).ok();
        })?;
    Ok(handle)
}

fn proxy(gateway: &Arc<Gateway>) -> Proxy {
    let conf = ServerConf {
        // Of this proxy: pingora's pool has room for so many connections times its threads.
        threads: 1,
        upstream_keepalive_pool_size: POOLED_CONNECTIONS,
        max_retries: ATTEMPTS,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(Phases(Arc::clone(gateway)), Arc::new(conf));
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(H2_IDLE);
    proxy.server_options = Some(options);
    proxy.handle_init_modules();
    Arc::new(proxy)
}

async fn serve(client: Client, proxy: &Proxy, shutdown: ShutdownWatch) -> anyhow::Result<()> {
    let Client {
        socket,
        address,
        tls,
        open: _open,
    } = client;
    socket.set_nodelay(true)?;
    let stream = tokio::net::TcpStream::from_std(socket)?;
    let socket = ClientSocket::new(stream, address);
    let turns = socket.turns();
    let task = async {
        let mut next: Option<Stream> = match tls {
            None => Some(Box::new(socket)),
            Some(tls) => {
                let handshake = tokio::time::timeout(HANDSHAKE, tls.tls_handshake(socket));
                Some(Box::new(handshake.await??))
            }
        };
        while let Some(stream) = next {
            next = proxy.process_new(stream, &shutdown).await;
        }
        Ok(())
    };
    turns.run(task).await
}
