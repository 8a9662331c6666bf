//! From request to response: knobs, body, delay, route.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::behaviour::Draws;
use super::body::{Body, paced};
use super::knobs::Knobs;
use super::reply::{Content, Reply};
use super::{chat, scoring};
use crate::alarm::Alarm;

/// A longer request body is answered with 413.
const REQUEST_BYTES_MAX: usize = 256 << 20;

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    alarm: Alarm,
    draws: &Draws,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let default = match parts.uri.path() {
        // Probes are to tell whether it is there.
        "/ping" | "/health" | "/version" => Knobs::default(),
        _ => draws.next(),
    };
    let (reply, knobs) = match (Knobs::read(&parts, default), collect(body).await) {
        (Ok(knobs), Ok(body)) => {
            let received = Instant::now();
            let reply = route(&parts, &body, &knobs);
            alarm.sleep_until(received + knobs.delay).await;
            spin(knobs.spin);
            (reply, Some(knobs))
        }
        (Err(message), _) => (invalid(StatusCode::BAD_REQUEST, &message), None),
        (_, Err(reply)) => (reply, None),
    };
    Ok(respond(reply, knobs.unwrap_or_default(), alarm))
}

/// Keeps the core for `duration`.
fn spin(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

fn respond(reply: Reply, knobs: Knobs, alarm: Alarm) -> Response<Body> {
    // Stated even where the body is sent in pieces, so that a cut shows as a missing rest.
    let length = match &reply.content {
        Content::Whole(body) => Some(HeaderValue::from(body.len())),
        Content::Events(_) => None,
    };
    let body = paced(reply.content, knobs, alarm);
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, reply.content_type);
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    response
}

fn route(parts: &Parts, body: &Bytes, knobs: &Knobs) -> Reply {
    if let Some(status) = knobs.status {
        let message = format!("injected status {}", status.as_u16());
        return Reply::error(status, "injected_error", &message);
    }
    match (&parts.method, parts.uri.path()) {
        (&Method::POST, "/v1/chat/completions") => chat::answer(body, knobs.tokens),
        (&Method::POST, "/invocations") => {
            scoring::answer(parts.headers.get(header::CONTENT_TYPE), body)
        }
        (&Method::POST, "/echo") => {
            let octets = || HeaderValue::from_static("application/octet-stream");
            let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
            let content_type = content_type.unwrap_or_else(octets);
            Reply::whole(StatusCode::OK, content_type, body.clone())
        }
        (&Method::GET, "/ping" | "/health") => Reply::text("\n"),
        (&Method::GET, "/version") => Reply::text(env!("CARGO_PKG_VERSION")),
        (method, path) => {
            let message = format!("no route for {method} {path}");
            invalid(StatusCode::NOT_FOUND, &message)
        }
    }
}

async fn collect(body: Incoming) -> Result<Bytes, Reply> {
    match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(invalid(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the body is over {REQUEST_BYTES_MAX} bytes"),
        )),
        Err(error) => Err(invalid(StatusCode::BAD_REQUEST, &error.to_string())),
    }
}

fn invalid(status: StatusCode, message: &str) -> Reply {
    Reply::error(status, "invalid_request_error", message)
}
