//! Whose exchange it is, and the searchable tags: values cut to what MLflow takes.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderName;

use crate::{Exchange, Source, TraceInfo};

use super::attributes::Attributes;
use super::body::Document;
use super::defect::Notes;
use super::{kept, pointer, text};

/// MLflow's own cut for tag values, in characters; in bytes it is never more.
pub(super) const TAG_BYTES_MAX: usize = 4096;

/// MLflow refuses a whole batch for a longer session, and cuts users to it.
const IDENTITY_BYTES_MAX: usize = 250;

/// MLflow's own client cuts metadata to as many characters.
const METADATA_BYTES_MAX: usize = 250;

/// The column that MLflow keeps a client's request id in has as many characters.
const REQUEST_ID_BYTES_MAX: usize = 50;

/// Puts user, session and tags on the root span.
pub(super) fn put(
    attributes: &mut Attributes,
    exchange: &Exchange,
    request: &Document,
    notes: &mut Notes,
) {
    let plan = &exchange.plan;
    let mut tag = |key: &str, value: &str| {
        let value = text::cut_harmless(value, TAG_BYTES_MAX);
        attributes.put_new(format!("mlflow.traceTag.{key}"), value.into());
    };
    tag("mlflow.traceName", &plan.name);
    tag("offpath.route", &plan.route);
    if let Some(because) = exchange.kept {
        tag(kept::BECAUSE, because.as_str());
    }
    if let Some(weight) = exchange.weight {
        tag(kept::WEIGHT, &weight.to_string());
    }
    tag("offpath.request_id", &exchange.request_id);
    let mut of = |source| value(source, exchange, request, notes);
    let tags = plan.tags.iter();
    let tags: Vec<_> = tags
        .filter_map(|(key, source)| Some((key, of(source)?)))
        .collect();
    for (key, value) in &tags {
        tag(key, value);
    }
    for (key, sources) in [("user.id", &plan.user), ("session.id", &plan.session)] {
        let value = sources
            .iter()
            .find_map(|source| value(source, exchange, request, notes));
        let value = value
            .as_deref()
            .map(|value| text::cut(value, IDENTITY_BYTES_MAX));
        attributes.put_some(key, value);
    }
    // The trace's tags are the caller's in `join`: as attributes, these can be searched.
    if plan.join {
        for (key, value) in &tags {
            let value = text::cut_harmless(value, TAG_BYTES_MAX);
            attributes.put_new(key.to_string(), value.into());
        }
    }
}

/// What only a call of its own can tell MLflow.
pub(super) fn info(
    exchange: &Exchange,
    request: &Document,
    notes: &mut Notes,
) -> Option<Box<TraceInfo>> {
    let plan = &exchange.plan;
    if plan.metadata.is_empty() && plan.client_request_id.is_empty() {
        return None;
    }
    let mut ids = plan.client_request_id.iter();
    let id = ids.find_map(|source| value(source, exchange, request, notes));
    let metadata = plan.metadata.iter().filter_map(|(key, source)| {
        let value = value(source, exchange, request, notes)?;
        let value = text::cut_harmless(&value, METADATA_BYTES_MAX);
        Some((Arc::clone(key), value.to_owned()))
    });
    let info = TraceInfo {
        client_request_id: id.map(|id| text::cut(&id, REQUEST_ID_BYTES_MAX).to_owned()),
        metadata: metadata.collect(),
    };
    (info != TraceInfo::default()).then(|| Box::new(info))
}

/// What a source says of this exchange. A body is masked where it is read, a header here.
fn value<'a>(
    source: &'a Source,
    exchange: &'a Exchange,
    request: &'a Document,
    notes: &mut Notes,
) -> Option<Cow<'a, str>> {
    match source {
        Source::Body(steps) => pointer::scalar(request, steps).filter(|value| !value.is_empty()),
        Source::Header(name) => header(exchange, name, notes).filter(|value| !value.is_empty()),
        Source::Query(name) => {
            let value = source.of_head(&exchange.request.uri, |_| None)?;
            let redaction = &exchange.plan.redaction;
            let mask = redaction.parameter(name, &value, &mut notes.redactions);
            Some(mask.map_or(value, Cow::Owned))
        }
        _ => source.of_head(&exchange.request.uri, |name| {
            exchange.request.headers.get(name)
        }),
    }
}

/// A request header's first value, or what stands for one that must not be stored.
pub(super) fn header<'a>(
    exchange: &'a Exchange,
    name: &HeaderName,
    notes: &mut Notes,
) -> Option<Cow<'a, str>> {
    let value = exchange.request.headers.get(name)?;
    let value = String::from_utf8_lossy(value);
    let redaction = &exchange.plan.redaction;
    let mask = redaction.header(name, &value, &mut notes.redactions);
    Some(mask.map_or(value, Cow::Owned))
}
