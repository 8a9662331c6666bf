//! Faults of routes, and the routes that never match.

use super::{check_route, check_top};
use crate::{
    Env,
    tests::fixture::{MINIMAL, parse},
};

#[test]
fn routes_are_named_once_and_refer_to_what_exists() {
    check_top(
        "  - {name: chat, upstream: model}",
        "9: routes[1].name: an earlier route is named `chat`",
    );
    check_top(
        "  - {name: b, upstream: x}",
        "9: routes[1].upstream: no upstream is named `x`, only",
    );
    check_top("  - {upstream: model}", "9: routes[1].name: is required");
    check_top("  - {name: b}", "9: routes[1].upstream: is required");
    check_route(
        "sinks: [mlfow]",
        "9: routes[0].sinks[0]: no sink is named `mlfow`, did you mean",
    );
    check_route("sinks: []", "9: routes[0].sinks: is empty");
    check_route(
        "sinks: [mlflow, mlflow]",
        "9: routes[0].sinks[1]: is given twice",
    );
    check_route(
        "sampling: {ratio: 1.5}",
        "9: routes[0].sampling.ratio: `1.5` is not a number",
    );
    check_route(
        "sampling: {parent: obey}",
        "9: routes[0].sampling.parent: `obey` is not one of `ignore`",
    );
    check_route(
        "sampling: {max_per_second: 0}",
        "9: routes[0].sampling.max_per_second: `0` is not a number above 0",
    );
    check_route(
        "sampling: {keep: {slower_than: 5}}",
        "9: routes[0].sampling.keep.slower_than: `5` is not a duration",
    );
    check_route(
        "sampling: {keep: {larger_than: big}}",
        "9: routes[0].sampling.keep.larger_than: `big` is not a size",
    );
    check_route(
        "sampling: {daily: {max_traces: 0}}",
        "9: routes[0].sampling.daily.max_traces: `0` is not a whole number",
    );
    check_route(
        "sampling: {keep_content: {finish_reasons: [length, '']}}",
        "9: routes[0].sampling.keep_content.finish_reasons[1]: must not be empty",
    );
    check_route(
        "alerts: {max_error_rate: 2, window: 0s}",
        "9: routes[0].alerts.window: must be more than 0\n9: routes[0].alerts.max_error_rate: `2`",
    );
    check_route(
        "capture: {level: all}",
        "9: routes[0].capture.level: `all` is not one of `full`",
    );
    check_route(
        "capture: {max_body: 8Mb}",
        "9: routes[0].capture.max_body: `8Mb` is not a size",
    );
    check_top(
        "sampling: {ratio: -1}",
        "9: sampling.ratio: `-1` is not a number",
    );
}

#[test]
fn conditions_that_no_request_can_meet_are_refused() {
    for key in ["path", "path_prefix", "path_glob"] {
        let expect = format!("9: routes[0].match.{key}: must begin with \"/\"");
        check_route(&format!("match: {{{key}: v1}}"), &expect);
    }
    check_route(
        "match: {path: /a?b}",
        "9: routes[0].match.path: contains `?`",
    );
    check_route(
        "match: {path: /a, path_glob: /b}",
        "9: routes[0].match.path_glob: only one of",
    );
    check_route(
        "match: {host: 'a:80'}",
        "9: routes[0].match.host: `a:80` is not a host name",
    );
    check_route(
        "match: {methods: [P T]}",
        "9: routes[0].match.methods[0]: `P T` is not a method",
    );
    check_route(
        "match: {headers: {a b: c}}",
        "9: routes[0].match.headers.a b: `a b` is not a",
    );
    check_route(
        "match: {headers: {a: \"b\\nc\"}}",
        "9: routes[0].match.headers.a: contains a",
    );
    check_route(
        "match: {headers: {a: }}",
        "9: routes[0].match.headers.a: is required",
    );
}

#[test]
fn names_and_tags_that_mlflow_does_not_accept_are_refused() {
    check_route(
        "trace: {context: new}",
        "9: routes[0].trace.context: `new` is not one of `own`",
    );
    check_route(
        "trace: {experiment: ''}",
        "9: routes[0].trace.experiment: must not be empty",
    );
    check_route(
        "trace: {name: ''}",
        "9: routes[0].trace.name: must be a name",
    );
    check_route(
        "trace: {user: x}",
        "9: routes[0].trace.user: must be a list",
    );
    check_route(
        "trace: {user: [{}]}",
        "9: routes[0].trace.user[0]: must name one of `header`, `query`, `path`, `body`",
    );
    check_route(
        "trace: {user: [[x]]}",
        "9: routes[0].trace.user[0]: must be a single value",
    );
    check_route(
        "trace: {session: [{header: a b}]}",
        "9: routes[0].trace.session[0].header: `a b`",
    );
    check_route(
        "trace: {tags: {mlflow.a: b}}",
        "9: routes[0].trace.tags.mlflow.a: keys that",
    );
    let long = "k".repeat(251);
    let expect = format!("9: routes[0].trace.tags.{long}: the key must be at most");
    check_route(&format!("trace: {{tags: {{{long}: v}}}}"), &expect);
    check_route(
        "trace: {metadata: {mlflow.trace.user: b}}",
        "9: routes[0].trace.metadata.mlflow.trace.user: keys that begin with `mlflow.`",
    );
    check_route(
        "trace: {tags: {a: ''}}",
        "9: routes[0].trace.tags.a: must not be empty",
    );
    check_route(
        "trace: {tags: {a: [b]}}",
        "9: routes[0].trace.tags.a: must be a single value",
    );
    check_route(
        "trace: {tags: {a: {heder: b}}}",
        "9: routes[0].trace.tags.a: must name one of\n9: routes[0].trace.tags.a.heder: unknown key, did",
    );
}

