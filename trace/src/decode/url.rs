//! What a request's target names: a server, and a model.

use http::uri::Authority;

use crate::Request;
use crate::percent::{self, Plus};

/// Whom the client asked for: name, and port where one was given.
pub(super) fn server(request: &Request) -> Option<(String, Option<u16>)> {
    let host = request.headers.text(http::header::HOST);
    let authority: Authority = match request.uri.authority() {
        Some(authority) => authority.clone(),
        None => host?.parse().ok()?,
    };
    // `host()` leaves out a user name and password.
    Some((authority.host().to_owned(), authority.port_u16()))
}

/// The model that a path names, as `/model/{id}/…`, `/models/{id}:{verb}` or
/// `/deployments/{id}/…` do.
pub(super) fn model(path: &str) -> Option<String> {
    /// Longer than any name of a model; Bedrock takes whole resource names.
    const MODEL_BYTES_MAX: usize = 256;

    let mut segments = path.split('/');
    let named = |segment: &&str| matches!(*segment, "model" | "models" | "deployments" | "engines");
    let kind = segments.by_ref().find(named)?;
    let id = segments.next()?;
    let id = match kind {
        "models" => id.rsplit_once(':').map_or(id, |(id, _)| id),
        _ => id,
    };
    let id = percent::unescaped(id, Plus::Itself);
    (!id.is_empty()).then(|| super::text::cut(&id, MODEL_BYTES_MAX).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_name_a_model() {
        for (path, expect) in [
            (
                "/model/anthropic.claude-3-v1%3A0/invoke",
                Some("anthropic.claude-3-v1:0"),
            ),
            (
                "/model/anthropic.claude-3-v1:0/converse",
                Some("anthropic.claude-3-v1:0"),
            ),
            (
                "/v1beta/models/gemini-2.5-flash:generateContent",
                Some("gemini-2.5-flash"),
            ),
            ("/v2/models/iris/versions/2/infer", Some("iris")),
            ("/openai/deployments/d-1/chat/completions", Some("d-1")),
            ("/v1/models", None),
            ("/v1/chat/completions", None),
        ] {
            assert_eq!(model(path).as_deref(), expect, "{path}");
        }
    }
}
