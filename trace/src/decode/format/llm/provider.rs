//! Who serves a chat model, where that is sure.
//!
//! The API alone does not tell: half the world speaks OpenAI's. A wrong name would price a
//! local model as OpenAI's, and without one MLflow's cost table looks for the model's name among
//! all providers, so where nothing names the provider there is none.

use http::HeaderName;

use crate::decode::url;
use crate::{Exchange, Headers};

/// A provider, in two vocabularies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Provider {
    /// OpenTelemetry's `gen_ai.provider.name`.
    pub(super) otel: &'static str,
    /// The name of MLflow's cost table for it.
    pub(super) mlflow: &'static str,
}

/// By the host's name; what begins with a dot or a dash ends it.
const BY_HOST: [(&str, Provider); 24] = [
    ("api.openai.com", named("openai", "openai")),
    (".openai.azure.com", named("azure.ai.openai", "azure")),
    (
        ".services.ai.azure.com",
        named("azure.ai.inference", "azure_ai"),
    ),
    ("api.anthropic.com", named("anthropic", "anthropic")),
    ("api.mistral.ai", named("mistral_ai", "mistral")),
    ("api.groq.com", named("groq", "groq")),
    ("api.deepseek.com", named("deepseek", "deepseek")),
    ("api.x.ai", named("x_ai", "xai")),
    ("api.perplexity.ai", named("perplexity", "perplexity")),
    (
        "generativelanguage.googleapis.com",
        named("gcp.gemini", "gemini"),
    ),
    (
        "aiplatform.googleapis.com",
        named("gcp.vertex_ai", "vertex_ai"),
    ),
    (
        "-aiplatform.googleapis.com",
        named("gcp.vertex_ai", "vertex_ai"),
    ),
    ("api.cohere.com", named("cohere", "cohere")),
    ("api.cohere.ai", named("cohere", "cohere")),
    ("api.writer.com", named("writer", "writer")),
    ("api.voyageai.com", named("voyageai", "voyage")),
    (
        ".api.cognitive.microsoft.com",
        named("azure.ai.openai", "azure"),
    ),
    ("api.cerebras.ai", named("cerebras", "cerebras")),
    ("openrouter.ai", named("openrouter", "openrouter")),
    ("api.together.xyz", named("together_ai", "together_ai")),
    ("api.fireworks.ai", named("fireworks_ai", "fireworks_ai")),
    (".cloud.databricks.com", named("databricks", "databricks")),
    (".azuredatabricks.net", named("databricks", "databricks")),
    (".gcp.databricks.com", named("databricks", "databricks")),
];

/// By a response header that no one else sends.
static BY_HEADER: [(HeaderName, Provider); 5] = [
    (
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        named("anthropic", "anthropic"),
    ),
    (
        HeaderName::from_static("openai-version"),
        named("openai", "openai"),
    ),
    (
        HeaderName::from_static("x-groq-region"),
        named("groq", "groq"),
    ),
    (
        HeaderName::from_static("mistral-correlation-id"),
        named("mistral_ai", "mistral"),
    ),
    (
        HeaderName::from_static("x-ds-trace-id"),
        named("deepseek", "deepseek"),
    ),
];

/// The same of Bedrock, whatever stands before it.
static BEDROCK: [HeaderName; 2] = [
    HeaderName::from_static("x-amzn-bedrock-invocation-latency"),
    HeaderName::from_static("x-amzn-bedrock-input-token-count"),
];

const fn named(otel: &'static str, mlflow: &'static str) -> Provider {
    Provider { otel, mlflow }
}

/// Who answered, if the host, the path or the response says so.
pub(super) fn of(exchange: &Exchange) -> Option<Provider> {
    let host = url::server(&exchange.request).map(|(host, _)| host.to_ascii_lowercase());
    let host = host.as_deref().unwrap_or_default();
    let headers = exchange.response.as_ref().map(|response| &response.headers);
    by_host(host)
        .or_else(|| bedrock(host, headers))
        .or_else(|| by_path(exchange.request.uri.path()))
        .or_else(|| headers.and_then(by_header))
}

fn by_host(host: &str) -> Option<Provider> {
    let fits = |name: &str| match name.as_bytes() {
        [b'.' | b'-', ..] => host.ends_with(name),
        _ => host == name,
    };
    BY_HOST
        .iter()
        .find_map(|(name, provider)| fits(name).then_some(*provider))
}

/// Bedrock's hosts name a region, and its responses what they cost.
fn bedrock(host: &str, headers: Option<&Headers>) -> Option<Provider> {
    let named_so = host.starts_with("bedrock-runtime") && host.ends_with(".amazonaws.com");
    let counts = |headers: &Headers| BEDROCK.iter().any(|name| headers.contains(name));
    (named_so || headers.is_some_and(counts)).then(|| named("aws.bedrock", "bedrock"))
}

fn by_path(path: &str) -> Option<Provider> {
    if path.contains("/openai/deployments/") {
        Some(named("azure.ai.openai", "azure"))
    } else if path.contains("/serving-endpoints/") {
        Some(named("databricks", "databricks"))
    } else {
        None
    }
}

fn by_header(headers: &Headers) -> Option<Provider> {
    BY_HEADER
        .iter()
        .find_map(|(name, provider)| headers.contains(name).then_some(*provider))
}
