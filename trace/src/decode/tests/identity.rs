//! Who is asking, wherever a request says so.

use super::*;
use crate::Source;

fn pointer(steps: &str) -> Source {
    Source::Body(steps.split('/').map(Arc::from).collect())
}

#[track_caller]
fn check(body: &str, steps: &str, expect: Option<&str>) {
    let exchange = exchange("/x", body, "")
        .request_header("content-type", "application/json")
        .plan(|plan| plan.user = vec![pointer(steps)]);
    let expect = expect.unwrap_or("-");
    Decoded::of(&exchange).check_root(&[("user.id", expect)]);
}

#[test]
fn a_pointer_finds_what_stands_in_the_body() {
    check(r#"{"user":"u-1","x":{"user":"u-2"}}"#, "user", Some("u-1"));
    check(r#"{"a":{"b":[{"c":"deep"}]}}"#, "a/b/0/c", Some("deep"));
    check(r#" [1, {"user": 7.50}]"#, "1/user", Some("7.50"));
    check(r#"{"user":true}"#, "user", Some("true"));
    check(r#"{"user":"a\u00e4\n"}"#, "user", Some("aä\n"));
    check(r#"{"nutzer_\u00e4":"n"}"#, "nutzer_ä", Some("n"));
    check(r#"{"":"empty"}"#, "", Some("empty"));
}

#[test]
fn what_is_no_scalar_or_not_there_says_nothing() {
    for body in [
        r#"{"user":{"id":1}}"#,
        r#"{"user":["a"]}"#,
        r#"{"user":null}"#,
        r#"{"user":""}"#,
        r#"{"User":"a"}"#,
        r#"["user"]"#,
        "user=1",
        "",
    ] {
        check(body, "user", None);
    }
    check(r#"["a","b"]"#, "01", None);
    check(r#"["a","b"]"#, "+1", None);
    check(r#"["a","b"]"#, "2", None);
    check(r#""user""#, "user", None);
}

#[test]
fn of_a_body_that_was_cut_what_stands_before_the_cut_is_found() {
    let body = r#"{"user":"u-1","messages":[{"content":"a long st"#;
    for (steps, expect) in [("user", "u-1"), ("messages/0/content", "-")] {
        let mut cut = exchange("/x", body, "")
            .request_header("content-type", "application/json")
            .plan(|plan| plan.user = vec![pointer(steps)]);
        cut.request.body.truncated = true;
        Decoded::of(&cut).check_root(&[("user.id", expect)]);
    }
}

#[test]
fn a_member_among_more_than_are_remembered_is_found() {
    let many: String = (0..2_000).map(|n| format!("\"k{n}\":{n},")).collect();
    let body = format!("{{{many}\"user\":\"last\"}}");
    check(&body, "user", Some("last"));
}

#[test]
fn the_first_source_that_is_there_wins_wherever_it_is() {
    let body = r#"{"user":"of the body","metadata":{"session":"s-1"}}"#;
    let exchange = exchange("/tenants/acme/x?user=of+the+query", body, "")
        .request_header("content-type", "application/json")
        .plan(|plan| {
            plan.user = vec![pointer("nobody"), Source::Query("user".into())];
            plan.session = vec![pointer("metadata/session")];
            plan.tags = vec![
                ("tenant".into(), Source::Path(2)),
                ("said".into(), pointer("user")),
            ];
            plan.join = true;
        });
    Decoded::of(&exchange).check_root(&[
        ("user.id", "of the query"),
        ("session.id", "s-1"),
        ("mlflow.traceTag.tenant", "acme"),
        ("mlflow.traceTag.said", "of the body"),
        ("tenant", "acme"),
        ("said", "of the body"),
    ]);
}

#[test]
fn what_a_body_says_is_cut_as_what_a_header_says() {
    let body = format!(r#"{{"user":"{}"}}"#, "ä".repeat(9_000));
    let exchange = exchange("/x", &body, "")
        .request_header("content-type", "application/json")
        .plan(|plan| {
            plan.user = vec![pointer("user")];
            plan.tags = vec![("user".into(), pointer("user"))];
        });
    Decoded::of(&exchange).check_root(&[
        ("user.id", &"ä".repeat(125)),
        ("mlflow.traceTag.user", &"ä".repeat(2_048)),
    ]);
}

#[test]
fn what_spans_cannot_say_is_apart_and_cut() {
    let body = format!(r#"{{"cart":"{}"}}"#, "c".repeat(900));
    let exchange = exchange("/x", &body, "")
        .request_header("content-type", "application/json")
        .request_header("x-request-id", &"r".repeat(80));
    assert_eq!(Decoded::of(&exchange).trace.info, None);
    let exchange = exchange.plan(|plan| {
        plan.client_request_id = vec![
            Source::Header("x-none".parse().unwrap()),
            Source::Header("x-request-id".parse().unwrap()),
        ];
        plan.metadata = vec![
            ("release".into(), Source::Constant("1.4".into())),
            ("cart".into(), pointer("cart")),
            ("absent".into(), pointer("absent")),
        ];
    });
    let info = Decoded::of(&exchange).trace.info.unwrap();
    assert_eq!(info.client_request_id, Some("r".repeat(50)));
    let metadata = vec![
        (Arc::from("release"), "1.4".to_owned()),
        (Arc::from("cart"), "c".repeat(250)),
    ];
    assert_eq!(info.metadata, metadata);
}
