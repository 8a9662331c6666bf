//! What a sink may be quoted with: its words without the credentials that it was sent, which some
//! servers and proxies repeat in an error.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use offpath_config::{MlflowAuth, SinkHeader};
use offpath_trace::{names_credential, without_credentials};

/// Stands for a credential.
const MASK: &str = "[REDACTED]";

/// A header's value that is shorter is no credential, unless its name says so, in bytes.
const VALUE_BYTES_MIN: usize = 4;

/// The credentials of one sink, as they may be written in its answers; the longest first.
#[derive(Clone, Default)]
pub(crate) struct Private(Arc<[String]>);

impl Private {
    /// Those of an MLflow sink.
    pub(crate) fn new(auth: &MlflowAuth, headers: &[SinkHeader]) -> Self {
        let mut plain = Vec::new();
        match auth {
            MlflowAuth::None => {}
            MlflowAuth::Token(token) => plain.push(token.expose().to_owned()),
            MlflowAuth::Basic { username, password } => {
                let password = password.expose();
                plain.push(password.to_owned());
                // Without its padding, which tells nothing.
                plain.push(STANDARD_NO_PAD.encode(format!("{username}:{password}")));
            }
        }
        for header in headers {
            // An answer repeats bytes that are not UTF-8 as replacement characters.
            let value = String::from_utf8_lossy(header.value.as_bytes());
            if value.len() >= VALUE_BYTES_MIN || names_credential(header.name.as_str()) {
                plain.push(value.clone().into_owned());
                // `Bearer` and a token: an answer may repeat the token alone.
                let last = value.rsplit(' ').next().unwrap_or_default();
                plain.push(last.trim_end_matches('=').to_owned());
            }
        }
        let mut all: Vec<String> = plain.iter().flat_map(|text| spellings(text)).collect();
        all.retain(|text| !text.is_empty());
        all.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        all.dedup();
        Self(all.into())
    }

    /// A sink's words without them, nor anything else that is called a credential there.
    pub(crate) fn hide(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for text in self.0.iter() {
            if words.contains(text.as_str()) {
                words = words.replace(text.as_str(), MASK);
            }
        }
        without_credentials(&words).into_owned()
    }
}

/// A text as it is, in JSON, and in a URL.
fn spellings(text: &str) -> [String; 3] {
    let json = serde_json::Value::from(text).to_string();
    let json = json.trim_matches('"').to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let url = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    [text.to_owned(), json, url.collect()]
}

#[cfg(test)]
mod tests {
    use offpath_config::Secret;

    use super::*;

    fn header(name: &str, value: &str) -> SinkHeader {
        SinkHeader {
            name: name.parse().unwrap(),
            value: value.parse().unwrap(),
        }
    }

    #[test]
    fn no_spelling_of_a_sinks_credentials_is_quoted() {
        let auth = MlflowAuth::Basic {
            username: "bob".into(),
            password: Secret::new("pa/ss\"w"),
        };
        let headers = [
            header("authorization", "Bearer tok-123+x"),
            header("x-tenant", "team-blue"),
            header("x-api-key", "k"),
            header("x-shard", "1"),
        ];
        let private = Private::new(&auth, &headers);
        let pair = base64::engine::general_purpose::STANDARD.encode("bob:pa/ss\"w");
        let words = format!(
            "401 for Basic {pair}, pa/ss\"w, pa/ss\\\"w, pa%2Fss%22w, tok-123+x tok-123%2Bx team-blue 1"
        );
        let hidden = private.hide(&words);
        for secret in [
            &*pair.replace('=', ""),
            "pa/ss",
            "pa%2F",
            "tok-123",
            "team-blue",
        ] {
            assert!(!hidden.contains(secret), "{secret} in {hidden}");
        }
        assert!(
            hidden.starts_with("401 for Basic") && hidden.ends_with(" 1"),
            "{hidden}"
        );
    }

    #[test]
    fn what_is_called_a_credential_is_not_quoted_whoever_sent_it() {
        let private = Private::default();
        let words = r#"bad {"authorization": "Bearer other"} at Cookie: a=b"#;
        let hidden = private.hide(words);
        assert!(
            !hidden.contains("other") && !hidden.contains("a=b"),
            "{hidden}"
        );
        assert_eq!(
            private.hide("no experiment with id 12"),
            "no experiment with id 12"
        );
    }
}
