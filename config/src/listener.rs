//! `listeners`: the addresses that clients connect to.

use std::net::SocketAddr;

use crate::{
    address::Addresses,
    field::Field,
    kind::{self, Type},
    pem::{self, Certificates, Identity},
};

/// An address that accepts requests. A plain listener speaks HTTP/1.1 and h2c; one with TLS
/// negotiates HTTP/2 by ALPN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address to bind; the port is never 0.
    pub address: SocketAddr,
    /// `None` for a plain listener.
    pub tls: Option<ListenerTls>,
}

/// TLS of a listener, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate chain and key that the listener presents.
    pub identity: Identity,
    /// The authorities that a client's certificate must chain to; `None`: no client certificate is
    /// requested.
    pub client_ca: Option<Certificates>,
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
    let address_key = map
        .key("address", "Address and port that clients connect to.")
        .example("0.0.0.0:8080");
    let address_field = address_key.field();
    let address = address_key.required(kind::address());
    if let Some(address) = address {
        addresses.claim(&address_field, address);
    }
    let tls_field = map
        .key(
            "tls",
            "TLS with HTTP/2 by ALPN; a listener without it speaks HTTP/1.1 and h2c.",
        )
        .section();
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
    let cert = map
        .key("cert", "PEM file with the certificate chain, leaf first.")
        .example("server.pem")
        .required_place(Type::File);
    let key = map
        .key("key", "PEM file with the private key of the leaf.")
        .example("server.key")
        .required_place(Type::File);
    let client_ca = map
        .key(
            "client_ca",
            "PEM file with the authorities that a client's certificate must chain to.",
        )
        .example("ca.pem")
        .place(Type::File);
    let identity = pem::identity(&cert, &key);
    let client_ca = pem::authorities(&client_ca);
    Some(ListenerTls {
        identity: identity?,
        client_ca,
    })
}
