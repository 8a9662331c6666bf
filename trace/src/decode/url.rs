//! A request's target, with what looks like a credential masked.

use std::borrow::Cow;

use http::uri::Authority;

use crate::Request;
use crate::percent::{self, Plus};

/// Stands for a masked value.
const MASK: &str = "[REDACTED]";

/// Parameters that carry credentials, in lower case, `-` written as `_`.
const SECRETS: [&str; 24] = [
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "client_secret",
    "code",
    "credential",
    "id_token",
    "jwt",
    "key",
    "pass",
    "passwd",
    "password",
    "pwd",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "subscription_key",
    "token",
    "x_amz_security_token",
    "x_amz_signature",
];

/// `query` with the values of credential-like parameters replaced.
pub(super) fn masked_query(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let masked = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((key, _)) if is_secret(parameter) => Cow::Owned(format!("{key}={MASK}")),
            _ => Cow::Borrowed(parameter),
        });
    Cow::Owned(masked.collect::<Vec<_>>().join("&"))
}

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

fn is_secret(parameter: &str) -> bool {
    let (key, _) = parameter.split_once('=').unwrap_or((parameter, ""));
    // Escapes are undone, so that `api%5fkey` hides nothing.
    let key = percent::unescaped(key, Plus::Itself);
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRETS.contains(&key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expect: &str) {
        assert_eq!(masked_query(query), expect);
    }

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

    #[test]
    fn values_of_key_like_parameters_are_masked() {
        check("api-version=2024-06-01&x=1", "api-version=2024-06-01&x=1");
        check("key=AIza&alt=sse", "key=[REDACTED]&alt=sse");
        check(
            "a=b&API-KEY=s&api%5Fkey=t",
            "a=b&API-KEY=[REDACTED]&api%5Fkey=[REDACTED]",
        );
        check("sig=a=b==&token&monkey=1", "sig=[REDACTED]&token&monkey=1");
        check(
            "X-Amz-Signature=abc&%zz=1&=&",
            "X-Amz-Signature=[REDACTED]&%zz=1&=&",
        );
    }
}
