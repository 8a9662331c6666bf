//! A credential at any place of any body, under any name and content type, found in no trace, and
//! all else in it.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::Redaction;
use crate::Rules;

const SECRET: &str = "S3CRET/pl4nted+\"x";

/// Parts of the secret, whatever is escaped.
const NEEDLES: [&str; 2] = ["S3CRET", "pl4nted"];

const NAMES: [&str; 18] = [
    "api_key",
    "apiKey",
    "X-API-Key",
    "x-goog-api-key",
    "OPENAI_API_KEY",
    "access_token",
    "hfToken",
    "authorization",
    "Authorization",
    "authorization_token",
    "client-secret",
    "password",
    "dbPassword",
    "passphrase",
    "privateKey",
    "Set-Cookie",
    "bearer",
    "X-Amz-Credential",
];

const TYPES: [&str; 9] = [
    "application/json",
    "application/problem+json",
    "text/plain",
    "text/html",
    "text/csv",
    "application/x-ndjson",
    "text/event-stream",
    "application/octet-stream",
    "",
];

/// How a document comes in a body.
#[derive(Clone, Copy, Debug)]
enum Form {
    Whole,
    Prefixed,
    Events,
    Commented,
    Lines,
    /// In a string of another document.
    InString,
    /// In a string in a string.
    Twice,
    /// Without its end.
    Torn,
}

const FORMS: [Form; 8] = [
    Form::Whole,
    Form::Prefixed,
    Form::Events,
    Form::Commented,
    Form::Lines,
    Form::InString,
    Form::Twice,
    Form::Torn,
];

impl Form {
    fn write(self, document: &Json) -> String {
        let text = document.to_string();
        match self {
            Self::Whole => text,
            Self::Prefixed => format!(")]}}',\n{text}"),
            Self::Events => format!("id: 1\ndata: {text}\n\ndata: {text}\n\n"),
            Self::Commented => format!(": hi\n\ndata: {text}\n\n"),
            Self::Lines => format!("{text}\n{text}\n"),
            Self::InString => json!({ "arguments": text }).to_string(),
            Self::Twice => json!([json!({ "a": text }).to_string()]).to_string(),
            Self::Torn => {
                let end = text.find("pl4nted").unwrap() + "pl4nted".len();
                text[..end].to_owned()
            }
        }
    }
}

/// A tree whose leaves are texts of their own, and numbers.
fn tree() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        "word-[a-z]{6}".prop_map(Json::from),
        (0..1000).prop_map(Json::from),
        Just(Json::Null),
        Just(Json::from("a \"quoted\" \n ünïcode")),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-m]{1,5}", inner, 0..4)
                .prop_map(|members| Json::Object(Map::from_iter(members))),
        ]
    })
}

/// Puts a member into the object that a walk of so many steps leads to.
fn plant(at: &mut Json, steps: &[usize], name: &str) {
    let (first, rest) = steps
        .split_first()
        .map_or((0, steps), |(first, rest)| (*first, rest));
    let secret = || Json::from(SECRET);
    match at {
        Json::Object(members) if !rest.is_empty() && !members.is_empty() => {
            let len = members.len();
            let (_, next) = members.iter_mut().nth(first % len).unwrap();
            plant(next, rest, name);
        }
        Json::Array(items) if !items.is_empty() => {
            let len = items.len();
            plant(&mut items[first % len], rest, name);
        }
        Json::Object(members) => drop(members.insert(name.to_owned(), secret())),
        other => *other = json!({ "was": other.take(), name: secret(), "after": "word-after" }),
    }
}

