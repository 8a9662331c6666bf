//! The request head as the upstream gets it: Host, path, and offpath's own fields.

use std::net::SocketAddr;

use http::header::HOST;
use offpath_config::{HostHeader, PathRewrite};
use offpath_filters::strip_prefix;
use pingora::Result;
use pingora::http::RequestHeader;

use crate::ctx::{Admitted, Ctx};

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) client: Option<SocketAddr>,
    pub(crate) tls: bool,
}

/// Makes the client's head the upstream's.
pub(crate) fn rewrite(head: &mut RequestHeader, ctx: &Ctx, origin: Origin) -> Result<()> {
    let Some(admitted) = &ctx.route else {
        return Ok(());
    };
    forwarded(head, origin)?;
    host(head, ctx, admitted)?;
    path(head, &admitted.state.upstream.path)?;
    head.insert_header("x-request-id", &*admitted.request_id)?;
    // A route that is not traced says nothing of traces.
    if admitted.state.tracing.is_some()
        && let Some(context) = admitted.propagation.traceparent(admitted.sampled)
    {
        head.insert_header("traceparent", context.to_string())?;
    }
    Ok(())
}

/// The host that a client asked for.
pub(crate) fn host_of(head: &RequestHeader) -> &str {
    let header = head.headers.get(HOST).and_then(|value| value.to_str().ok());
    header
        .or_else(|| head.uri.authority().map(|authority| authority.as_str()))
        .unwrap_or_default()
}

/// `x-forwarded-for` grows by the client; the others stay as an outer proxy set them.
fn forwarded(head: &mut RequestHeader, origin: Origin) -> Result<()> {
    if let Some(client) = origin.client {
        let mut chain: Vec<u8> = Vec::with_capacity(48);
        for value in head.headers.get_all("x-forwarded-for") {
            chain.extend_from_slice(value.as_bytes());
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(client.ip().to_string().as_bytes());
        head.insert_header("x-forwarded-for", chain)?;
    }
    if !head.headers.contains_key("x-forwarded-proto") {
        head.insert_header(
            "x-forwarded-proto",
            if origin.tls { "https" } else { "http" },
        )?;
    }
    if !head.headers.contains_key("x-forwarded-host") {
        let host = host_of(head).to_owned();
        if !host.is_empty() {
            head.insert_header("x-forwarded-host", host)?;
        }
    }
    Ok(())
}

fn host(head: &mut RequestHeader, ctx: &Ctx, admitted: &Admitted) -> Result<()> {
    match (&admitted.state.upstream.host, &ctx.peer) {
        (HostHeader::Preserve, _) | (HostHeader::Upstream, None) => Ok(()),
        (HostHeader::Upstream, Some((endpoint, _))) => {
            head.insert_header(HOST, &*endpoint.template().authority)
        }
        (HostHeader::Name(name), _) => head.insert_header(HOST, &**name),
    }
}

/// First strips, then adds; the query stays, and so do bytes that are no UTF-8.
fn path(head: &mut RequestHeader, rewrite: &PathRewrite) -> Result<()> {
    match rewritten(head.raw_path(), rewrite) {
        Some(target) => head.set_raw_path(&target),
        None => Ok(()),
    }
}

/// The new target; `None`: as it is. Only origin form is rewritten (RFC 9112, section 3.2.1).
fn rewritten(target: &[u8], rewrite: &PathRewrite) -> Option<Vec<u8>> {
    if !target.starts_with(b"/") {
        return None;
    }
    let rest = strip_prefix(target, rewrite.strip_prefix.as_bytes()).unwrap_or(target);
    let added = rewrite.add_prefix.trim_end_matches('/').as_bytes();
    if added.is_empty() && rest.len() == target.len() {
        return None;
    }
    let root: &[u8] = if rest.starts_with(b"/") || !added.is_empty() {
        b""
    } else {
        b"/"
    };
    Some([added, root, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(strip: &str, add: &str, target: &str, expect: Option<&str>) {
        let rewrite = PathRewrite {
            strip_prefix: strip.into(),
            add_prefix: add.into(),
        };
        let found = rewritten(target.as_bytes(), &rewrite);
        assert_eq!(found.as_deref(), expect.map(str::as_bytes), "{target}");
    }

    #[test]
    fn a_path_loses_its_prefix_and_gains_another() {
        check("", "", "/v1/chat?x=1", None);
        check("/llm", "", "/llm/v1/chat?x=1", Some("/v1/chat?x=1"));
        check("/llm/", "", "/llm/v1/chat", Some("/v1/chat"));
        check("/llm", "", "/llm", Some("/"));
        check("/llm", "", "/llm?x=1", Some("/?x=1"));
        check("/llm", "", "/llms/v1", None);
        check("/llm", "/serving", "/llm/v1", Some("/serving/v1"));
        check("/llm", "/serving/", "/other", Some("/serving/other"));
        check("/llm", "/serving", "/llm", Some("/serving"));
        check("/llm", "/serving", "*", None);
        check("", "/a", "http://elsewhere/x", None);
    }
}
