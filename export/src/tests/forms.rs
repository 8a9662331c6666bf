//! One exchange to sinks that read it differently.

use super::stub::{Sent, Stub};
use super::support::{Export, with_sinks};
use crate::otlp::proto::Any;

/// An attribute of the first span that was sent.
fn attribute(sent: &Sent, key: &str) -> Option<Any> {
    let span = sent.spans().swap_remove(0);
    let mut attributes = span.attributes.into_iter();
    let found = attributes.find(|attribute| *attribute.key == *key.as_bytes())?;
    found.value?.value
}

fn text(sent: &Sent, key: &str) -> String {
    match attribute(sent, key) {
        Some(Any::String(text)) => String::from_utf8(text.into()).unwrap(),
        other => panic!("`{key}` is no text: {other:?}"),
    }
}

/// Offers a body to two sinks: what MLflow gets as the root's inputs, and the defect that is noted
/// there alone.
#[track_caller]
fn check(body: &str, to_mlflow: &str, defect: Option<&str>) {
    let (mlflow, other) = (Stub::willing(), Stub::willing());
    let config = with_sinks(&format!(
        "mlflow: {{type: mlflow, tracking_uri: \"http://{}\"}}\n    \
         other: {{type: otlp, endpoint: \"http://{}/v1/traces\", compression: none}}",
        mlflow.address, other.address
    ));
    let export = Export::open_with(&config, offpath_trace::decode);
    export.offer(1, body.to_owned());
    export.wait(|sinks| sinks.iter().all(|sink| sink.exported == 1));
    let (mlflow, other) = (&mlflow.seen()[0], &other.seen()[0]);
    assert_eq!(text(mlflow, "mlflow.spanInputs"), to_mlflow);
    assert_eq!(text(other, "mlflow.spanInputs"), body);
    assert_eq!(
        attribute(mlflow, "offpath.defects").is_some(),
        defect.is_some()
    );
    assert_eq!(attribute(other, "offpath.defects"), None);
    if let Some(kind) = defect {
        let counted = format!("offpath_defects_total{{kind=\"{kind}\"}}");
        assert_eq!(export.metric(&counted), 1.0);
    }
}

#[test]
fn mlflow_gets_what_it_can_read_back_and_another_sink_what_came() {
    let wide = r#"{"seed":9223372036854775808}"#;
    check(
        wide,
        r#"{"seed":"9223372036854775808"}"#,
        Some("wide_integer"),
    );
    let deep = |inner: &str| r#"{"n":"#.repeat(31) + inner + &"}".repeat(31);
    check(&deep("[[1]]"), &deep("\"[[1]]\""), Some("too_deep"));
    check(
        r#"{"seed":9223372036854775807}"#,
        r#"{"seed":9223372036854775807}"#,
        None,
    );
}
