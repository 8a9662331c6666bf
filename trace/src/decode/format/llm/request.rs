//! What a request asks for: the model, and its parameters.

use crate::Exchange;
use crate::decode::attributes::Attributes;
use crate::decode::json::{Kind, Raw};
use crate::decode::url;

use super::names::{self, Fields};

/// Objects in which an API keeps its parameters.
const GROUPS: [&str; 5] = [
    "inferenceConfig",
    "generationConfig",
    "textGenerationConfig",
    "options",
    "parameters",
];

/// Stop sequences beyond this many are not listed; OpenAI allows four.
const STOPS_MAX: usize = 16;

const MAX_TOKENS: [&str; 12] = [
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_tokens_to_sample",
    "max_gen_len",
    "max_new_tokens",
    "maxOutputTokens",
    "maxTokens",
    "maxTokenCount",
    "num_predict",
    "n_predict",
    "max_length",
];

/// The parameters, as OpenTelemetry names them.
pub(super) fn put(exchange: &Exchange, asked: &Fields<'_>, put: &mut Attributes) {
    let groups: Vec<Raw<'_>> = GROUPS.iter().filter_map(|name| asked.get(name)).collect();
    let get = |names: &[&str]| {
        names.iter().find_map(|name| {
            let in_groups = || groups.iter().find_map(|group| group.get(name));
            asked.get(name).or_else(in_groups)
        })
    };
    let integer = |names: &[&str]| get(names).and_then(Raw::integer);
    let float = |names: &[&str]| get(names).and_then(Raw::float);
    put.put_some("gen_ai.request.max_tokens", integer(&MAX_TOKENS));
    put.put_some("gen_ai.request.temperature", float(&["temperature"]));
    put.put_some("gen_ai.request.top_p", float(&["top_p", "topP", "p"]));
    put.put_some("gen_ai.request.top_k", float(&["top_k", "topK", "k"]));
    put.put_some(
        "gen_ai.request.frequency_penalty",
        float(&["frequency_penalty", "frequencyPenalty"]),
    );
    put.put_some(
        "gen_ai.request.presence_penalty",
        float(&["presence_penalty", "presencePenalty"]),
    );
    put.put_some("gen_ai.request.seed", integer(&["seed", "random_seed"]));
    let count = integer(&["n", "candidateCount", "num_generations"]);
    put.put_some(
        "gen_ai.request.choice.count",
        count.filter(|count| *count != 1),
    );
    let stream = get(&["stream"]).and_then(Raw::truth);
    let path = exchange.request.uri.path();
    let streams = path.contains(":stream") || path.ends_with("-stream");
    put.put_some("gen_ai.request.stream", stream.or(streams.then_some(true)));
    let output = get(&["response_format"])
        .and_then(|format| format.get("type"))
        .and_then(Raw::text);
    let output = output.map(|kind| {
        if kind.starts_with("json") {
            "json"
        } else {
            "text"
        }
    });
    put.put_some("gen_ai.output.type", output);
    // What the user chose to stop at is content.
    if super::full(exchange)
        && let Some(stops) = get(&["stop", "stop_sequences", "stopSequences"])
    {
        let one = names::name(stops).into_iter();
        let list = stops.elements().take(STOPS_MAX).filter_map(names::name);
        put.put_list("gen_ai.request.stop_sequences", one.chain(list));
    }
}

/// The model asked for: by the body, or by the path.
pub(super) fn model(exchange: &Exchange, asked: &Fields<'_>) -> Option<String> {
    let named = ["model", "modelId", "model_id"];
    let in_body = named.iter().find_map(|name| {
        let model = asked.get(name)?;
        (model.kind() == Kind::String).then(|| names::name(model))?
    });
    in_body.or_else(|| url::model(exchange.request.uri.path()))
}
