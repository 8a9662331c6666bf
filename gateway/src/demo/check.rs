//! Whether each kept exchange arrived whole.
#![expect(clippy::print_stdout, reason = "a demo speaks to whoever started it")]

use std::time::{Duration, Instant};

use anyhow::bail;
use offpath_export::StoredTrace;
use serde_json::Value;

use super::source::Source;
use super::traffic::Call;

/// Batches leave within the linger; a busy MLflow takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads every call's trace back, prints a table, and says whether all of them are whole.
pub(super) async fn arrived(source: &Source, calls: &[Call]) -> anyhow::Result<bool> {
    println!(
        "\nread back from {}\n{:<22} {:<7} {:>10} {:>11} {:>11}  whole",
        source.name(),
        "call",
        "state",
        "in bytes",
        "in tokens",
        "out tokens"
    );
    let deadline = Instant::now() + PATIENCE;
    let mut all = true;
    for call in calls {
        let trace = wait_for(source, &call.trace_id, deadline).await?;
        let faults = faults(call, &trace);
        all &= faults.is_empty();
        let tokens = |kind| {
            let value = usage(&trace).and_then(|usage| usage.get(kind).cloned());
            value.map_or_else(|| "-".to_owned(), |value| value.to_string())
        };
        println!(
            "{:<22} {:<7} {:>10} {:>11} {:>11}  {}",
            call.name,
            trace.state,
            call.request.len(),
            tokens("input_tokens"),
            tokens("output_tokens"),
            if faults.is_empty() {
                "yes".to_owned()
            } else {
                faults.join(", ")
            },
        );
    }
    Ok(all)
}

async fn wait_for(source: &Source, id: &str, deadline: Instant) -> anyhow::Result<StoredTrace> {
    loop {
        match source.trace(id).await {
            Ok(Some(trace)) if !trace.spans.is_empty() => return Ok(trace),
            Ok(_) | Err(_) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(_) => bail!("trace {id} did not arrive within {PATIENCE:?}"),
            Err(error) => return Err(error),
        }
    }
}

/// What of a call is missing from its trace.
fn faults(call: &Call, trace: &StoredTrace) -> Vec<&'static str> {
    let Some(root) = trace.spans.iter().find(|span| span.is_root) else {
        return vec!["no root span"];
    };
    let attribute = |name: &str| root.attributes.get(name).unwrap_or(&Value::Null);
    let failed = !call.response.status.is_success();
    let mut faults = Vec::new();
    let mut expect = |fits: bool, fault| {
        if !fits {
            faults.push(fault);
        }
    };
    expect(
        trace.state == if failed { "ERROR" } else { "OK" },
        "wrong state",
    );
    expect(trace.spans.len() == 2, "not two spans");
    expect(
        trace.tags.get("environment") == Some(&"demo".into()),
        "no tag",
    );
    expect(
        json(&call.request).as_ref() == Some(attribute("mlflow.spanInputs")),
        "wrong inputs",
    );
    let outputs = attribute("mlflow.spanOutputs");
    match streamed(&call.response.body) {
        Some((text, sent_usage)) => {
            let stored = outputs.pointer("/choices/0/message/content");
            expect(
                stored.and_then(Value::as_str) == Some(&text),
                "wrong outputs",
            );
            expect(same_usage(trace, &sent_usage), "wrong usage");
        }
        None => {
            let sent = json(&call.response.body);
            expect(sent.as_ref() == Some(outputs), "wrong outputs");
            if let Some(sent_usage) = sent.as_ref().and_then(|body| body.get("usage")) {
                expect(same_usage(trace, sent_usage), "wrong usage");
            }
        }
    }
    faults
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// What MLflow shows as the trace's token usage.
fn usage(trace: &StoredTrace) -> Option<Value> {
    json(
        trace
            .metadata
            .get("mlflow.trace.tokenUsage")?
            .as_str()?
            .as_bytes(),
    )
}

fn same_usage(trace: &StoredTrace, sent: &Value) -> bool {
    let Some(stored) = usage(trace) else {
        return false;
    };
    let pairs = [
        ("input_tokens", "prompt_tokens"),
        ("output_tokens", "completion_tokens"),
        ("total_tokens", "total_tokens"),
    ];
    pairs
        .iter()
        .all(|(ours, theirs)| stored.get(ours) == sent.get(theirs))
}

/// The text and usage of a streamed chat; `None` for a body that is no stream. Read apart from
/// offpath's own decoder, which it checks.
fn streamed(body: &[u8]) -> Option<(String, Value)> {
    let text = std::str::from_utf8(body).ok()?;
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| json(line.strip_prefix("data: ")?.as_bytes()))
        .collect();
    if events.is_empty() {
        return None;
    }
    let delta = |event: &Value| {
        event
            .pointer("/choices/0/delta/content")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let usage = events
        .iter()
        .filter_map(|event| event.get("usage"))
        .rfind(|usage| usage.is_object());
    Some((
        events.iter().filter_map(delta).collect(),
        usage.cloned().unwrap_or_default(),
    ))
}
