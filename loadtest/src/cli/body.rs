//! The options of `run` that choose the request bodies.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use offpath_loadtest::bodies::{self, BodyTemplate, DataFrame};
use offpath_loadtest::client::{Http, PreparedRequest, Target};
use offpath_loadtest::run::Requests;

use super::case::{self, JSON, Kind};

/// The model name in generated chats.
const MODEL: &str = "loadtest";

/// Where request bodies come from, and whether chats are streamed.
#[derive(Debug, clap::Args)]
pub(super) struct BodyArgs {
    #[command(flatten)]
    source: BodySource,
    /// Request streamed chat responses
    #[arg(long)]
    stream: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct BodySource {
    /// Read the request body from a file
    #[arg(long = "body", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the request body from a file and fill its placeholders for each request. A placeholder
    /// stands in double braces: n (the request's number), uuid, words:N, int:A..B, choice:a|b
    // clap prints a line break for `{n}`, so the braces are described.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Send chat completions requests with the prompts of a file in turn, one per line: text, a
    /// JSON string, or an object with `prompt`, `text_input` or `turns`
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Generate a chat completions request with a prompt of this many words
    #[arg(long, value_name = "WORDS")]
    chat: Option<u32>,
    /// Generate an MLflow `dataframe_split` request: `1000x20`, or with types that the columns
    /// cycle through and missing cells, `1000x20:float,int,text,time,bool:5%`
    #[arg(long, value_name = "ROWSxCOLS")]
    dataframe: Option<DataFrame>,
}

impl BodyArgs {
    /// Builds the requests. Without a `method` they are POST if they have a body, else GET.
    pub(super) fn requests(
        self,
        target: &Target,
        http: Http,
        method: Option<Method>,
        headers: HeaderMap,
        seed: u64,
    ) -> anyhow::Result<Requests> {
        let Self { source, stream } = self;
        let is_chat = source.chat.is_some() || source.prompts.is_some();
        anyhow::ensure!(
            !stream || is_chat,
            "`--stream` needs `--chat` or `--prompts`"
        );
        let prepare = {
            let target = target.clone();
            move |body: Bytes, content_type: Option<&'static str>| {
                let mut headers = headers.clone();
                if let Some(content_type) = content_type {
                    let content_type = HeaderValue::from_static(content_type);
                    headers.entry(header::CONTENT_TYPE).or_insert(content_type);
                }
                let default = if content_type.is_some() {
                    Method::POST
                } else {
                    Method::GET
                };
                let method = method.clone().unwrap_or(default);
                PreparedRequest::new(&target, http, method, headers, body)
            }
        };
        if let Some(path) = &source.template {
            let body: BodyTemplate = text(path)?.parse().map_err(|error| in_file(path, error))?;
            let content_type = Some(case::content_type(path));
            // Finds an invalid request before the load.
            prepare(body.fill(seed, 0), content_type)?;
            let generate = move |number| prepare(body.fill(seed, number), content_type).ok();
            return Ok(Requests::generate(generate));
        }
        if let Some(path) = &source.prompts {
            let prompts = bodies::prompts(&text(path)?).map_err(|error| in_file(path, error))?;
            let chat = move |number: usize| {
                let prompt = prompts
                    .get(number % prompts.len())
                    .expect("a remainder is within the list, and `prompts` fails on an empty one");
                bodies::chat_with_prompt(prompt, stream, MODEL)
            };
            prepare(chat(0), Some(JSON))?;
            let generate = move |number| prepare(chat(number), Some(JSON)).ok();
            return Ok(Requests::generate(generate));
        }
        let (body, content_type) = source.kind(stream).body(seed)?;
        Ok(Requests::repeat(prepare(body, content_type)?))
    }
}

impl BodySource {
    fn kind(self, stream: bool) -> Kind {
        if let Some(path) = self.file {
            return Kind::File(path);
        }
        match (self.chat, self.dataframe) {
            (Some(words), _) => Kind::Chat { words, stream },
            (None, Some(frame)) => Kind::Dataframe(frame),
            (None, None) => Kind::Get,
        }
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn in_file(path: &Path, reason: impl Display) -> anyhow::Error {
    anyhow!("`{}`: {reason}", path.display())
}
