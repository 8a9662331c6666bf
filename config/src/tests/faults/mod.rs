//! Every check, as a line that fails it and the error that names the place.

mod export;
mod later;
mod routes;
mod serving;

use super::fixture::{MINIMAL, parse};
use crate::Env;

/// Puts lines before the given line of the minimal example; the errors are exactly those.
#[track_caller]
pub(super) fn check(before_line: usize, put: &str, expect: &str) {
    let mut lines: Vec<&str> = MINIMAL.lines().collect();
    lines.insert(before_line - 1, put);
    check_whole(&lines.join("\n"), expect);
}

#[track_caller]
pub(super) fn check_whole(text: &str, expect: &str) {
    let env = Env::from_iter([("BAD_PORT", "0")]);
    let errors = match parse(text, &env) {
        Ok(config) => panic!("accepted: {text}\n{config:?}"),
        Err(errors) => errors.to_string(),
    };
    let expect: Vec<_> = expect.lines().map(str::trim).collect();
    let got: Vec<_> = errors
        .lines()
        .map(|line| {
            line.trim_start_matches("offpath.yaml")
                .trim_start_matches(':')
        })
        .collect();
    assert_eq!(got.len(), expect.len(), "{errors}");
    for (got, expect) in got.iter().zip(expect) {
        assert!(
            got.trim_start().starts_with(expect),
            "got:  {got}\nwant: {expect}"
        );
    }
}

/// A key of the route that the minimal example ends with.
#[track_caller]
pub(super) fn check_route(put: &str, expect: &str) {
    check(9, &format!("    {put}"), expect);
}

#[track_caller]
pub(super) fn check_top(put: &str, expect: &str) {
    check(9, put, expect);
}

#[track_caller]
pub(super) fn check_upstream(put: &str, expect: &str) {
    check(6, &format!("    {put}"), expect);
}

#[test]
fn errors_are_shown_one_per_line_with_file_line_and_key_path() {
    let text = format!("{MINIMAL}    match: {{path_prefix: v1}}\nextra: 1\n");
    let errors = parse(&text, &Env::default()).unwrap_err();
    let expect = "offpath.yaml:9: routes[0].match.path_prefix: must begin with \"/\"\n\
                  offpath.yaml:10: extra: unknown key";
    assert_eq!(errors.to_string(), expect);
}

#[test]
fn all_errors_come_at_once_in_the_order_of_lines() {
    let text = "\
listeners:
  - address: 0.0.0.0:0
  - {addres: 127.0.0.1:1}
limits: {connections: 0, drain: soon}
upstreams:
  model: {endpoints: [ftp://a], http: 3}
routes:
  - upstream: modle
    sampling: {ratio: 2, by: users}
  - {name: a, upstream: model, trace: {tags: {mlflow.x: 1}}}
log: {level: loud}
admin: 127.0.0.1:1
";
    let expect = "\
        2: listeners[0].address: port `0` is not a number
        3: listeners[1].address: is required
        3: listeners[1].addres: unknown key, did you mean `address`?
        4: limits.connections: `0` is not a whole number
        4: limits.drain: `soon` is not a duration
        6: upstreams.model.endpoints[0]: must be a URL
        6: upstreams.model.http: `3` is not one of `auto`, `1`, `2`
        8: routes[0].name: is required
        8: routes[0].upstream: no upstream is named `modle`, did you mean `model`?
        9: routes[0].sampling.ratio: `2` is not a number from 0 to 1
        9: routes[0].sampling.by: `users` is not one of `trace`, `session`, `user`
        10: routes[1].trace.tags.mlflow.x: keys that begin with `mlflow.`
        11: log.level: `loud` is not one of
        12: admin: must be a mapping";
    check_whole(text, expect);
}

#[test]
fn what_is_not_a_mapping_with_the_needed_sections_is_refused() {
    let needed = "1: listeners: at least one listener is needed
                  1: upstreams: at least one upstream is needed
                  1: routes: at least one route is needed";
    for empty in ["", "# nothing\n", "{}", "~"] {
        check_whole(empty, needed);
    }
    check_whole("[]", &format!("1: must be a mapping\n{needed}"));
    check_whole("a: [1\nb: 2", "2: is not valid YAML");
    check_whole("a: 1\n---\nb: 1", "2: must contain one YAML document");
}

#[test]
fn unknown_and_repeated_keys_are_faults() {
    check_top(
        "listener: []",
        "9: listener: unknown key, did you mean `listeners`?",
    );
    check_top(
        "export: {queue: {max_trace: 1}}",
        "9: export.queue.max_trace: unknown key, did you",
    );
    check_top(
        "limits: {}\nlimits: {}",
        "10: limits: is given twice, first in line 9",
    );
    check_upstream(
        "http: 1\n    http: 2",
        "7: upstreams.model.http: is given twice",
    );
    check_route(
        "sampling: {by: trace, by: trace}",
        "9: routes[0].sampling.by: is given twice",
    );
    check(
        6,
        "  model: {endpoints: [http://a]}",
        "6: upstreams.model: is given twice",
    );
}

#[test]
fn values_have_the_shape_of_their_key() {
    check_top("limits: 5", "9: limits: must be a mapping");
    check_top(
        "limits: {connections: [5]}",
        "9: limits.connections: must be a single value",
    );
    check_route("sinks: some", "9: routes[0].sinks: must be a list");
    check_route(
        "headers: {overhead: yes}",
        "9: routes[0].headers.overhead: `yes` is not `true`",
    );
    check_route(
        "match: {methods: {a: b}}",
        "9: routes[0].match.methods: must be a list",
    );
}

#[test]
fn interpolation_reaches_every_value_and_unset_names_are_errors() {
    check_top(
        "log: {level: \"${env:NONE}\"}",
        "9: log.level: environment variable `NONE` is not",
    );
    check_top(
        "log: {level: \"${env:NONE\"}",
        "9: log.level: `${env:` has no closing `}`",
    );
    check(
        3,
        "  - address: 127.0.0.1:${env:BAD_PORT}",
        "3: listeners[1].address: port `0`",
    );
}