fn words(document: &Json, found: &mut Vec<String>) {
    match document {
        Json::String(text) if text.starts_with("word-") => found.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| words(item, found)),
        Json::Object(members) => members.values().for_each(|item| words(item, found)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_credential_is_in_no_trace_and_all_else_is(
        mut document in tree(),
        steps in prop::collection::vec(0..8_usize, 0..6),
        name in prop::sample::select(NAMES.as_slice()),
        form in prop::sample::select(FORMS.as_slice()),
        content_type in prop::sample::select(TYPES.as_slice()),
        path in prop::sample::select(["/v1/chat/completions", "/invocations", "/x"].as_slice()),
    ) {
        if !document.is_object() {
            document = json!({ "top": document });
        }
        plant(&mut document, &steps, name);
        let body = form.write(&document);
        let mut expect = Vec::new();
        words(&document, &mut expect);
        for asked in [true, false] {
            let (request, response) = if asked { (&*body, "{}") } else { ("{}", &*body) };
            let exchange = exchange(path, request, response);
            let exchange = match asked {
                true => exchange.request_header("content-type", content_type),
                false => exchange.response_header("content-type", content_type),
            };
            let shown = format!("{:?}", Decoded::of(&exchange).trace);
            for needle in NEEDLES {
                prop_assert!(!shown.contains(needle), "{body}\n{shown}");
            }
            let kept = if asked { "mlflow.spanInputs" } else { "mlflow.spanOutputs" };
            let kept = Decoded::of(&exchange).root(kept);
            // Kept by its hash, put together as some answer, or cut.
            let stored = !kept.contains("sha256") && matches!(form, Form::Whole | Form::Prefixed | Form::InString | Form::Twice);
            for word in expect.iter().filter(|_| stored) {
                prop_assert!(kept.contains(word.as_str()), "no {word} of {body} in {kept}");
            }
        }
    }
}

/// The same bodies with a route that masks none.
#[test]
fn without_the_rule_each_would_be_in_its_trace() {
    let document = json!({ "a": { "api_key": SECRET } });
    for form in FORMS {
        let body = form.write(&document);
        let redaction = Redaction::from(Rules {
            credentials: false,
            ..Rules::default()
        });
        let exchange = exchange("/x", "{}", &body).plan(|plan| plan.redaction = redaction);
        let shown = format!("{:?}", Decoded::of(&exchange).trace);
        assert!(
            NEEDLES.iter().all(|needle| shown.contains(needle)),
            "{form:?}: {shown}"
        );
    }
}

#[test]
fn what_is_derived_from_a_credential_is_masked() {
    let body = r#"{"user":"u","auth":{"api_key":"S3CRET","level":2}}"#;
    let exchange = exchange("/x?session_token=S3CRET&sid=1", body, "{}").plan(|plan| {
        let pointer = |steps: &[&str]| {
            crate::Source::Body(steps.iter().map(|step| Arc::from(*step)).collect())
        };
        plan.user = vec![pointer(&["auth", "api_key"])];
        plan.session = vec![crate::Source::Query("session_token".into())];
        plan.tags = vec![
            ("key".into(), pointer(&["auth", "api_key"])),
            ("sid".into(), crate::Source::Query("sid".into())),
        ];
        plan.metadata = plan.tags.clone();
        plan.join = true;
    });
    let decoded = Decoded::of(&exchange);
    let shown = format!("{:?}", decoded.trace);
    assert!(!shown.contains("S3CRET"), "{shown}");
    decoded.check_root(&[
        ("user.id", "[REDACTED]"),
        ("session.id", "[REDACTED]"),
        ("mlflow.traceTag.sid", "1"),
        (
            "mlflow.spanInputs",
            r#"{"user":"u","auth":{"api_key":"[REDACTED]","level":2}}"#,
        ),
    ]);
}

#[test]
fn an_error_that_quotes_a_credential_is_told_without_it() {
    let answer = r#"{"error":{"message":"got {\"api_key\": \"S3CRET\"}","type":"auth"}}"#;
    let refused = exchange("/v1/chat/completions", r#"{"messages":[]}"#, answer);
    let refused = refused.with(|exchange| {
        exchange.response.as_mut().unwrap().status = StatusCode::UNAUTHORIZED;
    });
    let shown = format!("{:?}", Decoded::of(&refused).trace);
    assert!(
        !shown.contains("S3CRET") && shown.contains("[REDACTED]"),
        "{shown}"
    );
}
