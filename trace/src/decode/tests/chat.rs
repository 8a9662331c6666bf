use super::*;

const IN: &str = "mlflow.spanInputs";
const OUT: &str = "mlflow.spanOutputs";

const REQUEST: &str = r#"{"model": "gpt-4o", "temperature": 0.2, "max_tokens": 64, "stream": false,
 "messages": [{"role": "user", "content": "Hi"}], "response_format": {"type": "json_object"},
 "tools": [{"type": "function", "function": {"name": "f"}}]}"#;

const RESPONSE: &str = r#"{"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06",
 "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
  "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 1}}}"#;

#[test]
fn a_completion_fills_every_column() {
    let decoded = Decoded::of(&chat(REQUEST, RESPONSE));
    assert_eq!(decoded.trace.spans[1].name, "chat gpt-4o");
    decoded.check_root(&[("mlflow.spanType", "CHAIN"), (IN, REQUEST), (OUT, RESPONSE)]);
    decoded.check_upstream(&[
        ("mlflow.spanType", "CHAT_MODEL"),
        ("mlflow.message.format", "openai"),
        (IN, REQUEST),
        (OUT, RESPONSE),
        (
            "mlflow.chat.tools",
            r#"[{"type": "function", "function": {"name": "f"}}]"#,
        ),
        (
            "mlflow.chat.tokenUsage",
            r#"{"input_tokens":9,"output_tokens":3,"total_tokens":12,"cache_read_input_tokens":4}"#,
        ),
        ("mlflow.llm.model", "gpt-4o-2024-08-06"),
        ("mlflow.llm.provider", "-"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "gpt-4o"),
        ("gen_ai.request.temperature", "0.2"),
        ("gen_ai.request.max_tokens", "64"),
        ("gen_ai.request.stream", "false"),
        ("gen_ai.output.type", "json"),
        ("gen_ai.response.id", "chatcmpl-1"),
        ("gen_ai.response.model", "gpt-4o-2024-08-06"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "3"),
        ("gen_ai.usage.reasoning.output_tokens", "1"),
    ]);
    assert!(decoded.defects.is_empty());
}

#[track_caller]
fn check(events: &[&str], completion: &str, defects: &[Defect]) {
    let decoded = Decoded::of(&stream(events));
    assert_eq!(decoded.root(OUT), completion);
    assert!(serde_json::from_str::<serde_json::Value>(&decoded.root(OUT)).is_ok());
    assert_eq!(decoded.defects, defects);
}

/// A chunk with one choice.
fn delta(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":5,"model":"m-1","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    )
}

/// What a stream with one choice becomes.
fn whole(message: &str, rest: &str) -> String {
    format!(
        r#"{{"object":"chat.completion","id":"c1","created":5,"model":"m-1","choices":[{{"index":0,"message":{{{message}}},"finish_reason":"stop"}}]{rest}}}"#
    )
}

