//! Which names belong to credentials: one list for header fields, query parameters and the members
//! of JSON bodies.
//!
//! A name is compared without regard to case and to how its words are joined: `apiKey`, `api-key`,
//! `API_KEY` and `x.api.key` are alike. What counts is how it ends, so that a vendor's prefix
//! changes nothing.

/// Where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A header field or a query parameter, where short names such as `key` and `sig` are
    /// credentials as well.
    Head,
    /// A member of a JSON object, where they are not.
    Member,
}

/// What a member's name makes of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The value is a credential, and so is all text in it.
    Credential,
    /// `token`: a credential, unless it is a piece of a text, as beside a `logprob`.
    Token,
    /// `headers`: header fields of a request that a tool or a server will be sent.
    Headers,
    /// `http_headers`, `extra_headers`, … : such fields wherever they stand.
    OwnHeaders,
}

/// Of a longer name this many bytes at its end are compared.
const NAME_BYTES_MAX: usize = 64;

/// Ends of names, without what joins their words.
const ENDS: [&str; 50] = [
    "accesskey",
    "accesskeyid",
    "accountkey",
    "adminkey",
    "amzsignature",
    "apikey",
    "apikeys",
    "apitoken",
    "appkey",
    "applicationkey",
    "assertion",
    "authkey",
    "authorization",
    "authorizations",
    "authtoken",
    "accesstoken",
    "bearer",
    "clientkey",
    "connectionstring",
    "consumerkey",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "deploykey",
    "encryptionkey",
    "functionkey",
    "functionskey",
    "googsignature",
    "hostkey",
    "licensekey",
    "masterkey",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "privatekey",
    "pwd",
    "secret",
    "secretkey",
    "secrets",
    "servicekey",
    "sessionkey",
    "sharedkey",
    "signingkey",
    "sshkey",
    "storagekey",
    "subscriptionkey",
    "virtualkey",
];

/// Last words that count only as words of their own.
const WORDS: [&str; 3] = ["auth", "jwt", "pat"];

/// The same in a head alone: elsewhere `code` is an error's and `signature` a thought's.
const HEAD_WORDS: [&str; 6] = ["code", "key", "pass", "sig", "sign", "signature"];

/// Keys of a head that name a thing.
const OTHER_KEYS: [&str; 6] = [
    "cache",
    "idempotency",
    "partition",
    "public",
    "socket",
    "websocket",
];

/// What a tokenizer's token, or a place in a list, is called before `token`.
const OTHER_TOKENS: [&str; 34] = [
    "added",
    "audio",
    "begin",
    "bos",
    "cls",
    "continuation",
    "cursor",
    "delimiter",
    "end",
    "eos",
    "eot",
    "first",
    "image",
    "input",
    "last",
    "mask",
    "max",
    "middle",
    "next",
    "output",
    "pad",
    "page",
    "pagination",
    "per",
    "prefix",
    "prompt",
    "resume",
    "sep",
    "special",
    "start",
    "stop",
    "suffix",
    "unk",
    "video",
];

/// Members whose objects are tools or servers: what they name `headers` is sent to them.
const TOOLS: [&str; 9] = [
    "connector",
    "connectors",
    "mcp",
    "mcpserver",
    "mcpservers",
    "server",
    "servers",
    "tool",
    "tools",
];

/// What stands before `headers` where they are certainly a request's.
const OWN_HEADERS: [&str; 5] = ["custom", "default", "extra", "http", "request"];

/// What a name, as it is meant, makes of its value.
pub(crate) fn kind(name: &str, place: Place) -> Option<Kind> {
    let name = Name::new(name);
    let joined = name.joined();
    if ENDS.iter().any(|end| joined.ends_with(end)) {
        return Some(Kind::Credential);
    }
    let (before, last) = name.last_two();
    if let Some(first) = last.strip_suffix("token") {
        let before = if first.is_empty() { before } else { first };
        return match before {
            "" if place == Place::Member => Some(Kind::Token),
            before if OTHER_TOKENS.contains(&before) => None,
            _ => Some(Kind::Credential),
        };
    }
    if place == Place::Member && last == "headers" {
        let own = OWN_HEADERS.contains(&before);
        return Some(if own { Kind::OwnHeaders } else { Kind::Headers });
    }
    let named = place == Place::Head
        && HEAD_WORDS.contains(&last)
        && !(last == "key" && OTHER_KEYS.contains(&before));
    (named || WORDS.contains(&last)).then_some(Kind::Credential)
}

