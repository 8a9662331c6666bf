//! The requests of `run`: what their bodies are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use offpath_loadtest::bodies::{self, Frame, Pattern};
use offpath_loadtest::client::{Http, Target, Template};
use offpath_loadtest::run::Requests;

use super::case::{self, JSON, Kind};

/// The model that generated chats name.
const MODEL: &str = "loadtest";

/// What is sent.
#[derive(Debug, clap::Args)]
pub(super) struct Body {
    #[command(flatten)]
    source: Source,
    /// Ask for streamed chat answers
    #[arg(long)]
    stream: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Source {
    /// Request body from a file
    #[arg(long = "body", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Request body from a file with places that are filled anew for each request: `{{n}}`,
    /// `{{uuid}}`, `{{words:N}}`, `{{int:A..B}}`, `{{choice:a|b}}`
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Chat completions requests with the prompts of a file in turn, one a line: text, a JSON
    /// string, or an object with `prompt`, `text_input` or `turns`
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Generated chat completions request with so many words
    #[arg(long, value_name = "WORDS")]
    chat: Option<u32>,
    /// Generated MLflow `dataframe_split` request: `1000x20`, or with types that go round and
    /// missing cells, `1000x20:float,int,text,time,bool:5%`
    #[arg(long, value_name = "ROWSxCOLS")]
    dataframe: Option<Frame>,
}

impl Body {
    /// The requests; the method, where none is given, is POST with a body.
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
        let template = {
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
                Template::new(&target, http, method, headers, body)
            }
        };
        if let Some(path) = &source.template {
            let pattern: Pattern = text(path)?.parse().map_err(|error| named(path, error))?;
            let content_type = Some(case::content_type(path));
            // A request that cannot be made is found before the load.
            template(pattern.fill(seed, 0), content_type)?;
            let make = move |number| template(pattern.fill(seed, number), content_type).ok();
            return Ok(Requests::made(make));
        }
        if let Some(path) = &source.prompts {
            let prompts = bodies::prompts(&text(path)?);
            let prompts =
                prompts.map_err(|(line, reason)| named(path, format!("line {line}: {reason}")))?;
            let chat = move |number: usize| {
                let prompt = prompts.get(number % prompts.len().max(1));
                bodies::chat_of(prompt.map_or("", String::as_str), stream, MODEL)
            };
            template(chat(0), Some(JSON))?;
            let make = move |number| template(chat(number), Some(JSON)).ok();
            return Ok(Requests::made(make));
        }
        let (body, content_type) = source.kind(stream).body(seed)?;
        Ok(Requests::same(template(body, content_type)?))
    }
}

impl Source {
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
    let text = fs::read_to_string(path);
    text.with_context(|| format!("cannot read `{}`", path.display()))
}

fn named(path: &Path, reason: String) -> anyhow::Error {
    anyhow!("`{}`: {reason}", path.display())
}
