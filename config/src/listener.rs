//! `listeners`: where clients connect.

use std::{net::SocketAddr, path::PathBuf};

use crate::{address::Addresses, field::Field, pem, units};

/// An address that takes requests. A plain one speaks HTTP/1.1 and h2c, one with TLS offers h2 by ALPN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it is bound; the port is never 0.
    pub address: SocketAddr,
    /// TLS, where it is wanted.
    pub tls: Option<ListenerTls>,
}

/// The files of a TLS listener. They were read and parsed, and the key fits the certificate:
/// pingora panics on a pair that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// PEM certificate chain, leaf first.
    pub cert: PathBuf,
    /// PEM private key of the leaf.
    pub key: PathBuf,
    /// PEM certificates that a client's certificate must chain to; `None`: clients show none.
    pub client_ca: Option<PathBuf>,
}

pub(crate) fn read(field: &Field<'_>, addresses: &mut Addresses) -> Vec<Listener> {
    let items = field.items();
    if items.is_empty() {
        field.fail("at least one listener is needed");
    }
    items
        .iter()
        .filter_map(|item| listener(item, addresses))
        .collect()
}

fn listener(field: &Field<'_>, addresses: &mut Addresses) -> Option<Listener> {
    let map = field.map();
    let address_field = map.field("address");
    let address = address_field.required(units::address);
    if let Some(address) = address {
        addresses.claim(&address_field, address);
    }
    let tls_field = map.field("tls");
    if tls_field.is_null() {
        // A listener that should have had TLS must not come up plain.
        tls_field.fail("is empty: leave the key out for a plain listener");
    }
    let tls = tls_field.is_set().then(|| tls(&tls_field)).flatten();
    Some(Listener {
        address: address?,
        tls,
    })
}

fn tls(field: &Field<'_>) -> Option<ListenerTls> {
    let map = field.map();
    let identity = pem::identity(&map.field("cert"), &map.field("key"));
    let client_ca = pem::authorities(&map.field("client_ca"));
    let (cert, key) = identity?;
    Some(ListenerTls {
        cert,
        key,
        client_ca,
    })
}
