//! `offpath explain`: what would become of a request, by the code that decides it.
//!
//! Nothing is sent. The route is looked up, the head decision made and the trace's identity read
//! by the request path's own router, sampler and decoder, so the answer cannot differ from what
//! happens, but for what only the exchange itself can show: its end, its content, and the rate of
//! others.

mod identity;
mod page;
mod request;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use offpath_config::{CaptureLevel, Config, ExperimentRef, Route, Sink, SinkKind};
use offpath_filters::Router;
use serde::Serialize;

use self::identity::Identity;
use self::request::Asked;
use self::verdict::Verdict;
use crate::proxy::target;
use crate::route::tracing;

/// What is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The request's method.
    method: String,
    /// Its URL, or its path and query.
    url: String,
    /// A header field of it, as often as needed.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A file with its body.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// The answer, ready to be printed.
pub(crate) fn explain(config: &Config, options: &Options) -> anyhow::Result<String> {
    let body = options.body.as_ref().map(|file| {
        let shown = file.display();
        std::fs::read(file).with_context(|| format!("cannot read `{shown}`"))
    });
    let asked = Asked::new(
        &options.method,
        &options.url,
        &options.headers,
        body.transpose()?,
    )?;
    let answer = Answer::of(config, &asked);
    Ok(if options.json {
        serde_json::to_string_pretty(&answer)?
    } else {
        page::page(&answer)
    })
}

/// What would become of a request; `--json` prints it as it is.
#[derive(Debug, Serialize)]
struct Answer {
    /// `None`: no route takes it.
    route: Option<Taken>,
}

/// A request that a route takes.
#[derive(Debug, Serialize)]
struct Taken {
    name: Arc<str>,
    upstream: Arc<str>,
    /// `None`: the route is not traced.
    tracing: Option<Traced>,
}

/// A request that may become a trace.
#[derive(Debug, Serialize)]
struct Traced {
    sampling: Verdict,
    identity: Identity,
    trace: Destination,
}

/// How much would be stored, and where.
#[derive(Debug, Serialize)]
struct Destination {
    name: Arc<str>,
    /// `None`: no sink of the route knows experiments.
    experiment: Option<Arc<str>>,
    sinks: Vec<Arc<str>>,
    /// Bytes of each body; `None`: sizes, shapes and usage alone.
    max_body: Option<usize>,
}

impl Answer {
    fn of(config: &Config, asked: &Asked) -> Self {
        let index = Router::new(&config.routes).find(target(&asked.head));
        let route = index.and_then(|index| Some((index, config.routes.get(index)?)));
        Self {
            route: route.map(|(index, route)| Taken {
                name: Arc::clone(&route.name),
                upstream: Arc::clone(&route.upstream),
                tracing: tracing(index, route).map(|tracing| {
                    let identity = Identity::of(route, &tracing, asked);
                    Traced {
                        sampling: Verdict::of(route, &tracing, asked).shown_as(&identity),
                        identity,
                        trace: Destination::of(config, route),
                    }
                }),
            }),
        }
    }
}

impl Destination {
    fn of(config: &Config, route: &Route) -> Self {
        let experiment = match &route.trace.experiment {
            ExperimentRef::Default => "Default".into(),
            ExperimentRef::Id(given) | ExperimentRef::Name(given) => Arc::clone(given),
        };
        let knows_experiments = |sink: &Sink| {
            route.sinks.contains(&sink.name) && matches!(sink.kind, SinkKind::Mlflow(_))
        };
        let known = config.export.sinks.iter().any(knows_experiments);
        let full = route.capture.level == CaptureLevel::Full;
        Self {
            name: Arc::clone(&route.trace.name),
            experiment: Some(experiment).filter(|_| known),
            sinks: route.sinks.clone(),
            max_body: full.then_some(route.capture.max_body),
        }
    }
}
