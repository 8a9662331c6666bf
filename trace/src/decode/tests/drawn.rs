//! Conversations as MLflow's page draws them.

use super::*;

#[test]
fn a_text_completion_is_drawn_as_a_turn_for_its_prompt_and_one_for_each_of_its_choices() {
    let asked = r#"{"model":"c","prompt":"The capital is","n":2}"#;
    let inputs = r#"[{"role":"user","content":"The capital is"}]"#;
    let outputs =
        r#"[{"role":"assistant","content":"Paris"},{"role":"assistant","content":"Rome"}]"#;
    let answer = r#"{"object":"text_completion","choices":[{"index":0,"text":"Paris","finish_reason":"stop"},{"index":1,"text":"Rome","finish_reason":"stop"}]}"#;
    let whole = exchange("/v1/completions", asked, answer)
        .response_header("content-type", "application/json");
    let events = "data: {\"choices\":[{\"index\":0,\"text\":\"Par\"}]}\n\n\
        data: {\"choices\":[{\"index\":1,\"text\":\"Rome\"}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"text\":\"is\",\"finish_reason\":\"stop\"}]}\n\n\
        data: [DONE]\n\n";
    let streamed = exchange("/v1/completions", asked, events)
        .response_header("content-type", "text/event-stream");
    for exchange in [whole, streamed] {
        Decoded::of(&exchange).check_upstream(&[
            ("mlflow.spanInputs", inputs),
            ("mlflow.spanOutputs", outputs),
        ]);
    }
}
