//! What a body means, by the API that it speaks.
//!
//! A new API is a file beside these, a variant of [`Format`], and an arm in each of the two
//! `match`es here.

mod chat;
mod frame;
mod generic;
mod scoring;

pub(crate) use frame::Frame;

use crate::{Exchange, Level, Text};

use super::attributes::Attributes;
use super::body::{Document, Shape};
use super::content;
use super::defect::Defects;

/// The APIs that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// OpenAI chat completions, whoever serves them.
    Chat,
    /// MLflow scoring: frames and tensors in, predictions out.
    Scoring,
    /// Anything else.
    Generic,
}

/// What a format makes of an exchange.
#[derive(Debug)]
pub(crate) struct Reading {
    /// MLflow's type of the root span.
    pub(crate) root_type: &'static str,
    /// MLflow's type of the upstream span.
    pub(crate) upstream_type: &'static str,
    /// The upstream span's name, where the format has one.
    pub(crate) upstream_name: Option<String>,
    /// What MLflow's UI draws a conversation from, where this is one.
    pub(crate) message_format: Option<&'static str>,
    /// JSON text.
    pub(crate) inputs: Option<Text>,
    /// JSON text.
    pub(crate) outputs: Option<Text>,
    /// Attributes of both spans.
    pub(crate) shared: Attributes,
    /// Attributes of the upstream span.
    pub(crate) upstream: Attributes,
    /// The response reports an error in its body, of this type; may be empty.
    pub(crate) in_band_error: Option<String>,
    /// The response stops before its format says that it is done.
    pub(crate) incomplete: bool,
}

/// Reads both bodies.
pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    defects: &mut Defects,
) -> Reading {
    match Format::of(exchange.request.uri.path(), request, response) {
        Format::Chat => chat::read(exchange, request, response, defects),
        Format::Scoring => scoring::read(exchange, request, response),
        Format::Generic => generic::read(exchange, request, response),
    }
}

impl Format {
    /// By the path's end first, since a body may be missing or broken, then by its shape.
    fn of(path: &str, request: &Document, response: &Document) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let has = |name| {
            request
                .outline()
                .is_some_and(|outline| outline.member(&request.bytes, name).is_some())
        };
        if path.ends_with("/chat/completions") {
            return Self::Chat;
        }
        if has("messages") && (path.ends_with("/invocations") || chat::answers(response)) {
            return Self::Chat;
        }
        // KServe's and Triton's own protocol has `inputs` of another shape.
        let kserve = path.ends_with("/infer");
        if path.ends_with("/invocations") || (!kserve && scoring::KEYS.iter().any(|key| has(key))) {
            return Self::Scoring;
        }
        Self::Generic
    }
}

impl Reading {
    /// The request as it is, with the frame that was found in it, and no outputs yet.
    fn of_request(exchange: &Exchange, request: &Document, frame: Option<&Frame>) -> Self {
        let level = exchange.plan.level;
        Self {
            root_type: "UNKNOWN",
            upstream_type: "UNKNOWN",
            upstream_name: None,
            message_format: None,
            inputs: match request.shape {
                Shape::Empty => Some(generic::target(&exchange.request, level)),
                _ => content::of(request, level, frame),
            },
            outputs: None,
            shared: Attributes::default(),
            upstream: Attributes::default(),
            in_band_error: None,
            incomplete: false,
        }
    }
}

/// Whether content may be stored.
fn full(exchange: &Exchange) -> bool {
    exchange.plan.level == Level::Full
}
