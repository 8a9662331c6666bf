//! The HTTP service: reads a request and its knobs, waits, and responds by route.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::behaviour::KnobSampler;
use super::body::{Body, paced};
use super::knobs::Knobs;
use super::reply::{Content, Reply};
use super::{chat, scoring};
use crate::alarm::Alarm;

/// Maximum length of a request body; a longer one gets status 413.
const REQUEST_BYTES_MAX: usize = 256 << 20;

/// Responds to one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    alarm: Alarm,
    sampler: &KnobSampler,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let default = match parts.uri.path() {
        // Health checks must not be delayed or fail.
        "/ping" | "/health" | "/version" => Knobs::default(),
        _ => sampler.next(),
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

/// Keeps the CPU busy for `duration`.
fn spin(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

fn respond(reply: Reply, knobs: Knobs, alarm: Alarm) -> Response<Body> {
    // The length is sent even if the body is paced, so that the client notices a cut.
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
            let content_type = parts
                .headers
                .get(header::CONTENT_TYPE)
                .cloned()
                .unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"));
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
            &format!("the body is longer than {REQUEST_BYTES_MAX} bytes"),
        )),
        Err(error) => Err(invalid(StatusCode::BAD_REQUEST, &error.to_string())),
    }
}

fn invalid(status: StatusCode, message: &str) -> Reply {
    Reply::error(status, "invalid_request_error", message)
}
