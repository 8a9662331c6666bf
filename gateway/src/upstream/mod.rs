//! Upstreams: which address a request goes to.
//!
//! Names are resolved beside the request path (pingora's own look-up blocks and panics); a
//! request takes the next address in turn, passing over those that lately refused a connection.

mod endpoint;
mod peer;
mod resolve;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use offpath_config::{self as config, HostHeader, PathRewrite};

pub(crate) use endpoint::EndpointState;
pub(crate) use resolve::{resolve, watch};

/// A model endpoint with one address or several.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: Arc<str>,
    pub(crate) host: HostHeader,
    pub(crate) path: PathRewrite,
    pub(crate) retry_stale_connection: bool,
    pub(crate) endpoints: Vec<Arc<EndpointState>>,
    turn: AtomicUsize,
}

impl Upstream {
    /// The upstreams of a configuration, in its order.
    pub(crate) fn compile(config: &config::Config) -> Vec<Arc<Self>> {
        let upstream = |(group, upstream): (usize, &config::Upstream)| {
            let templates = peer::templates(upstream, group as u64);
            let state = |template| Arc::new(EndpointState::new(template));
            Arc::new(Self {
                name: Arc::clone(&upstream.name),
                host: upstream.host.clone(),
                path: upstream.path.clone(),
                retry_stale_connection: upstream.retry_stale_connection,
                endpoints: templates.into_iter().map(state).collect(),
                turn: AtomicUsize::new(0),
            })
        };
        config.upstreams.iter().enumerate().map(upstream).collect()
    }

    /// The next endpoint in turn that has an address: one that answers before one that lately
    /// did not. `None`: no name could be resolved yet.
    pub(crate) fn next(&self, now: Instant) -> Option<&Arc<EndpointState>> {
        let first = self.turn.fetch_add(1, Relaxed);
        let count = self.endpoints.len();
        let in_turn = || {
            let order = (0..count).map(move |step| first.wrapping_add(step) % count);
            order
                .filter_map(|index| self.endpoints.get(index))
                .filter(|e| e.is_resolved())
        };
        in_turn()
            .find(|endpoint| !endpoint.is_ejected(now))
            .or_else(|| in_turn().next())
    }
}
