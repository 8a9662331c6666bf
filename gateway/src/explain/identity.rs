//! Whose exchange it would be, read by the decoder from an exchange that holds this request alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Version;
use offpath_config::Route;
use offpath_filters::{Capture, CaptureBudget, Head, Keeping, Recording, propagate};
use offpath_trace::{Body, EndReason, KeptBecause, Outcome, Request, Source, Span, Value, decode};
use serde::Serialize;

use super::request::Asked;
use crate::proxy::caller;
use crate::route::Tracing;

/// Whose exchange it would be.
#[derive(Debug, Default, Serialize)]
pub(super) struct Identity {
    pub(super) user: Option<String>,
    pub(super) session: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// What the body may tell, where none was given: `user`, `session`, keys of tags.
    pub(super) needs_body: Vec<String>,
}

impl Identity {
    pub(super) fn of(route: &Route, tracing: &Tracing, asked: &Asked) -> Self {
        let root = root(route, tracing, asked);
        let mut identity = Self {
            needs_body: needs_body(route, asked),
            ..Self::default()
        };
        for (key, value) in root.into_iter().flat_map(|root| root.attributes) {
            let Value::Text(text) = value else {
                continue;
            };
            let text = text.as_str().to_owned();
            match (&*key, key.strip_prefix("mlflow.traceTag.")) {
                ("user.id", _) => identity.user = Some(text),
                ("session.id", _) => identity.session = Some(text),
                (_, Some(tag)) if route.trace.tags.iter().any(|known| *known.key == *tag) => {
                    identity.tags.insert(tag.to_owned(), text);
                }
                _ => {}
            }
        }
        identity
    }
}

fn needs_body(route: &Route, asked: &Asked) -> Vec<String> {
    let reads = |sources: &[Source]| sources.iter().any(|s| matches!(s, Source::Body(_)));
    let mut names = Vec::new();
    if asked.body.is_some() {
        return names;
    }
    let trace = &route.trace;
    names.extend(reads(&trace.user).then(|| "user".to_owned()));
    names.extend(reads(&trace.session).then(|| "session".to_owned()));
    let tags = trace.tags.iter();
    let late = tags.filter(|tag| matches!(tag.value, Source::Body(_)));
    names.extend(late.map(|tag| tag.key.to_string()));
    names
}

/// The root span of an exchange that ended with its request.
fn root(route: &Route, tracing: &Tracing, asked: &Asked) -> Option<Span> {
    let now = Instant::now();
    let budget = CaptureBudget::new(usize::MAX / 2);
    let propagation = propagate(route.trace.context, caller(&asked.head.headers), (1, 2, 3));
    let head = Head {
        kept: Some(KeptBecause::Ratio),
        weight: None,
    };
    let keeping = Keeping {
        head,
        rules: None,
        content: false,
    };
    let request = Request {
        method: asked.head.method.clone(),
        uri: asked.head.uri.clone(),
        version: Version::HTTP_11,
        headers: (&asked.head.headers).into(),
        tls: false,
        client: None,
        body: Body::default(),
    };
    let mut capture = Capture::begin(now, SystemTime::now());
    capture.record(Recording::begin(
        Arc::clone(&tracing.plan),
        propagation.ids,
        keeping,
        (Box::default(), request),
        0,
        tracing.max_body,
        &budget,
    ));
    if let Some(body) = &asked.body {
        capture.request_chunk(body, now);
    }
    let outcome = Outcome {
        end: EndReason::Complete,
        error: None,
        upstream: None,
    };
    let finished = capture.finish(now, outcome)?;
    let (trace, _) = decode(&finished.exchange);
    trace.spans.into_iter().next()
}
