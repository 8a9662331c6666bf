//! The demo's traffic: chats whole and streamed, DataFrames small and large, and an error.
#![expect(clippy::print_stdout, reason = "a demo speaks to whoever started it")]

use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use http::HeaderMap;
use offpath_loadtest::bodies;
use offpath_loadtest::client::{Client, Response};

/// One call and what came back.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) request: Bytes,
    pub(super) response: Response,
    /// MLflow's id, from the response.
    pub(super) trace_id: String,
}

const CHAT: &str = "/v1/chat/completions";
const SCORING: &str = "/invocations";

/// Sends it all, one call after the other, and shows what the headers said.
pub(super) async fn send(base: &str) -> anyhow::Result<Vec<Call>> {
    let chat = |words, stream| bodies::chat(words, stream, "demo-model");
    let plan = [
        ("chat", CHAT, chat(40, false), None),
        ("chat, streamed", CHAT, chat(40, true), None),
        ("chat, long prompt", CHAT, chat(3_000, false), None),
        ("chat, streamed", CHAT, chat(12, true), None),
        (
            "100 rows x 20",
            SCORING,
            bodies::dataframe_split(100, 20, 1),
            None,
        ),
        (
            "10,000 rows x 20",
            SCORING,
            bodies::dataframe_split(10_000, 20, 2),
            None,
        ),
        (
            "chat, upstream error",
            CHAT,
            chat(10, false),
            Some(("x-status", "500")),
        ),
    ];
    println!(
        "{:<22} {:>6} {:>10} {:>10}  server-timing",
        "call", "status", "total ms", "added us"
    );
    let mut calls = Vec::new();
    for (name, path, body, knob) in plan {
        calls.push(call(name, &format!("{base}{path}"), body, knob).await?);
    }
    Ok(calls)
}

async fn call(
    name: &'static str,
    url: &str,
    request: Bytes,
    knob: Option<(&str, &str)>,
) -> anyhow::Result<Call> {
    let mut headers = vec![
        ("content-type", "application/json"),
        ("x-user-id", "demo-user"),
        ("x-session-id", "demo-session"),
    ];
    headers.extend(knob);
    let began = Instant::now();
    let response = Client::default()
        .post(url, &headers, request.clone())
        .await?;
    let total = began.elapsed().as_secs_f64() * 1e3;
    let said = |name: &str| field(&response.headers, name).unwrap_or("-").to_owned();
    println!(
        "{name:<22} {:>6} {total:>10.3} {:>10}  {}",
        response.status.as_u16(),
        said("x-offpath-overhead-us"),
        said("server-timing"),
    );
    let trace_id = field(&response.headers, "x-offpath-trace-id");
    let trace_id = trace_id
        .context("every exchange of the demo is kept")?
        .to_owned();
    Ok(Call {
        name,
        request,
        response,
        trace_id,
    })
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
