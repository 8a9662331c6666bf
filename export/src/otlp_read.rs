//! A record, read back: for people, and for other tools.
//!
//! Source: OTLP's JSON encoding (opentelemetry-proto, "JSON Protobuf Encoding"): ids in
//! hexadecimal, 64-bit numbers as text. One request per line is OpenTelemetry's file format.

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::otlp::proto::{Any, AnyValue, KeyValue, STATUS_ERROR, ScopeSpans, Span};
use crate::sink::{StoredSpan, StoredTrace};

/// A record as one `ExportTraceServiceRequest` in OTLP's JSON; `None` where it is not understood.
pub fn otlp_json(record: &[u8]) -> Option<Value> {
    let scopes: Vec<_> = scopes(record)?.iter().map(scope).collect();
    let service = json!({"key": "service.name", "value": {"stringValue": "offpath"}});
    Some(json!({"resourceSpans": [{
        "resource": {"attributes": [service]},
        "scopeSpans": scopes,
    }]}))
}

/// A record as MLflow would show it.
pub(crate) fn stored(record: &[u8]) -> Option<StoredTrace> {
    let scopes = scopes(record)?.into_iter();
    let spans: Vec<_> = scopes.flat_map(|scope| scope.spans).collect();
    let mut trace = StoredTrace::default();
    for span in &spans {
        let is_root = span.parent_span_id.is_empty();
        let mut attributes = Map::new();
        for KeyValue { key, value } in &span.attributes {
            let (key, value) = (text(key), plain(value.as_ref()));
            match key.strip_prefix("mlflow.traceTag.") {
                Some(tag) => drop(trace.tags.insert(tag.to_owned(), value)),
                None => drop(attributes.insert(key, nested(value))),
            }
        }
        if is_root {
            let failed = span.status.as_ref().is_some_and(|s| s.code == STATUS_ERROR);
            trace.state = if failed { "ERROR" } else { "OK" }.to_owned();
        }
        // MLflow sums up the usage of all spans.
        if let Some(usage) = attributes.get("mlflow.chat.tokenUsage") {
            let usage = usage.to_string().into();
            trace
                .metadata
                .insert("mlflow.trace.tokenUsage".to_owned(), usage);
        }
        trace.spans.push(StoredSpan {
            name: text(&span.name),
            is_root,
            attributes,
        });
    }
    Some(trace)
}

/// A record is the field `ResourceSpans.scope_spans`, so it is a message of that one field.
fn scopes(record: &[u8]) -> Option<Vec<ScopeSpans>> {
    #[derive(Clone, PartialEq, Message)]
    struct ResourceSpans {
        #[prost(message, repeated, tag = "2")]
        scope_spans: Vec<ScopeSpans>,
    }
    let read = ResourceSpans::decode(Bytes::copy_from_slice(record)).ok()?;
    Some(read.scope_spans)
}

fn scope(scope: &ScopeSpans) -> Value {
    let spans: Vec<_> = scope.spans.iter().map(span).collect();
    let named = scope.scope.clone().unwrap_or_default();
    json!({"scope": {"name": text(&named.name), "version": text(&named.version)}, "spans": spans})
}

fn span(span: &Span) -> Value {
    let attribute = |pair: &KeyValue| {
        let value = pair.value.as_ref().map_or(Value::Null, tagged);
        json!({"key": text(&pair.key), "value": value})
    };
    let status = span.status.clone().unwrap_or_default();
    let mut object = json!({
        "traceId": hex::encode(&span.trace_id),
        "spanId": hex::encode(&span.span_id),
        "name": text(&span.name),
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "status": {"code": status.code, "message": text(&status.message)},
    });
    if let Some(object) = object.as_object_mut() {
        if !span.parent_span_id.is_empty() {
            object.insert(
                "parentSpanId".to_owned(),
                hex::encode(&span.parent_span_id).into(),
            );
        }
        let link = |link: &crate::otlp::proto::Link| json!({"traceId": hex::encode(&link.trace_id), "spanId": hex::encode(&link.span_id)});
        if !span.links.is_empty() {
            object.insert("links".to_owned(), span.links.iter().map(link).collect());
        }
    }
    object
}

fn tagged(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(Any::String(bytes)) => json!({"stringValue": text(bytes)}),
        Some(Any::Bool(truth)) => json!({"boolValue": truth}),
        Some(Any::Int(number)) => json!({"intValue": number.to_string()}),
        Some(Any::Double(number)) => json!({"doubleValue": number}),
        Some(Any::Array(array)) => {
            json!({"arrayValue": {"values": array.values.iter().map(tagged).collect::<Vec<_>>()}})
        }
    }
}

fn plain(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        None => Value::Null,
        Some(Any::String(bytes)) => text(bytes).into(),
        Some(Any::Bool(truth)) => (*truth).into(),
        Some(Any::Int(number)) => (*number).into(),
        Some(Any::Double(number)) => (*number).into(),
        Some(Any::Array(array)) => array
            .values
            .iter()
            .map(|value| plain(Some(value)))
            .collect(),
    }
}

/// MLflow reads text attributes that hold JSON.
fn nested(value: Value) -> Value {
    match value.as_str().map(serde_json::from_str) {
        Some(Ok(read)) => read,
        _ => value,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
