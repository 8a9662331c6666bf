//! `upstreams`: the model endpoints behind offpath, and how offpath connects to them.

use std::{sync::Arc, time::Duration};

use crate::{
    Endpoint, Scheme, check, endpoint,
    field::Field,
    kind::{self, Type},
    pem::{self, Certificates, Identity},
    units,
};

/// A model service with one endpoint or several.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Unique; the name in `routes[].upstream`.
    pub name: Arc<str>,
    /// At least one; several are used in turn.
    pub endpoints: Vec<Endpoint>,
    /// The `Host` header sent.
    pub host: HostHeader,
    /// How the request path is rewritten.
    pub path: PathRewrite,
    /// The HTTP version.
    pub http: UpstreamHttp,
    /// For `https://` endpoints; all `None` otherwise.
    pub tls: UpstreamTls,
    /// How long offpath waits.
    pub timeouts: Timeouts,
    /// Whether a request is sent again when a reused connection breaks before any response byte.
    pub retry_stale_connection: bool,
}

impl Upstream {
    /// The name that the endpoint's certificate must have, and that SNI carries. Never empty,
    /// because pingora does not verify a certificate against an empty one.
    pub fn sni<'a>(&'a self, endpoint: &'a Endpoint) -> &'a str {
        self.tls.sni.as_deref().unwrap_or(&endpoint.host)
    }
}

/// The `Host` header (`:authority` on h2) that the upstream sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// The endpoint's own, with its port where it is not the scheme's.
    Upstream,
    /// This one: `name` or `name:port`.
    Name(Arc<str>),
}

/// Rewriting of the request path: first strip, then add. The query stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRewrite {
    /// Removed from a path that begins with it, by whole segments; empty or beginning with `/`.
    pub strip_prefix: String,
    /// Put before the path; empty or beginning with `/`.
    pub add_prefix: String,
}

/// The HTTP version of requests to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHttp {
    /// By ALPN on `https://`, HTTP/1.1 on `http://`.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; h2c on `http://`, for gRPC.
    Http2,
}

/// TLS towards an upstream. Its certificate is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The certificates to trust instead of the system's.
    pub ca: Option<Certificates>,
    /// The server name, instead of the endpoint's; always set if an endpoint is an IP address.
    pub sni: Option<Arc<str>>,
    /// The certificate that offpath presents when the upstream requests one (`client_cert`,
    /// `client_key`).
    pub client: Option<Identity>,
}

/// How long offpath waits for an upstream; each is more than zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a TCP and TLS connection is made.
    pub connect: Duration,
    /// Maximum silence of the upstream, also before the first byte.
    pub read: Duration,
    /// Maximum time in which the upstream accepts no byte.
    pub write: Duration,
    /// How long an idle connection is kept for reuse; must be shorter than the upstream's own limit.
    pub keepalive_idle: Duration,
}

pub(crate) fn read(field: &Field<'_>) -> Vec<Upstream> {
    let entries = field.entries();
    if entries.is_empty() {
        field.fail("at least one upstream is needed");
    }
    entries
        .iter()
        .filter_map(|(key, field)| upstream(key, field))
        .collect()
}

fn upstream(key: &str, field: &Field<'_>) -> Option<Upstream> {
    let map = field.map();
    let name = check::name(key).map_err(|message| field.fail(message));
    let endpoints = endpoints(
        &map.key("endpoints", "URLs of the endpoints, without a path; several are used in turn, and failing ones are skipped for a while.")
            .example("[https://llm.internal:8443]")
            .required_place(Type::List(Box::new(Type::Url))),
    );
    let versions = [
        ("auto", UpstreamHttp::Auto),
        ("1", UpstreamHttp::Http1),
        ("2", UpstreamHttp::Http2),
    ];
    Some(Upstream {
        host: map
            .key("host", "`Host` header that the upstream receives: the client's (`preserve`), the endpoint's (`upstream`), or a name.")
            .or("preserve", kind::text_of(host)),
        path: path(&map.key("path", "Rewriting of the request path: first strip, then add.").section()),
        http: map
            .key("http", "HTTP version: by ALPN and else 1.1 (`auto`), 1.1, or 2 (h2c on `http://`, for gRPC).")
            .or("auto", kind::words(&versions)),
        tls: tls(
            &map.key("tls", "TLS for `https://` endpoints; certificates are always verified.").section(),
            &endpoints,
        ),
        timeouts: timeouts(&map.key("timeouts", "How long offpath waits; each is more than 0.").section()),
        retry_stale_connection: map
            .key("retry_stale_connection", "Whether a request is sent again when a reused connection breaks before any response byte.")
            .or("true", kind::boolean()),
        endpoints,
        name: name.ok()?,
    })
}