/// Whether what goes by this name in a header or a query is a credential.
pub(crate) fn is_in_head(name: &str) -> bool {
    kind(name, Place::Head).is_some()
}

/// Whether the objects of a member of this name are tools or servers.
pub(crate) fn is_tools(name: &str) -> bool {
    TOOLS.contains(&Name::new(name).joined().as_str())
}

/// Whether a member whose name ends in these three letters may be worth a look: a few instructions,
/// which every name of every body costs.
#[inline]
pub(crate) fn may_end(last: [u8; 3]) -> bool {
    matches!(
        &last.map(|byte| byte | 0x20),
        b"als"
            | b"ase"
            | b"den"
            | b"eys"
            | b"ers"
            | b"get"
            | b"ial"
            | b"ies"
            | b"ing"
            | b"ion"
            | b"jwt"
            | b"ken"
            | b"key"
            | b"kie"
            | b"ode"
            | b"ons"
            | b"ord"
            | b"pat"
            | b"pwd"
            | b"rds"
            | b"rer"
            | b"ret"
            | b"ets"
            | b"swd"
            | b"ure"
            | b"uth"
            | b"yid"
    )
}

/// What of a name ends at `end`, as far back as it can be one.
pub(crate) fn before(text: &[u8], end: usize) -> &[u8] {
    let text = text.get(..end).unwrap_or_default();
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let len = text.iter().rev().take(NAME_BYTES_MAX).take_while(belongs);
    text.get(text.len() - len.count()..).unwrap_or_default()
}

/// A name in lower case, its words joined by `_`.
struct Name {
    bytes: [u8; 2 * NAME_BYTES_MAX],
    len: usize,
}

impl Name {
    fn new(name: &str) -> Self {
        let mut all = Self {
            bytes: [0; 2 * NAME_BYTES_MAX],
            len: 0,
        };
        let name = name.as_bytes();
        let from = name.len().saturating_sub(NAME_BYTES_MAX);
        let name = name.get(from..).unwrap_or_default();
        let mut last = b'_';
        for (at, byte) in name.iter().enumerate() {
            let next = name.get(at + 1).copied().unwrap_or_default();
            // `apiKey` and `APIKey` have two words each.
            let hump = byte.is_ascii_uppercase()
                && (last.is_ascii_lowercase()
                    || last.is_ascii_uppercase() && next.is_ascii_lowercase());
            if hump || !byte.is_ascii_alphanumeric() {
                all.push(b'_');
            }
            if byte.is_ascii_alphanumeric() {
                all.push(byte.to_ascii_lowercase());
            }
            last = *byte;
        }
        while all.as_bytes().last() == Some(&b'_') {
            all.len -= 1;
        }
        all
    }

