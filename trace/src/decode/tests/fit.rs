//! What MLflow could not read back, carried so that it can.

use super::*;

const WIDE: &str = "12345678901234567890";

/// The trace as MLflow gets it, and the defects that are new.
#[track_caller]
fn fitted(exchange: &Exchange) -> Decoded {
    let (trace, defects) = decode(exchange).0.fitted().expect("a value does not fit");
    Decoded { trace, defects }
}

#[test]
fn an_exchange_whose_values_fit_is_not_looked_at_again() {
    let request = r#"{"model":"m","seed":123456789012345678,"messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
    let answer = r#"{"choices":[{"message":{"content":"[[9"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let events = [r#"{"choices":[{"index":0,"delta":{"content":"[[9"}}]}"#];
    for exchange in [chat(request, answer), stream(&events)] {
        let exchange = exchange.request_header("user-agent", "curl/8 [en]");
        assert!(!decode(&exchange).0.hard);
    }
}

#[test]
fn the_greatest_integers_of_64_bits_stay_numbers() {
    let body = r#"{"a":[9223372036854775807,-9223372036854775808]}"#;
    let (trace, _) = decode(&chat(body, body));
    assert!(trace.hard && trace.fitted().is_none());
}

#[test]
fn both_spans_have_the_same_text_in_place_of_an_integer() {
    let request = format!(r#"{{"model":"m","seed":{WIDE},"messages":[]}}"#);
    let decoded = fitted(&chat(&request, "{}"));
    let expect = format!(r#"{{"model":"m","seed":"{WIDE}","messages":[]}}"#);
    assert_eq!(decoded.root("mlflow.spanInputs"), expect);
    assert_eq!(decoded.upstream("mlflow.spanInputs"), expect);
    assert_eq!(decoded.root("offpath.defects"), "wide_integer");
    assert_eq!(decoded.defects, [Defect::WideInteger]);
}

#[test]
fn what_a_stream_is_put_together_to_fits_as_well() {
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let event = format!(
        r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}},"seed":{WIDE},"logprobs":{deep}}}]}}"#
    );
    let exchange = stream(&[&event, "[DONE]"]);
    let decoded = fitted(&exchange);
    let outputs = decoded.root("mlflow.spanOutputs");
    assert!(outputs.contains(&format!(r#""{WIDE}""#)), "{outputs}");
    assert!(outputs.contains(r#""[[["#), "{outputs}");
    assert_eq!(decoded.defects, [Defect::TooDeep, Defect::WideInteger]);
}

#[test]
fn defects_stand_beside_those_of_the_body_itself() {
    let body = format!(r#"{{"a":NaN,"b":{WIDE}}}"#);
    let decoded = fitted(&chat(&body, "{}"));
    assert_eq!(
        decoded.root("offpath.defects"),
        "non_finite_number,wide_integer"
    );
}

#[test]
fn words_that_look_like_json_are_quoted_and_no_defect() {
    let exchange = exchange("/ask?[1]", "{}", "{}")
        .request_header("user-agent", "{\"a\":1}")
        .request_header("x-user", "\"u\"")
        .request_header("x-tenant", "[[9")
        .plan(|plan| {
            let header = |name| crate::Source::Header(http::HeaderName::from_static(name));
            plan.user = vec![header("x-user")];
            plan.tags = vec![("tenant".into(), header("x-tenant"))];
        });
    let decoded = fitted(&exchange);
    decoded.check_root(&[
        ("url.query", r#""[1]""#),
        ("user_agent.original", r#""{\"a\":1}""#),
        ("user.id", r#""\"u\"""#),
        ("mlflow.traceTag.tenant", r#""[[9""#),
        ("offpath.defects", "-"),
    ]);
    assert_eq!(decoded.defects, []);
}

#[test]
fn json_of_offpaths_own_making_stays_json() {
    let frame = format!(r#"{{"inputs":[[1,{WIDE}]],"params":{{"x":1}}}}"#);
    let exchange = exchange("/invocations", &frame, r#"{"predictions":[1]}"#)
        .request_header("content-type", "application/json")
        .plan(|plan| plan.statistics = true);
    let (as_it_is, decoded) = (Decoded::of(&exchange), fitted(&exchange));
    for key in ["offpath.input.shape", "offpath.input.statistics"] {
        assert_eq!(decoded.root(key), as_it_is.root(key), "{key}");
    }
}

#[test]
fn nul_is_replaced_wherever_it_came_from() {
    let body = r#"{"model":"a\u0000b","messages":[{"role":"user","content":"x\u0000"}]}"#;
    let exchange = chat(body, "{}").plan(|plan| {
        let model = crate::Source::Body([Arc::from("model")].into());
        plan.user = vec![model.clone()];
        plan.client_request_id = vec![model];
    });
    let decoded = fitted(&exchange);
    assert_eq!(decoded.defects, [Defect::Nul]);
    assert!(decoded.root("mlflow.spanInputs").contains(r#""x\ufffd""#));
    decoded.check_root(&[("user.id", "a\u{fffd}b"), ("offpath.defects", "nul")]);
    decoded.check_upstream(&[("mlflow.llm.model", "a\u{fffd}b")]);
    assert!(!decoded.trace.spans[1].name.contains('\0'));
    let info = decoded.trace.info.unwrap();
    assert_eq!(info.client_request_id.as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn nul_in_an_element_of_a_list_is_replaced() {
    let frame = r#"{"dataframe_split":{"columns":["a\u0000","b"],"data":[[1,2]]}}"#;
    let exchange = exchange("/invocations", frame, r#"{"predictions":[1]}"#)
        .request_header("content-type", "application/json");
    let decoded = fitted(&exchange);
    assert_eq!(decoded.root("offpath.input.columns"), "a\u{fffd},b");
    assert_eq!(decoded.defects, [Defect::Nul]);
}