#[test]
fn a_source_names_exactly_one_existing_place() {
    for (source, expect) in [
        ("{header: a, query: b}", ": must name one of `header`"),
        ("{path: 0}", ".path: `0` is not a whole number from 1 to 64"),
        ("{path: /a/*}", ".path: `/a/*` is not a whole number"),
        ("{query: ''}", ".query: must not be empty"),
        ("{body: user}", ".body: `user` is not a JSON pointer"),
    ] {
        let put = format!("trace: {{user: [{source}]}}");
        check_route(&put, &format!("9: routes[0].trace.user[0]{expect}"));
    }
}

#[test]
fn the_value_that_decides_sampling_is_not_read_from_the_body() {
    for by in ["session", "user"] {
        let sources = format!("{by}: [{{header: x}}, {{body: /x}}]");
        let put = format!("sampling: {{by: {by}}}, trace: {{{sources}}}");
        let expect = format!(
            "9: routes[1].sampling: by `{by}` cannot decide: `trace.{by}[1]` is read from the body"
        );
        check_top(&format!("  - {{name: b, upstream: model, {put}}}"), &expect);
    }
}

#[track_caller]
fn check_warning(second: &str, expect: Option<&str>) {
    let text = format!("{MINIMAL}    match: {{host: A, methods: [get, post]}}\n  - {second}");
    let config = parse(&text, &Env::default()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings.first().map(String::as_str), expect);
}

#[test]
fn a_route_that_can_never_match_is_a_warning() {
    let same = "{name: b, upstream: model, match: {methods: [POST, GET], host: a}}";
    let warning =
        "routes[1]: route `b` never matches: route `chat` before it matches the same requests";
    check_warning(same, Some(warning));
    check_warning("{name: b, upstream: model, match: {host: a}}", None);
    check_warning("{name: b, upstream: model}", None);
    let slash = "{name: b, upstream: model, match: {path_prefix: /v1}}
  - {name: c, upstream: model, match: {path_prefix: /v1/}}";
    let warning =
        "routes[2]: route `c` never matches: route `b` before it matches the same requests";
    check_warning(slash, Some(warning));
    let any = "{name: b, upstream: model}\n  - {name: c, upstream: model, match: {path: /c}}";
    let warning =
        "routes[2]: route `c` never matches: route `b` before it matches the same requests";
    check_warning(any, Some(warning));
    let headers = "{name: b, upstream: model, match: {headers: {A: 1, b: 2}}}
  - {name: c, upstream: model, match: {headers: {B: 2, a: 1}}}";
    let warning =
        "routes[2]: route `c` never matches: route `b` before it matches the same requests";
    check_warning(headers, Some(warning));
}

#[test]
fn a_latency_budget_has_a_limit_and_a_lower_capture_level() {
    check_route(
        "latency_budget: {degrade_to: off}",
        "9: routes[0].latency_budget.overhead_p99: is required",
    );
    check_route(
        "latency_budget: {overhead_p99: 0s}",
        "9: routes[0].latency_budget.overhead_p99: must be more than 0",
    );
    check_route(
        "latency_budget: {overhead_p99: 1ms, degrade_to: full}",
        "9: routes[0].latency_budget.degrade_to: `full` is not one of",
    );
}

#[test]
fn sampling_by_a_value_without_a_source_is_a_warning() {
    let warning =
        "routes[1].sampling: by `user` decides by the trace, because `trace.user` names no source";
    let by_user = "name: b, upstream: model, match: {host: b}, sampling: {by: user}";
    check_warning(&format!("{{{by_user}}}"), Some(warning));
    let named = "trace: {user: [{header: x-user}]}";
    check_warning(&format!("{{{by_user}, {named}}}"), None);
}

#[test]
fn redaction_rules_that_cannot_match_are_refused() {
    for (redact, expect) in [
        ("{fields: [a]}", "fields[0]: `a` must begin with `/`"),
        ("{headers: [a b]}", "headers[0]: `a b` is not"),
        (
            "{patterns: [emial]}",
            "patterns[0]: `emial` is not one of `email`",
        ),
        ("{patterns: [{name: x}]}", "patterns[0].regex: is required"),
        (
            "{patterns: [{name: x, regex: \"(\"}]}",
            "patterns[0].regex: `(` is not a valid regular expression: unclosed group",
        ),
        (
            "{patterns: [{name: x, regex: a*}]}",
            "patterns[0].regex: `a*` matches the empty text",
        ),
        ("{replace: \"\"}", "replace: "),
        (
            "{hash_kye: k}",
            "hash_kye: unknown key, did you mean `hash_key`?",
        ),
    ] {
        check_route(
            &format!("redact: {redact}"),
            &format!("9: routes[0].redact.{expect}"),
        );
    }
}