    /// Without two of [`b'_'`] in a row, nor one at the beginning.
    fn push(&mut self, byte: u8) {
        if byte == b'_' && matches!(self.as_bytes().last(), None | Some(b'_')) {
            return;
        }
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn words(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("only ASCII is pushed")
    }

    /// The last word but one, where there is one, and the last.
    fn last_two(&self) -> (&str, &str) {
        let (rest, last) = self.words().rsplit_once('_').unwrap_or(("", self.words()));
        (rest.rsplit('_').next().unwrap_or_default(), last)
    }

    /// Without what joins the words.
    fn joined(&self) -> String {
        self.words().replace('_', "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, member: Option<Kind>, head: bool) {
        assert_eq!(kind(name, Place::Member), member, "member `{name}`");
        assert_eq!(is_in_head(name), head, "parameter `{name}`");
    }

    #[test]
    fn a_credential_is_known_by_the_end_of_its_name_however_it_is_spelt() {
        for name in [
            "api_key",
            "api-key",
            "apikey",
            "apiKey",
            "APIKey",
            "API_KEY",
            "x-api-key",
            "X_Api_Key",
            "x-goog-api-key",
            "OPENAI_API_KEY",
            "openaiApiKey",
            "api.key",
            "X-Amz-Credential",
            "x-amz-signature",
            "X-Goog-Signature",
            "X-Amz-Security-Token",
            "hf_token",
            "api_token",
            "auth_token",
            "session_token",
            "access_token",
            "accessToken",
            "accesstoken",
            "id_token",
            "refresh_token",
            "authorization_token",
            "authorization",
            "Authorization",
            "Proxy-Authorization",
            "bearer",
            "x-bearer",
            "private_key",
            "privateKey",
            "client_secret",
            "clientSecret",
            "secret",
            "password",
            "db_password",
            "userPassword",
            "passwd",
            "passphrase",
            "pwd",
            "cookie",
            "Set-Cookie",
            "cookies",
            "credentials",
            "secret_access_key",
            "AWSAccessKeyId",
            "Ocp-Apim-Subscription-Key",
            "jwt",
            "user_jwt",
            "github_pat",
            "x-auth",
            "basicAuth",
            "connectionString",
            "backend_token",
            "x-functions-key",
            "client_assertion",
            "user[password]",
        ] {
            check(name, Some(Kind::Credential), true);
        }
    }

    #[test]
    fn what_a_token_is_to_a_model_is_no_credential() {
        for name in [
            "max_tokens",
            "maxOutputTokens",
            "total_tokens",
            "tokens",
            "token_ids",
            "bos_token",
            "eos_token",
            "eosToken",
            "pad_token",
            "unk_token",
            "stop_token",
            "image_token",
            "next_page_token",
            "nextPageToken",
            "pageToken",
            "page_token",
            "NextToken",
            "continuation_token",
            "continuationToken",
            "first_token",
            "cost_per_token",
            "tokenizer",
            "token_type",
            "prompt_cache_key",
            "public_key",
            "model",
            "monkey",
            "description",
            "temperature",
            "secretary",
            "password_hint",
            "pattern",
            "author",
            "keys",
        ] {
            check(name, None, false);
        }
        check("token", Some(Kind::Token), true);
        check("Token", Some(Kind::Token), true);
    }

    #[test]
    fn short_names_are_credentials_in_heads_alone() {
        for name in [
            "key",
            "sig",
            "signature",
            "code",
            "pass",
            "X-Hub-Signature",
            "user_key",
        ] {
            check(name, None, true);
        }
        for name in ["idempotency-key", "Sec-WebSocket-Key", "cache_key"] {
            check(name, None, false);
        }
    }

    #[test]
    fn headers_are_known_by_what_stands_before_them() {
        check("headers", Some(Kind::Headers), false);
        check("http_headers", Some(Kind::OwnHeaders), false);
        check("extraHeaders", Some(Kind::OwnHeaders), false);
        check("column_headers", Some(Kind::Headers), false);
        assert!(is_tools("mcp_servers") && is_tools("mcpServers") && is_tools("tools"));
        assert!(!is_tools("tool_calls") && !is_tools("messages"));
    }

    #[test]
    fn no_name_of_the_list_is_missed_by_its_last_letters() {
        for name in ENDS.iter().chain(&WORDS).chain(&["token", "headers"]) {
            let last = name.as_bytes().last_chunk().unwrap();
            assert!(may_end(*last), "{name}");
            assert!(
                may_end(last.map(|byte| byte.to_ascii_uppercase())),
                "{name}"
            );
        }
        for name in [
            "role",
            "content",
            "model",
            "messages",
            "max_tokens",
            "index",
            "finish_reason",
        ] {
            assert!(!may_end(*name.as_bytes().last_chunk().unwrap()), "{name}");
        }
    }

    #[test]
    fn a_long_or_strange_name_is_compared_by_its_end() {
        let long = format!("{}_api_key", "ä".repeat(500));
        check(&long, Some(Kind::Credential), true);
        check(&format!("api_key_{}", "x".repeat(500)), None, false);
        check("", None, false);
        check("_-_", None, false);
        check("ключ", None, false);
    }
}