fn endpoints(field: &Field<'_>) -> Vec<Endpoint> {
    let items = field.items();
    if items.is_empty() {
        field.fail("at least one endpoint is needed");
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for item in items {
        let Some(endpoint) = item.required(endpoint::parse) else {
            continue;
        };
        let same = |other: &Endpoint| (&other.host, other.port) == (&endpoint.host, endpoint.port);
        if endpoints.iter().any(same) {
            item.fail("is given twice");
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn host(text: &str) -> Result<HostHeader, String> {
    match text {
        "preserve" => Ok(HostHeader::Preserve),
        "upstream" => Ok(HostHeader::Upstream),
        name => {
            let (host, port) = match name.rsplit_once(':') {
                Some((host, port)) if !port.contains(']') => (host, Some(port)),
                _ => (name, None),
            };
            port.map(units::port).transpose()?;
            check::host(host)
                .map_err(|cause| format!("{cause}, and not `preserve` or `upstream`"))?;
            Ok(HostHeader::Name(name.into()))
        }
    }
}

fn path(field: &Field<'_>) -> PathRewrite {
    let map = field.map();
    PathRewrite {
        strip_prefix: map
            .key(
                "strip_prefix",
                "Removed from a path that begins with it, by whole segments.",
            )
            .example("/llm")
            .or("", kind::prefix()),
        add_prefix: map
            .key("add_prefix", "Put before the path.")
            .example("/v1")
            .or("", kind::prefix()),
    }
}

fn tls(field: &Field<'_>, endpoints: &[Endpoint]) -> UpstreamTls {
    let map = field.map();
    let file = |name, about, example| map.key(name, about).example(example).place(Type::File);
    let ca = pem::authorities(&file(
        "ca",
        "PEM file with the certificates to trust instead of the system's.",
        "ca.pem",
    ));
    let sni_key = map
        .key(
            "sni",
            "Server name to send and to verify; required if an endpoint is an IP address.",
        )
        .otherwise("the endpoint's host")
        .example("llm.internal");
    let sni_field = sni_key.field();
    let sni = sni_key.optional(kind::text_of(check::dns_name));
    let cert = file(
        "client_cert",
        "PEM file with the certificate chain that offpath presents.",
        "client.pem",
    );
    let key = file(
        "client_key",
        "PEM file with the private key of that certificate.",
        "client.key",
    );
    let client = (cert.is_set() || key.is_set())
        .then(|| pem::identity(&cert, &key))
        .flatten();
    for endpoint in endpoints {
        let url = &endpoint.original;
        match endpoint.scheme {
            Scheme::Http if field.is_set() => {
                field.fail(format!("is set, but endpoint `{url}` is not https"));
            }
            Scheme::Https if endpoint.is_ip() && !sni_field.is_set() => {
                sni_field.fail(format!(
                    "is required: endpoint `{url}` has no name to verify its certificate against"
                ));
            }
            Scheme::Http | Scheme::Https => {}
        }
    }
    UpstreamTls { ca, sni, client }
}

fn timeouts(field: &Field<'_>) -> Timeouts {
    let map = field.map();
    Timeouts {
        connect: map
            .key("connect", "Until a TCP and TLS connection is made.")
            .or("1s", kind::positive_duration()),
        read: map
            .key("read", "Maximum silence of the upstream, also before the first byte.")
            .or("300s", kind::positive_duration()),
        write: map
            .key("write", "Maximum time in which the upstream accepts no byte.")
            .or("30s", kind::positive_duration()),
        keepalive_idle: map
            .key("keepalive_idle", "How long an idle connection is kept for reuse; must be shorter than the upstream's own limit.")
            .or("4s", kind::positive_duration()),
    }
}
