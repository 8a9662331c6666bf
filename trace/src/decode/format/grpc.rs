//! gRPC over HTTP/2: the method by its path, the status by its trailers, and how many messages
//! of which size went each way. What is in a message only its schema tells.

use crate::decode::body::Document;
use crate::decode::defect::Notes;
use crate::decode::json;
use crate::decode::text;
use crate::{Exchange, Text};

use super::close::Close;
use super::failure::Failure;
use super::{Reading, full};

/// Sizes beyond this many messages are counted, not listed.
const SIZES_MAX: usize = 256;

/// What a status says of itself is cut to this many bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// Names of the status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The messages of one direction.
#[derive(Debug, Default)]
struct Messages {
    count: usize,
    packed: usize,
    /// Of the first ones, in bytes, without the five before each.
    sizes: Vec<usize>,
    /// The body ends inside one.
    torn: bool,
}

/// Reads both bodies.
pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let mut reading = Reading::of_request(exchange, request, None, notes);
    reading.upstream_type = "TASK";
    let path = exchange.request.uri.path();
    let method = path.strip_prefix('/').unwrap_or(path);
    if let Some((service, name)) = method.rsplit_once('/') {
        reading.shared.put("rpc.system.name", "grpc");
        reading
            .shared
            .put("rpc.service", text::cut_harmless(service, 256));
        reading
            .shared
            .put("rpc.method", text::cut_harmless(name, 256));
        reading.upstream_name = Some(text::cut(method, 512).to_owned());
    }
    let (sent, received) = (Messages::of(request), Messages::of(response));
    reading.inputs = Some(sent.described(request, None));
    let status = status(exchange);
    if exchange.response.is_some() {
        reading.outputs = Some(received.described(response, status));
    }
    for (messages, count) in [
        (&sent, "offpath.input.messages"),
        (&received, "offpath.output.messages"),
    ] {
        let messages = i64::try_from(messages.count).unwrap_or(i64::MAX);
        reading.shared.put(count, messages);
    }
    match status {
        Some(0) => {}
        Some(code) => {
            reading
                .shared
                .put("rpc.response.status_code", name_of(code));
            let name = name_of(code);
            reading.failure = Some(match said(exchange).filter(|_| full(exchange)) {
                Some(message) => Failure::of_words(&format!("{name}: {message}")),
                None => Failure::of_words(name),
            });
        }
        None => {}
    }
    let no_status = Close::missing_if(exchange.response.is_some());
    reading.close = Close::last_word_or(status.is_some(), no_status);
    if status == Some(0) {
        reading.shared.put("rpc.response.status_code", "OK");
    }
    reading
}

impl Messages {
    fn of(document: &Document) -> Self {
        let mut messages = Self::default();
        let mut rest: &[u8] = &document.bytes;
        while let Some(([packed, len @ ..], tail)) = rest.split_first_chunk::<5>() {
            let len = u32::from_be_bytes(*len) as usize;
            messages.count += 1;
            messages.packed += usize::from(*packed == 1);
            if messages.sizes.len() < SIZES_MAX {
                messages.sizes.push(len);
            }
            messages.torn = tail.len() < len;
            rest = tail.get(len..).unwrap_or_default();
        }
        messages.torn |= !rest.is_empty();
        messages
    }

    /// `{"offpath.grpc":{"messages":2,"message_bytes":[5,7],…}}`.
    fn described(&self, document: &Document, status: Option<u16>) -> Text {
        let sizes: Vec<_> = self.sizes.iter().map(usize::to_string).collect();
        let mut json = format!(
            "{{\"offpath.grpc\":{{\"messages\":{},\"message_bytes\":[{}],\"compressed\":{},\"bytes\":{}",
            self.count,
            sizes.join(","),
            self.packed,
            document.wire_bytes,
        );
        if self.torn || document.cut {
            json.push_str(",\"truncated\":true");
        }
        if let Some(code) = status {
            json.push_str(",\"status\":");
            json.push_str(&json::quoted(name_of(code)));
        }
        json.push_str("}}");
        json.into()
    }
}

/// The status, of the trailers, or of the head where there was nothing else.
fn status(exchange: &Exchange) -> Option<u16> {
    field(exchange, "grpc-status")?.parse().ok()
}

fn said(exchange: &Exchange) -> Option<String> {
    let message = field(exchange, "grpc-message")?;
    let message = text::cut(message, MESSAGE_BYTES_MAX);
    (!message.is_empty()).then(|| message.to_owned())
}

fn field<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a str> {
    let response = exchange.response.as_ref()?;
    let trailers = response.trailers.as_ref();
    trailers
        .and_then(|trailers| trailers.text(name))
        .or_else(|| response.headers.text(name))
}

fn name_of(code: u16) -> &'static str {
    CODES.get(usize::from(code)).copied().unwrap_or("UNKNOWN")
}
