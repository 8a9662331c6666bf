//! What a body means, by the API that it speaks.
//!
//! A new API is a file beside these, a variant of [`Format`], and an arm in each of the two
//! `match`es here; one of a language model is a constant of [`llm::Api`] and a row in [`PATHS`].

mod answers;
mod chat;
mod close;
mod cohere;
mod converse;
mod drawn;
mod embeddings;
mod failure;
mod frame;
mod gemini;
mod generic;
mod grpc;
mod infer;
mod jsonrpc;
mod judge;
mod llm;
mod messages;
mod responses;
mod scoring;
mod statistics;

pub(crate) use close::Close;
pub(crate) use failure::Failure;
pub(crate) use frame::Frame;

use std::time::Duration;

use crate::{Exchange, Level, Text};

use self::llm::Api;
use super::attributes::Attributes;
use super::body::{Document, Media, Shape};
use super::content;
use super::defect::Notes;

/// The APIs that are understood.
enum Format {
    /// A language model's.
    Model(&'static Api),
    /// Vectors for texts.
    Embeddings,
    /// The Open Inference Protocol's tensors.
    Infer,
    /// Messages of gRPC.
    Grpc,
    /// MLflow scoring: frames and tensors in, predictions out.
    Scoring,
    /// Anything else.
    Generic,
}

/// APIs by how the path ends. Where several fit, the first is meant.
const PATHS: [(&str, &Api); 19] = [
    ("/chat/completions", &chat::CHAT),
    ("/completions", &chat::TEXT),
    ("/completion", &answers::PROMPT),
    ("/responses", &responses::API),
    ("/v1/messages", &messages::API),
    (":rawPredict", &messages::API),
    (":streamRawPredict", &messages::API),
    (":generateContent", &gemini::API),
    (":streamGenerateContent", &gemini::API),
    ("/converse", &converse::API),
    ("/converse-stream", &converse::API),
    ("/v1/chat", &cohere::V1),
    ("/v2/chat", &cohere::V2),
    ("/api/chat", &answers::OLLAMA_CHAT),
    ("/api/generate", &answers::PROMPT),
    ("/v1/generate", &answers::PROMPT),
    ("/generate", &answers::PROMPT),
    ("/generate_stream", &answers::PROMPT),
    ("/v1/complete", &answers::PROMPT),
];

/// APIs whose streams are recognised by their pieces, whatever the path.
const STREAMED: [&Api; 6] = [
    &chat::CHAT,
    &responses::API,
    &messages::API,
    &gemini::API,
    &cohere::V1,
    &cohere::V2,
];

/// Embeddings by how the path ends.
const EMBEDDINGS: [&str; 6] = [
    "/embeddings",
    "/embed",
    "/embed_all",
    ":embedContent",
    ":batchEmbedContents",
    "/multimodalembeddings",
];

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
    /// What MLflow's UI draws in place of the inputs, where it cannot draw them; JSON text.
    pub(crate) drawn_inputs: Option<Text>,
    /// The same of the outputs.
    pub(crate) drawn_outputs: Option<Text>,
    /// When the first piece with content came, from the request's start.
    pub(crate) first_content: Option<Duration>,
    /// Attributes of both spans.
    pub(crate) shared: Attributes,
    /// Attributes of the upstream span.
    pub(crate) upstream: Attributes,
    /// The error that the response reports in its body.
    pub(crate) failure: Option<Failure>,
    /// How far the response came, by what it contains.
    pub(crate) close: Close,
}

/// Reads both bodies.
pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let mut reading = match Format::of(exchange.request.uri.path(), request, response) {
        Format::Model(api) => llm::read(api, exchange, request, response, notes),
        Format::Embeddings => embeddings::read(exchange, request, response, notes),
        Format::Infer => infer::read(exchange, request, response, notes),
        Format::Grpc => grpc::read(exchange, request, response, notes),
        Format::Scoring => scoring::read(exchange, request, response, notes),
        Format::Generic => generic::read(exchange, request, response, notes),
    };
    judge::read_mislabelled(exchange, response, &mut reading, notes);
    reading
}

impl Format {
    /// By the path's end first, since a body may be missing or broken, then by its shape.
    fn of(path: &str, request: &Document, response: &Document) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let has = |name: &str| has_member(request, name);
        if request.media == Media::Grpc || response.media == Media::Grpc {
            return Self::Grpc;
        }
        if path.contains("/model/")
            && (path.ends_with("/invoke") || path.ends_with("/invoke-with-response-stream"))
        {
            return Self::Model(bedrock(request, response));
        }
        // What OpenAI's assistants call messages are records of a thread.
        let records = path.contains("/threads/");
        let ended = PATHS.iter().find(|(end, _)| path.ends_with(end));
        if let Some((_, api)) = ended.filter(|_| !records && request.shape.is_something()) {
            return Self::Model(api);
        }
        if EMBEDDINGS.iter().any(|end| path.ends_with(end)) {
            return Self::Embeddings;
        }
        if has("messages") && (path.ends_with("/invocations") || chat::answers(response)) {
            return Self::Model(&chat::CHAT);
        }
        if has("input") && responses::answers(response) {
            return Self::Model(&responses::API);
        }
        // It has `inputs` of another shape than MLflow's.
        let tensors = || request.member("inputs").is_some_and(infer::is_tensors);
        if path.ends_with("/infer") || request.tail.is_some() || tensors() {
            return Self::Infer;
        }
        let scores = ["/invocations", ":predict"];
        if scores.iter().any(|end| path.ends_with(end)) || scoring::KEYS.iter().any(|key| has(key))
        {
            return Self::Scoring;
        }
        Self::Generic
    }
}

/// What Bedrock passes on is the API of the model's vendor: told apart by what only one has.
fn bedrock(request: &Document, response: &Document) -> &'static Api {
    let asked = |name| has_member(request, name);
    if asked("anthropic_version") {
        &messages::API
    } else if asked("inferenceConfig") || has_member(response, "stopReason") {
        &converse::API
    } else if has_member(response, "choices") && asked("messages") {
        &chat::CHAT
    } else if has_member(response, "content") && has_member(response, "stop_reason") {
        &messages::API
    } else {
        &answers::PROMPT
    }
}

fn has_member(document: &Document, name: &str) -> bool {
    document.member(name).is_some()
}

impl Reading {
    /// The request as it is, with the frame that was found in it, and no outputs yet.
    fn of_request(
        exchange: &Exchange,
        request: &Document,
        frame: Option<&Frame>,
        notes: &mut Notes,
    ) -> Self {
        let plan = &exchange.plan;
        Self {
            root_type: "UNKNOWN",
            upstream_type: "UNKNOWN",
            upstream_name: None,
            message_format: None,
            inputs: match request.shape {
                Shape::Empty => Some(generic::target(&exchange.request, plan)),
                _ => content::of(request, plan, frame, notes),
            },
            outputs: None,
            drawn_inputs: None,
            drawn_outputs: None,
            first_content: None,
            shared: Attributes::default(),
            upstream: Attributes::default(),
            failure: None,
            close: Close::default(),
        }
    }
}

/// Whether content may be stored.
fn full(exchange: &Exchange) -> bool {
    exchange.plan.level == Level::Full
}
