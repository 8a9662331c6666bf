//! Where clients connect: sockets, TLS, and the limit of connections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use offpath_config::{Listener, ListenerTls};
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;
use prometheus::IntCounter;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;

use crate::inflight::InFlight;
use crate::proxy::Phases;

/// An HTTP/2 connection without a stream is closed after this long.
const H2_IDLE: Duration = Duration::from_secs(300);

/// Pooled upstream connections, all endpoints together.
const POOLED_CONNECTIONS: usize = 1024;

/// Attempts at a request: the first, one more on a fresh connection, one at another endpoint.
const ATTEMPTS: usize = 3;

/// pingora's proxy behind a limit of connections.
pub(crate) struct Limited {
    proxy: Arc<HttpProxy<Phases>>,
    open: InFlight,
    limit: usize,
    refused: IntCounter,
}

impl Limited {
    /// Closes each connection past `limit` and counts it.
    pub(crate) fn new(phases: Phases, threads: usize, limit: usize, refused: IntCounter) -> Self {
        let conf = ServerConf {
            threads,
            upstream_keepalive_pool_size: POOLED_CONNECTIONS,
            max_retries: ATTEMPTS,
            ..ServerConf::default()
        };
        let mut proxy = HttpProxy::new(phases, Arc::new(conf));
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(H2_IDLE);
        proxy.server_options = Some(options);
        proxy.handle_init_modules();
        Self {
            proxy: Arc::new(proxy),
            open: InFlight::default(),
            limit,
            refused,
        }
    }
}

#[async_trait]
impl ServerApp for Limited {
    async fn process_new(
        self: &Arc<Self>,
        session: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let Some(_open) = self.open.enter_below(self.limit) else {
            self.refused.inc();
            return None;
        };
        self.proxy.process_new(session, shutdown).await
    }

    async fn cleanup(&self) {
        ServerApp::cleanup(&*self.proxy).await;
    }
}

/// The service that takes requests on all listeners.
pub(crate) fn service(app: Limited, listeners: &[Listener]) -> anyhow::Result<Service<Limited>> {
    let mut service = Service::new("proxy".to_owned(), app);
    for listener in listeners {
        // pingora holds up to 1,460 bytes of a response with a Content-Length back until more
        // comes; without a write buffer each piece leaves as it came.
        let mut config = ListenerConfig::tcp(listener.address.to_string())
            .l4_buffer(L4BufferSettings::default().write(0));
        if let Some(tls) = &listener.tls {
            config = config.tls(tls_settings(tls)?);
        }
        service.add_listener(config);
    }
    Ok(service)
}

fn tls_settings(tls: &ListenerTls) -> anyhow::Result<TlsSettings> {
    let mut settings =
        TlsSettings::intermediate(&tls.cert.to_string_lossy(), &tls.key.to_string_lossy())?;
    settings.enable_h2();
    if let Some(ca) = &tls.client_ca {
        let roots = Arc::new(roots(ca)?);
        settings.set_client_cert_verifier(WebPkiClientVerifier::builder(roots).build()?);
    }
    Ok(settings)
}

fn roots(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        store.add(certificate?)?;
    }
    Ok(store)
}
