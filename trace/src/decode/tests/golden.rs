//! Whole exchanges as files: what was said on the wire, and every word of its trace.

use std::fmt::Write;

use http::header::{HOST, HeaderMap, HeaderValue};

use super::*;

/// Reads `METHOD path`, headers and a body; a line of `=`; a status, headers and a body.
pub(super) fn parse(file: &str) -> Exchange {
    let (request, response) = file.split_once("\n=====\n").unwrap();
    let (head, request_body) = request.split_once("\n\n").unwrap_or((request, ""));
    let (target, request_headers) = head.split_once('\n').unwrap_or((head, ""));
    let (method, path) = target.trim().split_once(' ').unwrap();
    let (head, response_body) = response.split_once("\n\n").unwrap();
    let (status, response_headers) = head.split_once('\n').unwrap();
    let fields = |lines: &str| {
        let fields = lines.lines().filter_map(|line| line.split_once(": "));
        let map: HeaderMap = fields
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        map
    };
    exchange(path, request_body, response_body).with(|exchange| {
        exchange.request.method = method.parse().unwrap();
        let mut head = fields(request_headers);
        head.entry(HOST)
            .or_insert(HeaderValue::from_static("models.example:8080"));
        exchange.request.headers = (&head).into();
        let response = exchange.response.as_mut().unwrap();
        response.status = status.parse().unwrap();
        response.headers = (&fields(response_headers)).into();
    })
}

/// A line per fact.
fn render(trace: &Trace) -> String {
    let mut text = String::new();
    for span in &trace.spans {
        writeln!(text, "{} {:?} {:?}", span.name, span.kind, span.status).unwrap();
        for (key, _) in &span.attributes {
            let value = show(span, key).replace('\n', "\\n");
            writeln!(text, "  {key} = {value}").unwrap();
        }
    }
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

/// Compares with the file of that name; `UPDATE_GOLDEN=1` writes what was got instead.
#[track_caller]
fn check(name: &str) {
    let file = |end| format!("{}/tests/data/{name}.{end}", env!("CARGO_MANIFEST_DIR"));
    let wire = std::fs::read_to_string(file("http")).unwrap();
    let (trace, defects) = decode(&parse(&wire));
    let got = render(&trace);
    assert_eq!(defects, []);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file("trace"), &got).unwrap();
    }
    let expect = std::fs::read_to_string(file("trace")).unwrap();
    assert_eq!(got, expect, "\n{got}");
}

#[test]
fn a_stream_with_tools_is_told_word_for_word() {
    check("chat/tools_stream");
}

#[test]
fn thoughts_and_tools_of_one_answer_are_told_word_for_word() {
    check("chat/mistral_thinking");
    check("converse/tools");
}

#[test]
fn a_frame_is_told_word_for_word() {
    check("scoring/dataframe_split");
}

#[test]
fn an_error_page_is_told_word_for_word() {
    check("generic/html_error");
}

#[test]
fn a_stream_of_messages_is_told_word_for_word() {
    check("messages/tools_stream");
}

#[test]
fn a_stream_of_a_response_is_told_word_for_word() {
    check("responses/stream");
}

#[test]
fn a_stream_of_candidates_is_told_word_for_word() {
    check("gemini/stream");
}

#[test]
fn a_stream_of_turns_is_told_word_for_word() {
    check("cohere/v2_stream");
}

#[test]
fn a_stream_of_lines_is_told_word_for_word() {
    check("ollama/chat_stream");
}

#[test]
fn vectors_are_told_word_for_word() {
    check("embeddings/two");
}

/// Answers of `mlflow models serve` 3.17.2, a traceback shortened, and of MLServer 1.7.1.
#[test]
fn recorded_servers_are_told_word_for_word() {
    check("scoring/mlflow_serve");
    check("scoring/mlflow_serve_csv");
    check("scoring/mlflow_serve_error");
    check("infer/mlserver");
    check("infer/mlserver_unknown");
}
