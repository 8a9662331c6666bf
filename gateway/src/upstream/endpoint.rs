//! One endpoint: its addresses, and whether it lately refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pingora::upstreams::peer::HttpPeer;

use super::peer::Template;

/// How long an endpoint that refused a connection is passed over, where others answer.
const EJECTED_FOR: Duration = Duration::from_secs(5);

/// One endpoint of an upstream.
#[derive(Debug)]
pub(crate) struct EndpointState {
    template: Template,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    /// Milliseconds from `born`; 0: not ejected.
    ejected_until: AtomicU64,
    born: Instant,
    /// For peers that must not share a pooled connection.
    fresh: AtomicU64,
}

impl EndpointState {
    pub(super) fn new(template: Template) -> Self {
        let known = template.literal_address().into_iter().collect();
        Self {
            template,
            addresses: ArcSwap::from_pointee(known),
            turn: AtomicUsize::new(0),
            ejected_until: AtomicU64::new(0),
            born: Instant::now(),
            fresh: AtomicU64::new(1),
        }
    }

    /// What the pool and TLS need to know of it.
    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// A peer at the next of its addresses. `fresh`: on a connection of its own, which no
    /// other request used before. `None`: its name is not resolved.
    pub(crate) fn peer(&self, fresh: bool) -> Option<(Box<HttpPeer>, SocketAddr)> {
        let addresses = self.addresses.load();
        let turn = self.turn.fetch_add(1, Relaxed);
        let address = *addresses.get(turn % addresses.len().max(1))?;
        let mut peer = Box::new(self.template.peer(address));
        if fresh {
            // pingora's pool is keyed by the peer: a key of its own finds nothing to reuse, and
            // the connection is closed when it is given back.
            peer.group_key = u64::MAX - self.fresh.fetch_add(1, Relaxed);
            peer.options.idle_timeout = Some(Duration::ZERO);
        }
        Some((peer, address))
    }

    /// Whether there is an address to connect to.
    pub(crate) fn is_resolved(&self) -> bool {
        !self.addresses.load().is_empty()
    }

    /// What its name stands for now; an empty answer leaves the last one in place.
    pub(super) fn set_addresses(&self, addresses: Vec<SocketAddr>) {
        if !addresses.is_empty() && **self.addresses.load() != addresses {
            self.addresses.store(Arc::new(addresses));
        }
    }

    /// It refused a connection.
    pub(crate) fn eject(&self, now: Instant) {
        let until = now.saturating_duration_since(self.born) + EJECTED_FOR;
        self.ejected_until.store(millis(until), Relaxed);
    }

    /// It took one.
    pub(crate) fn admit(&self) {
        if self.ejected_until.load(Relaxed) != 0 {
            self.ejected_until.store(0, Relaxed);
        }
    }

    /// Whether it lately refused.
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        millis(now.saturating_duration_since(self.born)) < self.ejected_until.load(Relaxed)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
