//! What a case expects of a trace.

use offpath_trace::{Span, Status, Text, Trace, Value};
use serde_json::Value as Json;

/// What of `expect` does not hold.
pub(crate) fn faults(expect: &Json, trace: &Trace) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, wanted) in expect.as_object().expect("`expect` is an object") {
        match key.as_str() {
            "root" => span(key, wanted, trace.spans.first(), &mut faults),
            "upstream" => span(key, wanted, trace.spans.get(1), &mut faults),
            "nowhere" => nowhere(wanted, trace, &mut faults),
            other => panic!("`expect` has no `{other}`"),
        }
    }
    faults
}

/// Whether none of these texts is in any attribute, name, status or metadata of the trace.
fn nowhere(texts: &Json, trace: &Trace, faults: &mut Vec<String>) {
    let all = format!("{trace:?}");
    for text in list(texts) {
        if all.contains(text) {
            faults.push(format!("`{text}` is in the trace"));
        }
    }
}

fn span(name: &str, wanted: &Json, span: Option<&Span>, faults: &mut Vec<String>) {
    let Some(span) = span else {
        return faults.push(format!("there is no {name} span"));
    };
    for (key, wanted) in wanted.as_object().expect("a span's expectations by key") {
        let got = match key.as_str() {
            "status" => Some(match &span.status {
                Status::Ok => "OK".to_owned(),
                Status::Error(message) => format!("ERROR: {message}"),
            }),
            "name" => Some(span.name.to_string()),
            _ => attribute(span, key),
        };
        if !holds(wanted, got.as_deref()) {
            let got = got.unwrap_or_else(|| "nothing".to_owned());
            faults.push(format!("{name} {key}: expected {wanted}, got {got}"));
        }
    }
}

/// An attribute's value as text; of a list, its items with commas between.
fn attribute(span: &Span, key: &str) -> Option<String> {
    let mut found = span.attributes.iter().filter(|(name, _)| name == key);
    let (_, value) = found.next()?;
    Some(match value {
        Value::Text(text) => text.as_str().to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Texts(list) => list.iter().map(Text::as_str).collect::<Vec<_>>().join(","),
    })
}

fn holds(wanted: &Json, got: Option<&str>) -> bool {
    let Some(got) = got else {
        return wanted.is_null();
    };
    match wanted {
        Json::Null => false,
        Json::String(text) => text == got,
        Json::Object(rules) => rules.iter().all(|(rule, wanted)| match rule.as_str() {
            "holds" => list(wanted).all(|text| got.contains(text)),
            "lacks" => !list(wanted).any(|text| got.contains(text)),
            "json" => serde_json::from_str::<Json>(got).is_ok_and(|json| json == *wanted),
            "at" => at(wanted, got),
            other => panic!("there is no rule `{other}`"),
        }),
        other => serde_json::from_str::<Json>(got).is_ok_and(|json| json == *other),
    }
}

/// Whether the values at these JSON pointers (RFC 6901) are as wanted; `null`: there is none.
fn at(wanted: &Json, got: &str) -> bool {
    let Ok(json) = serde_json::from_str::<Json>(got) else {
        return false;
    };
    let pointers = wanted.as_object().expect("values by JSON pointer");
    pointers.iter().all(|(pointer, wanted)| {
        let found = json.pointer(pointer).unwrap_or(&Json::Null);
        found == wanted
    })
}

/// One text, or each of a list.
fn list(texts: &Json) -> impl Iterator<Item = &str> {
    let many = texts.as_array().into_iter().flatten();
    many.chain(texts.is_string().then_some(texts))
        .map(|text| text.as_str().expect("a text"))
}
