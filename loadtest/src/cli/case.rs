//! The values of `--case`: kinds of requests, with an optional name.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use offpath_loadtest::bodies::{self, DataFrame};
use offpath_loadtest::compare::Case;

pub(super) const JSON: &str = "application/json";

/// A parsed `--case`; its body is not generated yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CaseArg {
    name: String,
    kind: Kind,
}

/// The body of a request, before it is generated or read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Get,
    Chat { words: u32, stream: bool },
    Dataframe(DataFrame),
    File(PathBuf),
}

impl FromStr for CaseArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, kind) = match text.split_once('=') {
            // A path may contain `=`, but the word before the `:` does not.
            Some((name, kind)) if !name.contains(':') => (name, kind),
            _ => (text, text),
        };
        Ok(Self {
            name: name.to_owned(),
            kind: kind.parse()?,
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, value) = text.split_once(':').unwrap_or((text, ""));
        let words = || {
            value
                .parse()
                .map_err(|_| format!("`{value}` is not a number of words, as in {word}:100"))
        };
        match word {
            "get" if value.is_empty() => Ok(Self::Get),
            "chat" => Ok(Self::Chat {
                words: words()?,
                stream: false,
            }),
            "stream" => Ok(Self::Chat {
                words: words()?,
                stream: true,
            }),
            "dataframe" => Ok(Self::Dataframe(value.parse()?)),
            "file" if !value.is_empty() => Ok(Self::File(PathBuf::from(value))),
            _ => Err(
                "must be get, chat:WORDS, stream:WORDS, dataframe:ROWSxCOLS or file:PATH"
                    .to_owned(),
            ),
        }
    }
}

impl CaseArg {
    /// Builds the request. A content type among `headers` replaces the case's own.
    pub(super) fn read(&self, headers: &HeaderMap, seed: u64) -> anyhow::Result<Case> {
        let (body, content_type) = self.kind.body(seed)?;
        let mut headers = headers.clone();
        if let Some(content_type) = content_type {
            let content_type = HeaderValue::from_static(content_type);
            headers.entry(header::CONTENT_TYPE).or_insert(content_type);
        }
        Ok(Case {
            name: self.name.clone(),
            method: if content_type.is_some() {
                Method::POST
            } else {
                Method::GET
            },
            headers,
            body,
        })
    }
}

impl Kind {
    /// Generates or reads the body, and returns it with its content type. Only GET has no content
    /// type.
    pub(super) fn body(&self, seed: u64) -> anyhow::Result<(Bytes, Option<&'static str>)> {
        Ok(match self {
            Self::Get => (Bytes::new(), None),
            Self::Chat { words, stream } => {
                let words = usize::try_from(*words)?;
                (bodies::chat(words, *stream, "loadtest"), Some(JSON))
            }
            Self::Dataframe(frame) => (frame.body(seed), Some(JSON)),
            Self::File(path) => (read(path)?, Some(content_type(path))),
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let bytes = fs::read(path).with_context(|| format!("cannot read body `{}`", path.display()))?;
    Ok(Bytes::from(bytes))
}

pub(super) fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => JSON,
        Some("csv") => "text/csv",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(&str, Kind), &str>) {
        let expect = expect.map(|(name, kind)| CaseArg {
            name: name.to_owned(),
            kind,
        });
        assert_eq!(text.parse(), expect.map_err(str::to_owned));
    }

    #[test]
    fn a_case_is_a_kind_with_or_without_a_name() {
        check("get", Ok(("get", Kind::Get)));
        check(
            "chat:5",
            Ok((
                "chat:5",
                Kind::Chat {
                    words: 5,
                    stream: false,
                },
            )),
        );
        check(
            "small=stream:5",
            Ok((
                "small",
                Kind::Chat {
                    words: 5,
                    stream: true,
                },
            )),
        );
        check(
            "dataframe:3x2",
            Ok(("dataframe:3x2", Kind::Dataframe(DataFrame::floats(3, 2)))),
        );
        check("file:/a=b", Ok(("file:/a=b", Kind::File("/a=b".into()))));
        check(
            "chat:many",
            Err("`many` is not a number of words, as in chat:100"),
        );
        let known = "must be get, chat:WORDS, stream:WORDS, dataframe:ROWSxCOLS or file:PATH";
        check("file:", Err(known));
        check("post", Err(known));
    }
}
