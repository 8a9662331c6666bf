//! Names to addresses, beside the request path.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::{EndpointState, Upstream};

/// How often names are looked up again. The resolver of the C library tells no time to live.
const EVERY: Duration = Duration::from_secs(10);

/// Looks every name up once; what fails is logged, and tried again by [`watch`].
pub(crate) async fn resolve(upstreams: &[Arc<Upstream>]) {
    for endpoint in upstreams.iter().flat_map(|upstream| &upstream.endpoints) {
        look_up(endpoint).await;
    }
}

/// Keeps the addresses of all names fresh, for as long as it is polled.
pub(crate) async fn watch(upstreams: Vec<Arc<Upstream>>) {
    loop {
        tokio::time::sleep(EVERY).await;
        resolve(&upstreams).await;
    }
}

async fn look_up(endpoint: &EndpointState) {
    let template = endpoint.template();
    if template.literal_address().is_some() {
        return;
    }
    let had = endpoint.is_resolved();
    match tokio::net::lookup_host((&*template.host, template.port)).await {
        Ok(addresses) => {
            endpoint.set_addresses(addresses.collect());
            if !had && endpoint.is_resolved() {
                info!(endpoint = &*template.original, "Endpoint resolved.");
            }
        }
        Err(error) if !had => {
            warn!(%error, endpoint = &*template.original, "Endpoint cannot be resolved yet.");
        }
        // The last addresses stay in use: a name server's bad moment is no outage.
        Err(error) => debug!(%error, endpoint = &*template.original, "Resolving failed."),
    }
}
