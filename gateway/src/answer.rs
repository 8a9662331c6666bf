//! What offpath adds to responses, and the answers that it gives by itself.

use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use offpath_config::ResponseHeaders;
use offpath_filters::Figures;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use serde_json::json;
use tracing::debug;

use crate::ctx::Ctx;

/// Puts offpath's own fields on a response head that is about to be written.
pub(crate) fn add_headers(head: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    let wanted = ctx
        .route
        .as_ref()
        .map(|admitted| admitted.state.headers.clone());
    let wanted = wanted.unwrap_or(ResponseHeaders {
        server_timing: true,
        overhead: true,
        trace_id: true,
    });
    if let Some(id) = ctx.trace_id().filter(|_| wanted.trace_id) {
        head.insert_header("x-offpath-trace-id", id)?;
    }
    // Last, so that the figure covers as much as a header can.
    let figures: Figures = ctx.capture.response_composed(Instant::now());
    if wanted.overhead {
        head.insert_header(
            "x-offpath-overhead-us",
            figures.offpath.as_micros().to_string(),
        )?;
    }
    if wanted.server_timing {
        head.append_header("server-timing", figures.server_timing())?;
    }
    Ok(())
}

/// Answers a request that no upstream answers. Errors on the way are the client's loss alone.
pub(crate) async fn refuse(
    session: &mut Session,
    ctx: &mut Ctx,
    status: u16,
    kind: &str,
    message: &str,
) {
    ctx.capture.marks().own_again(Instant::now());
    let body = json!({"error": {"type": kind, "message": message, "trace_id": ctx.trace_id()}});
    let body = Bytes::from(body.to_string());
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Err(error) = write(session, ctx, status, body).await {
        debug!(%error, "The client left before offpath's answer.");
    }
}

async fn write(
    session: &mut Session,
    ctx: &mut Ctx,
    status: StatusCode,
    body: Bytes,
) -> Result<()> {
    let mut head = ResponseHeader::build(status, Some(6))?;
    head.insert_header(http::header::CONTENT_TYPE, "application/json")?;
    head.insert_header(http::header::CONTENT_LENGTH, body.len().to_string())?;
    ctx.capture.response_head(status, &head.headers, None);
    add_headers(&mut head, ctx)?;
    ctx.status = Some(status.as_u16());
    let bodiless = session.req_header().method == http::Method::HEAD;
    // What is left of the request's body is not worth reading.
    session.set_keepalive(None);
    session
        .write_response_header(Box::new(head), bodiless)
        .await?;
    if !bodiless {
        ctx.capture.response_chunk(&body, Instant::now());
        session.write_response_body(Some(body), true).await?;
    }
    ctx.response_ended = true;
    Ok(())
}
