//! Whole exchanges as files: what was said on the wire, and every word of its trace.

use std::fmt::Write;

use super::*;

/// Reads `METHOD path`, headers and a body; a line of `=`; a status, headers and a body.
fn parse(file: &str) -> Exchange {
    let (request, response) = file.split_once("\n=====\n").unwrap();
    let (head, request_body) = request.split_once("\n\n").unwrap_or((request, ""));
    let (target, request_headers) = head.split_once('\n').unwrap_or((head, ""));
    let (method, path) = target.trim().split_once(' ').unwrap();
    let (head, response_body) = response.split_once("\n\n").unwrap();
    let (status, response_headers) = head.split_once('\n').unwrap();
    let fields = |lines: &str| {
        let pairs: Vec<_> = lines
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        headers(&pairs)
    };
    exchange(path, request_body, response_body).with(|exchange| {
        exchange.request.method = method.parse().unwrap();
        exchange.request.headers.extend(fields(request_headers));
        let response = exchange.response.as_mut().unwrap();
        response.status = status.parse().unwrap();
        response.headers = fields(response_headers);
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

#[track_caller]
fn check(wire: &str, expect: &str) {
    let (trace, _) = decode(&parse(wire));
    let got = render(&trace);
    assert_eq!(got, expect, "\n{got}");
}

#[test]
fn a_stream_with_tools_is_told_word_for_word() {
    check(
        include_str!("../../../tests/data/chat/tools_stream.http"),
        include_str!("../../../tests/data/chat/tools_stream.trace"),
    );
}

#[test]
fn a_frame_is_told_word_for_word() {
    check(
        include_str!("../../../tests/data/scoring/dataframe_split.http"),
        include_str!("../../../tests/data/scoring/dataframe_split.trace"),
    );
}

#[test]
fn an_error_page_is_told_word_for_word() {
    check(
        include_str!("../../../tests/data/generic/html_error.http"),
        include_str!("../../../tests/data/generic/html_error.trace"),
    );
}
