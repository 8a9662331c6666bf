//! The small form of a trace that is larger than `batch.max_trace`.

use offpath_trace::{Span, Text, Trace, Value};

/// Characters of a body that stay. MLflow's own previews have as many.
const PREVIEW_CHARS: usize = 1000;

/// The kind under which such traces are counted and marked.
pub(crate) const TRACE_TOO_LARGE: &str = "trace_too_large";

/// Puts a preview in the place of every span's inputs and outputs, and says so on the root.
pub(crate) fn shrink(trace: &mut Trace) {
    for span in &mut trace.spans {
        for (key, size) in [
            ("mlflow.spanInputs", "offpath.request.bytes"),
            ("mlflow.spanOutputs", "offpath.response.bytes"),
        ] {
            let bytes = int(span, size);
            if let Some(Value::Text(body)) = attribute(span, key) {
                *body = preview(body, bytes);
            }
        }
    }
    if let Some(root) = trace.spans.first_mut() {
        mark(root);
    }
}

/// `bytes` is the body's true size, where the span says it; else the text's own.
fn preview(body: &Text, bytes: Option<i64>) -> Text {
    let text = body.as_str();
    let end = text
        .char_indices()
        .nth(PREVIEW_CHARS)
        .map_or(text.len(), |(end, _)| end);
    let kept = text.get(..end).unwrap_or_default();
    let bytes = bytes.unwrap_or_else(|| i64::try_from(text.len()).unwrap_or(i64::MAX));
    let cut = serde_json::json!({"offpath.body": {
        "truncated": true, "bytes": bytes, "kept_bytes": kept.len(), "text": kept,
    }});
    cut.to_string().into()
}

fn mark(root: &mut Span) {
    let mark = Text::from(TRACE_TOO_LARGE);
    match attribute(root, "offpath.defects") {
        Some(Value::Texts(defects)) => defects.push(mark),
        Some(_) => {}
        None => root
            .attributes
            .push(("offpath.defects".into(), Value::Texts(vec![mark]))),
    }
}

fn attribute<'a>(span: &'a mut Span, key: &str) -> Option<&'a mut Value> {
    span.attributes
        .iter_mut()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value)
}

fn int(span: &mut Span, key: &str) -> Option<i64> {
    match attribute(span, key) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}