#[test]
fn deltas_are_put_together() {
    check(
        &[
            &delta(r#"{"role":"assistant","content":""}"#, "null"),
            &delta(r#"{"content":"Hel"}"#, "null"),
            &delta(r#"{"content":"lo\n\"you\" é"}"#, "null"),
            &delta("{}", r#""stop""#),
            r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
        ],
        &whole(
            r#""role":"assistant","content":"Hello\n\"you\" é""#,
            r#","usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#,
        ),
        &[],
    );
}

#[test]
fn reasoning_refusal_and_unknown_members_are_put_together_too() {
    check(
        &[
            &delta(
                r#"{"role":"assistant","content":null,"refusal":null}"#,
                "null",
            ),
            &delta(r#"{"reasoning_content":"a","x":{"y":"1","z":[1]}}"#, "null"),
            &delta(
                r#"{"reasoning_content":"b","x":{"y":"2","z":[2,3]},"refusal":"n"}"#,
                "null",
            ),
            &delta(r#"{"refusal":"o"}"#, r#""stop""#),
        ],
        &whole(
            r#""role":"assistant","content":null,"refusal":"no","reasoning_content":"ab","x":{"y":"12","z":[1,2,3]}"#,
            "",
        ),
        &[],
    );
}

/// Mistral's answers begin with an empty text, think in lists, and then go on as texts.
#[test]
fn content_that_comes_as_parts_is_put_together_by_their_kind() {
    let delta = |content: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"role":"assistant","content":{content}}}}}]}}"#
        )
    };
    let thought = |text: &str| {
        format!(r#"[{{"type":"thinking","thinking":[{{"type":"text","text":"{text}"}}]}}]"#)
    };
    let deltas = [
        delta(r#""""#),
        delta(&thought("The tool ")),
        delta(&thought("knows.")),
        delta(r#""I look ""#),
        delta(r#"[{"type":"text","text":"it"},{"type":"reference","reference_ids":[1]}]"#),
        delta(r#"" up.""#),
    ];
    let decoded = Decoded::of(&stream(&deltas.each_ref().map(String::as_str)));
    let content = concat!(
        r#""content":[{"type":"thinking","thinking":[{"type":"text","text":"The tool knows."}]},"#,
        r#"{"type":"text","text":"I look it"},{"type":"reference","reference_ids":[1]},"#,
        r#"{"type":"text","text":" up."}]"#,
    );
    let told = decoded.root(OUT);
    assert!(told.contains(content), "{told}");
}

#[test]
fn parallel_tool_calls_are_kept_apart() {
    let call = |index: u8, id: &str, name: &str| {
        delta(
            &format!(
                r#"{{"tool_calls":[{{"index":{index},"id":"{id}","type":"function","function":{{"name":"{name}","arguments":""}}}}]}}"#
            ),
            "null",
        )
    };
    let piece = |index: u8, text: &str| {
        delta(
            &format!(
                r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":"{text}"}}}}]}}"#
            ),
            "null",
        )
    };
    let calls = r#""role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]"#;
    check(
        &[
            &call(0, "a", "f"),
            &piece(0, r#"{\"x\""#),
            &call(1, "b", "g"),
            &piece(1, "{"),
            &piece(0, ":1}"),
            &piece(1, "}"),
            &delta("{}", r#""stop""#),
        ],
        &whole(calls, ""),
        &[],
    );
    // All numbered 0, each with an id of its own.
    check(
        &[
            &call(0, "a", "f"),
            &piece(0, r#"{\"x\":1}"#),
            &call(0, "b", "g"),
            &piece(0, "{}"),
            &delta("{}", r#""stop""#),
        ],
        &whole(calls, ""),
        &[],
    );
}

#[test]
fn a_function_call_of_the_old_form_is_put_together() {
    check(
        &[
            &delta(
                r#"{"role":"assistant","function_call":{"name":"f","arguments":""}}"#,
                "null",
            ),
            &delta(r#"{"function_call":{"arguments":"{\"a\":"}}"#, "null"),
            &delta(r#"{"function_call":{"arguments":"1}"}}"#, r#""stop""#),
        ],
        &whole(
            r#""content":null,"role":"assistant","function_call":{"name":"f","arguments":"{\"a\":1}"}"#,
            "",
        ),
        &[],
    );
}

#[test]
fn choices_are_kept_apart_and_sorted() {
    let chunk = |index: u8, text: &str, finish: &str| {
        format!(
            r#"{{"choices":[{{"index":{index},"delta":{{"role":"assistant","content":"{text}"}},"logprobs":{{"content":[{{"token":"{text}"}}],"refusal":null}},"finish_reason":{finish}}}]}}"#
        )
    };
    check(
        &[
            &chunk(1, "x", "null"),
            &chunk(0, "a", "null"),
            &chunk(1, "y", r#""length""#),
            &chunk(0, "b", r#""stop""#),
        ],
        r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"ab"},"logprobs":{"content":[{"token":"a"},{"token":"b"}],"refusal":null},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"xy"},"logprobs":{"content":[{"token":"x"},{"token":"y"}],"refusal":null},"finish_reason":"length"}]}"#,
        &[],
    );
}

#[test]
fn a_character_torn_between_chunks_is_whole_again() {
    let events = [
        delta(r#"{"role":"assistant","content":"\ud83d"}"#, "null"),
        delta(r#"{"content":"\ude00"}"#, r#""stop""#),
    ];
    let message = r#""role":"assistant","content":"\ud83d\ude00""#;
    check(&[&events[0], &events[1]], &whole(message, ""), &[]);
    let torn = delta(r#"{"role":"assistant","content":"\ud83d"}"#, r#""stop""#);
    let message = r#""role":"assistant","content":"\ufffd""#;
    check(&[&torn], &whole(message, ""), &[Defect::LoneSurrogate]);
}

#[test]
fn usage_is_the_last_figure_and_never_a_sum() {
    let chunk = |n: u8| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":5,"completion_tokens":{n},"total_tokens":{}}}}}"#,
            5 + n
        )
    };
    let cumulative = Decoded::of(&stream(&[&chunk(1), &chunk(2), &chunk(3), "[DONE]"]));
    let key = "mlflow.chat.tokenUsage";
    let expect = r#"{"input_tokens":5,"output_tokens":3,"total_tokens":8}"#;
    assert_eq!(cumulative.upstream(key), expect);
    let absent = Decoded::of(&stream(&[&delta("{}", r#""stop""#)]));
    assert_eq!(absent.upstream(key), "-");
    assert_eq!(absent.upstream("gen_ai.usage.input_tokens"), "-");
}

#[track_caller]
fn check_end(exchange: Exchange, end: &str, error: Option<&str>, defects: &[Defect]) {
    let decoded = Decoded::of(&exchange);
    assert_eq!(decoded.root("offpath.end_reason"), end);
    let expect = error.map_or(crate::Status::Ok, |error| {
        crate::Status::Error(error.into())
    });
    for span in &decoded.trace.spans {
        assert_eq!(span.status, expect);
    }
    assert_eq!(decoded.defects, defects);
}

#[test]
fn how_a_stream_ends_is_seen() {
    let text = delta(r#"{"content":"x"}"#, "null");
    let stop = delta("{}", r#""stop""#);
    let error = r#"{"error":{"type":"server_error","message":"overloaded"}}"#;
    let in_band = Some("in_band_error: server_error: overloaded");
    check_end(stream(&[&text, &stop]), "complete", None, &[]);
    check_end(stream(&[&text, "[DONE]"]), "complete", None, &[]);
    check_end(stream(&[&text]), "incomplete", Some("incomplete"), &[]);
    check_end(stream(&[&text, error]), "in_band_error", in_band, &[]);
    check_end(
        stream(&[&text, error, "[DONE]"]),
        "in_band_error",
        in_band,
        &[],
    );
    check_end(
        stream(&[&text, "not json", &stop]),
        "complete",
        None,
        &[Defect::MalformedSse],
    );
    check_end(chat("{}", error), "in_band_error", in_band, &[]);
    check_end(
        chat("{}", r#"{"error":null,"choices":[]}"#),
        "complete",
        None,
        &[],
    );
    let left = stream(&[&text]).with(|exchange| exchange.outcome.end = EndReason::ClientLeft);
    check_end(left, "client_left", None, &[]);
}

#[test]
fn a_torn_last_event_is_read_if_it_is_whole_and_named_if_not() {
    let stop = delta("{}", r#""stop""#);
    let bare = format!("data: {stop}");
    let whole = chat("{}", &bare).response_header("content-type", "text/event-stream");
    check_end(whole.with(|_| {}), "complete", None, &[]);
    let half = format!("data: {stop}\n\ndata: {{\"cho");
    let half = exchange("/chat/completions", "{}", &half)
        .response_header("content-type", "text/event-stream");
    check_end(half, "complete", None, &[Defect::TornSse]);
}

#[test]
fn the_format_is_known_by_path_or_shape() {
    let body = r#"{"model":"m","messages":[]}"#;
    let answer = r#"{"object":"chat.completion","choices":[]}"#;
    for (path, answer, chat) in [
        ("/v1/chat/completions", "{}", true),
        (
            "/openai/deployments/x/chat/completions?api-version=1",
            "{}",
            true,
        ),
        ("/serving-endpoints/llama/invocations", "{}", true),
        ("/llm", answer, true),
        ("/v1/messages", "{}", true),
        ("/v1/threads/t/messages", "{}", false),
        ("/chat", "{}", false),
    ] {
        let decoded = Decoded::of(&exchange(path, body, answer));
        assert_eq!(
            decoded.upstream("mlflow.spanType") == "CHAT_MODEL",
            chat,
            "{path}"
        );
    }
}

#[test]
fn the_provider_is_named_only_where_something_names_it() {
    let provider = |exchange: Exchange| Decoded::of(&exchange).upstream("mlflow.llm.provider");
    assert_eq!(provider(chat("{}", "{}")), "-");
    assert_eq!(
        provider(chat("{}", "{}").response_header("openai-version", "1")),
        "openai"
    );
    let host = |host: &str| {
        provider(
            chat("{}", "{}").with(|exchange| exchange.request.headers = headers(&[("host", host)])),
        )
    };
    assert_eq!(host("api.openai.com"), "openai");
    assert_eq!(host("team.openai.azure.com:443"), "azure");
    assert_eq!(host("api.openai.com.evil.example"), "-");
    assert_eq!(host("notapi.openai.com"), "-");
}

#[test]
fn a_cut_request_still_names_its_model() {
    let cut = REQUEST.find("role").unwrap();
    let exchange = chat("", RESPONSE)
        .with(|exchange| exchange.request.body = cut_body(REQUEST.as_bytes(), cut));
    let decoded = Decoded::of(&exchange);
    assert_eq!(decoded.upstream("gen_ai.request.model"), "gpt-4o");
    assert!(
        decoded
            .root(IN)
            .starts_with("{\"offpath.body\":{\"truncated\":true,")
    );
}

#[test]
fn a_cut_stream_is_put_together_as_far_as_it_goes() {
    let events = format!(
        "data: {}\n\ndata: {}\n\n",
        delta(r#"{"content":"abc"}"#, "null"),
        "x"
    );
    let kept = events.len() - 5;
    let decoded = Decoded::of(&stream(&[]).response_body(cut_body(events.as_bytes(), kept)));
    let output = decoded.root(OUT);
    assert!(output.contains(r#""content":"abc""#), "{output}");
    assert!(
        output.contains(r#""offpath.body":{"truncated":true,"bytes":"#),
        "{output}"
    );
    assert_eq!(decoded.root("offpath.end_reason"), "complete");
    assert_eq!(decoded.defects, [Defect::BodyTruncated]);
}

#[test]
fn metadata_keeps_figures_and_no_words() {
    let exchange = chat(REQUEST, RESPONSE).plan(|plan| plan.level = Level::Metadata);
    let decoded = Decoded::of(&exchange);
    decoded.check_upstream(&[
        (IN, "-"),
        (OUT, "-"),
        ("mlflow.chat.tools", "-"),
        ("gen_ai.request.model", "gpt-4o"),
        ("gen_ai.usage.output_tokens", "3"),
    ]);
    let shown = format!("{:?}", decoded.trace);
    assert!(
        !shown.contains("Hello") && !shown.contains("Hi\\\""),
        "{shown}"
    );
}

#[test]
fn a_big_body_is_stored_once() {
    let long = "x".repeat(300 * 1024);
    let request = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{long}"}}]}}"#);
    let decoded = Decoded::of(&chat(&request, RESPONSE));
    assert_eq!(decoded.root(IN), request);
    assert_eq!(decoded.upstream(IN), "-");
    assert_eq!(decoded.upstream(OUT), RESPONSE);
}
