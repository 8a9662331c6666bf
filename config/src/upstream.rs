//! `upstreams`: the model endpoints behind offpath, and how they are spoken to.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{Endpoint, Scheme, check, endpoint, field::Field, pem, units};

/// A model endpoint with one address or several.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Unique; what routes name.
    pub name: Arc<str>,
    /// At least one; several are taken in turn.
    pub endpoints: Vec<Endpoint>,
    /// The `Host` header sent.
    pub host: HostHeader,
    /// What becomes of the request path.
    pub path: PathRewrite,
    /// The version spoken.
    pub http: UpstreamHttp,
    /// For `https://` endpoints; all `None` otherwise.
    pub tls: UpstreamTls,
    /// How long offpath waits.
    pub timeouts: Timeouts,
    /// Whether a request goes out again when a reused connection died before any response byte.
    pub retry_stale_connection: bool,
}

impl Upstream {
    /// The name that the endpoint's certificate must have, and that SNI carries. Never empty,
    /// because pingora takes an empty one for "do not verify".
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
    /// Taken off where the path begins with it; empty or beginning with `/`.
    pub strip_prefix: String,
    /// Put in front; empty or beginning with `/`.
    pub add_prefix: String,
}

/// The HTTP version spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHttp {
    /// By ALPN on `https://`, HTTP/1.1 on `http://`.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; h2c on `http://`, for gRPC.
    Http2,
}

/// TLS towards an upstream. The certificate is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM certificates to trust instead of the system's; parsed.
    pub ca: Option<PathBuf>,
    /// The server name, in place of the endpoint's; always there where an endpoint is an IP address.
    pub sni: Option<Arc<str>>,
    /// What offpath shows when the upstream asks who it is.
    pub client: Option<ClientIdentity>,
}

/// A client certificate and its key: read, parsed, and fitting each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM certificate chain, leaf first (`client_cert`).
    pub cert: PathBuf,
    /// PEM private key of the leaf (`client_key`).
    pub key: PathBuf,
}

/// How long offpath waits for an upstream; none is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS until connected.
    pub connect: Duration,
    /// The longest silence of the upstream, before the first byte too.
    pub read: Duration,
    /// The longest time in which the upstream takes no byte.
    pub write: Duration,
    /// How long an idle connection is kept for reuse; shorter than the upstream's own patience.
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
    let endpoints = endpoints(&map.field("endpoints"));
    let http = [
        ("auto", UpstreamHttp::Auto),
        ("1", UpstreamHttp::Http1),
        ("2", UpstreamHttp::Http2),
    ];
    let tls_field = map.field("tls");
    let tls = tls(&tls_field, &endpoints);
    Some(Upstream {
        host: map.field("host").or(HostHeader::Preserve, host),
        path: path(&map.field("path")),
        http: map.field("http").choice(UpstreamHttp::Auto, &http),
        tls,
        timeouts: timeouts(&map.field("timeouts")),
        retry_stale_connection: map.field("retry_stale_connection").or(true, units::boolean),
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
    let prefix = |key| map.field(key).or(String::new(), check::path_prefix);
    PathRewrite {
        strip_prefix: prefix("strip_prefix"),
        add_prefix: prefix("add_prefix"),
    }
}

fn tls(field: &Field<'_>, endpoints: &[Endpoint]) -> UpstreamTls {
    let map = field.map();
    let ca = pem::authorities(&map.field("ca"));
    let sni_field = map.field("sni");
    let sni = sni_field.optional(check::dns_name);
    let (cert, key) = (map.field("client_cert"), map.field("client_key"));
    let client = (cert.is_set() || key.is_set())
        .then(|| pem::identity(&cert, &key))
        .flatten()
        .map(|(cert, key)| ClientIdentity { cert, key });
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
    let seconds = |key, default| {
        map.field(key)
            .or(Duration::from_secs(default), units::some_duration)
    };
    Timeouts {
        connect: seconds("connect", 1),
        read: seconds("read", 300),
        write: seconds("write", 30),
        keepalive_idle: seconds("keepalive_idle", 4),
    }
}
