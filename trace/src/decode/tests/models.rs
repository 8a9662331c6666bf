//! APIs of language models beside OpenAI's chat.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const OUT: &str = "mlflow.spanOutputs";
const USAGE: &str = "mlflow.chat.tokenUsage";
const REASONS: &str = "gen_ai.response.finish_reasons";

/// A frame of Converse's.
fn event(kind: &str, payload: &str) -> Vec<u8> {
    let headers = [(":event-type", kind), (":message-type", "event")];
    frame_of(&headers, payload.as_bytes())
}

/// A frame of another API's, wrapped.
fn chunk(payload: &str) -> Vec<u8> {
    let wrapped = format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(payload));
    event("chunk", &wrapped)
}

fn bedrock(path: &str, request: &str, frames: &[Vec<u8>]) -> Exchange {
    exchange(path, request, "")
        .request_header("content-type", "application/json")
        .response_header("content-type", "application/vnd.amazon.eventstream")
        .response_body(body(&[&frames.concat()]))
}

fn events(path: &str, request: &str, datas: &[&str]) -> Exchange {
    let stream: String = datas
        .iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect();
    exchange(path, request, &stream).response_header("content-type", "text/event-stream")
}

fn json(path: &str, request: &str, response: &str) -> Exchange {
    exchange(path, request, response).response_header("content-type", "application/json")
}

const CONVERSE: &str = "/model/amazon.nova-lite-v1%3A0/converse-stream";

fn converse_frames() -> Vec<Vec<u8>> {
    vec![
        event("messageStart", r#"{"p":"x","role":"assistant"}"#),
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"Sun"}}"#,
        ),
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"ny"}}"#,
        ),
        event("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        event(
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t1","name":"weather"}}}"#,
        ),
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"city\":"}}}"#,
        ),
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"1}"}}}"#,
        ),
        event("messageStop", r#"{"stopReason":"tool_use"}"#),
        event(
            "metadata",
            r#"{"metrics":{"latencyMs":9},"usage":{"inputTokens":5,"outputTokens":7,"totalTokens":12,"cacheReadInputTokens":3}}"#,
        ),
    ]
}

#[test]
fn binary_frames_are_put_together() {
    let decoded = Decoded::of(&bedrock(
        CONVERSE,
        r#"{"messages":[],"toolConfig":{"tools":[{"toolSpec":{"name":"weather","inputSchema":{"json":{"type":"object"}}}}]}}"#,
        &converse_frames(),
    ));
    decoded.check_upstream(&[
        (
            OUT,
            r#"{"output":{"message":{"role":"assistant","content":[{"text":"Sunny"},{"toolUse":{"toolUseId":"t1","name":"weather","input":{"city":1}}}]}},"stopReason":"tool_use","metrics":{"latencyMs":9},"usage":{"inputTokens":5,"outputTokens":7,"totalTokens":12,"cacheReadInputTokens":3}}"#,
        ),
        ("mlflow.message.format", "bedrock"),
        (
            "mlflow.chat.tools",
            r#"[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}]"#,
        ),
        (
            USAGE,
            r#"{"input_tokens":5,"output_tokens":7,"total_tokens":12,"cache_read_input_tokens":3}"#,
        ),
        (REASONS, "tool_use"),
        ("mlflow.llm.model", "amazon.nova-lite-v1:0"),
        ("gen_ai.request.stream", "true"),
    ]);
    assert_eq!(decoded.defects, []);
}

#[test]
fn a_binary_stream_that_is_torn_or_damaged_gives_what_stood_before() {
    let whole = converse_frames().concat();
    let read =
        |bytes: &[u8]| Decoded::of(&bedrock(CONVERSE, "{}", &[]).response_body(body(&[bytes])));
    let torn = read(&whole[..whole.len() / 2]);
    assert_eq!(torn.defects, [Defect::TornFrame]);
    assert_eq!(torn.root("offpath.end_reason"), "incomplete");
    assert!(torn.root(OUT).contains("Sun"));
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 1;
    assert_eq!(read(&damaged).defects, [Defect::MalformedFrame]);
}

#[test]
fn an_exception_in_a_binary_stream_is_an_error_of_its_kind() {
    let mut frames = converse_frames();
    frames.truncate(2);
    let headers = [
        (":exception-type", "throttlingException"),
        (":message-type", "exception"),
    ];
    frames.push(frame_of(&headers, br#"{"message":"Slow down"}"#));
    let decoded = Decoded::of(&bedrock(CONVERSE, "{}", &frames));
    assert_eq!(decoded.root("offpath.end_reason"), "in_band_error");
    let status = format!("{:?}", decoded.trace.spans[0].status);
    assert!(
        status.contains("throttlingException: Slow down"),
        "{status}"
    );
}

#[test]
fn wrapped_chunks_are_read_by_the_vendors_api() {
    let path = "/model/anthropic.claude-3-v1:0/invoke-with-response-stream";
    let decoded = Decoded::of(&bedrock(
        path,
        r#"{"anthropic_version":"bedrock-2023-05-31","messages":[]}"#,
        &[
            chunk(
                r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude-3","content":[],"usage":{"input_tokens":16,"output_tokens":1,"cache_read_input_tokens":4}}}"#,
            ),
            chunk(
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            ),
            chunk(
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
            ),
            chunk(
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":30}}"#,
            ),
            chunk(
                r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":16,"outputTokenCount":21}}"#,
            ),
        ],
    ));
    // What Bedrock counted comes last and is what it bills.
    decoded.check_upstream(&[
        (
            USAGE,
            r#"{"input_tokens":16,"output_tokens":21,"cache_read_input_tokens":4}"#,
        ),
        (REASONS, "end_turn"),
        ("mlflow.message.format", "anthropic"),
        ("mlflow.llm.model", "claude-3"),
        ("gen_ai.request.model", "anthropic.claude-3-v1:0"),
    ]);
    let path = "/model/amazon.titan-text-v1/invoke-with-response-stream";
    let decoded = Decoded::of(&bedrock(
        path,
        r#"{"inputText":"Hi"}"#,
        &[
            chunk(
                r#"{"outputText":"Hel","index":0.0,"inputTextTokenCount":28.0,"completionReason":null}"#,
            ),
            chunk(
                r#"{"outputText":"lo","index":0.0,"totalOutputTextTokenCount":5.0,"completionReason":"FINISH","inputTextTokenCount":null,"amazon-bedrock-invocationMetrics":{"inputTokenCount":28,"outputTokenCount":5}}"#,
            ),
        ],
    ));
    decoded.check_upstream(&[
        (OUT, r#"[{"role":"assistant","content":"Hello"}]"#),
        ("mlflow.spanInputs", r#"[{"role":"user","content":"Hi"}]"#),
        (USAGE, r#"{"input_tokens":28,"output_tokens":5}"#),
        (REASONS, "FINISH"),
    ]);
}

#[test]
fn what_the_body_does_not_count_the_fields_may() {
    let answer = json("/model/cohere.command/invoke", r#"{"prompt":"Hi"}"#, "{}");
    let decoded = Decoded::of(
        &answer
            .response_header("x-amzn-bedrock-input-token-count", "9")
            .response_header("x-amzn-bedrock-output-token-count", "112"),
    );
    decoded.check_upstream(&[
        (USAGE, r#"{"input_tokens":9,"output_tokens":112}"#),
        ("mlflow.llm.provider", "bedrock"),
    ]);
}

#[test]
fn a_stream_as_one_list_is_a_stream() {
    let stream = "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Sun\"}],\"role\":\"model\"}}]}\r\n,\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"ny\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":2,\"totalTokenCount\":6}}]";
    let path = "/v1beta/models/g:streamGenerateContent";
    let whole = Decoded::of(&json(path, r#"{"contents":[]}"#, stream));
    whole.check_upstream(&[
        (
            OUT,
            r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Sunny"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":2,"totalTokenCount":6}}"#,
        ),
        (REASONS, "STOP"),
        (
            USAGE,
            r#"{"input_tokens":4,"output_tokens":2,"total_tokens":6}"#,
        ),
    ]);
    let torn = json(path, r#"{"contents":[]}"#, &stream[..120])
        .with(|exchange| exchange.outcome.end = EndReason::UpstreamCut);
    let torn = Decoded::of(&torn);
    assert!(torn.root(OUT).contains("Sun"));
    assert_eq!(torn.root("offpath.end_reason"), "upstream_cut");
}

#[test]
fn a_response_without_its_last_event_is_put_together_from_its_items() {
    let datas = [
        r#"{"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","model":"m","output":[]}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"i","type":"message","role":"assistant","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Sun"}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"f","type":"function_call","name":"w","call_id":"c","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"a\":"}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"1}"}"#,
    ];
    let torn = Decoded::of(&events("/v1/responses", r#"{"input":"Hi"}"#, &datas));
    assert_eq!(torn.root("offpath.end_reason"), "incomplete");
    assert_eq!(
        torn.root(OUT),
        r#"{"object":"response","id":"r","status":"in_progress","model":"m","output":[{"id":"i","type":"message","role":"assistant","content":[{"type":"output_text","text":"Sun"}]},{"id":"f","type":"function_call","name":"w","call_id":"c","arguments":"{\"a\":1}"}]}"#
    );
    // llama.cpp tells its items apart by their ids alone.
    let without = datas.map(|data| {
        let data = data.replace(r#""output_index":0,"content_index":0"#, r#""item_id":"i""#);
        let data = data.replace(r#""output_index":1,"delta""#, r#""item_id":"f","delta""#);
        data.replace(r#""output_index":0,"#, "")
            .replace(r#""output_index":1,"#, "")
    });
    let without = without.each_ref().map(String::as_str);
    let by_id = Decoded::of(&events("/v1/responses", r#"{"input":"Hi"}"#, &without));
    assert_eq!(by_id.root(OUT), torn.root(OUT));
    let failed = r#"{"type":"response.failed","response":{"id":"r","object":"response","status":"failed","output":[],"error":{"code":"server_error","message":"Sorry"}}}"#;
    let failed = Decoded::of(&events("/v1/responses", r#"{"input":"Hi"}"#, &[failed]));
    assert_eq!(failed.root("offpath.end_reason"), "in_band_error");
    assert_eq!(failed.upstream(REASONS), "failed");
}

#[test]
fn an_error_in_a_stream_ends_it() {
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let begun = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#;
    for (path, request, datas) in [
        (
            "/v1/messages",
            r#"{"messages":[]}"#,
            vec![begun, overloaded],
        ),
        ("/v1/messages", r#"{"messages":[]}"#, vec![overloaded]),
        ("/v1/responses", r#"{"input":""}"#, vec![overloaded]),
        (
            "/api/chat",
            r#"{"messages":[]}"#,
            vec![r#"{"error":"overloaded_error"}"#],
        ),
        (
            "/v1/completions",
            r#"{"prompt":""}"#,
            vec![r#"{"error":{"type":"overloaded_error"}}"#],
        ),
        (
            "/v1beta/models/m:streamGenerateContent",
            r#"{"contents":[]}"#,
            vec![r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"overloaded_error"}}"#],
        ),
    ] {
        let decoded = Decoded::of(&events(path, request, &datas));
        assert_eq!(
            decoded.root("offpath.end_reason"),
            "in_band_error",
            "{path}"
        );
        let status = format!("{:?}", decoded.trace.spans[0].status);
        assert!(status.contains("overloaded_error"), "{path}: {status}");
    }
}

#[test]
fn an_answer_without_a_stream_is_carried_as_it_came() {
    let rows = [
        (
            "/v1/messages",
            r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}"#,
            "end_turn",
        ),
        (
            "/v1/responses",
            r#"{"object":"response","status":"completed","model":"c","output":[],"usage":{"input_tokens":3,"output_tokens":4}}"#,
            "completed",
        ),
        (
            "/v1beta/models/c:generateContent",
            r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}"#,
            "STOP",
        ),
        (
            "/model/c/converse",
            r#"{"output":{},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":4}}"#,
            "end_turn",
        ),
        (
            "/v1/completions",
            r#"{"model":"c","choices":[{"text":"Hi","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
            "stop",
        ),
        (
            "/v1/chat",
            r#"{"text":"Hi","finish_reason":"COMPLETE","meta":{"tokens":{"input_tokens":3,"output_tokens":4}}}"#,
            "COMPLETE",
        ),
        (
            "/v2/chat",
            r#"{"message":{},"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":3,"output_tokens":4}}}"#,
            "COMPLETE",
        ),
        (
            "/api/generate",
            r#"{"model":"c","response":"Hi","done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}"#,
            "stop",
        ),
        (
            "/model/meta.llama/invoke",
            r#"{"generation":"Hi","prompt_token_count":3,"generation_token_count":4,"stop_reason":"stop"}"#,
            "stop",
        ),
        (
            "/model/amazon.titan/invoke",
            r#"{"inputTextTokenCount":3.0,"results":[{"tokenCount":4.0,"outputText":"Hi","completionReason":"FINISH"}]}"#,
            "FINISH",
        ),
    ];
    for (path, answer, reason) in rows {
        let decoded = Decoded::of(&json(path, r#"{"model":"c"}"#, answer));
        assert_eq!(decoded.root(OUT), answer, "{path}");
        assert_eq!(decoded.upstream(REASONS), reason, "{path}");
        let usage = r#"{"input_tokens":3,"output_tokens":4}"#;
        assert_eq!(decoded.upstream(USAGE), usage, "{path}");
    }
}

#[test]
fn an_api_that_the_page_does_not_know_is_drawn_as_turns() {
    let decoded = Decoded::of(&json(
        "/v1/chat",
        r#"{"message":"And now?","chat_history":[{"role":"USER","message":"Hi"},{"role":"CHATBOT","message":"Hello"}]}"#,
        r#"{"text":"Now this."}"#,
    ));
    decoded.check_upstream(&[
        (
            "mlflow.spanInputs",
            r#"[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"user","content":"And now?"}]"#,
        ),
        (OUT, r#"[{"role":"assistant","content":"Now this."}]"#),
    ]);
    let datas = [
        r#"{"token":{"id":1,"text":"Hel"},"generated_text":null,"details":null}"#,
        r#"{"token":{"id":2,"text":"lo"},"generated_text":"Hello","details":{"finish_reason":"length","generated_tokens":2}}"#,
    ];
    let decoded = Decoded::of(&events(
        "/generate_stream",
        r#"{"inputs":"Hi","parameters":{"max_new_tokens":2}}"#,
        &datas,
    ));
    decoded.check_upstream(&[
        ("mlflow.spanInputs", r#"[{"role":"user","content":"Hi"}]"#),
        (OUT, r#"[{"role":"assistant","content":"Hello"}]"#),
        (REASONS, "length"),
        (USAGE, r#"{"output_tokens":2}"#),
        ("gen_ai.request.max_tokens", "2"),
    ]);
}

#[test]
fn llama_cpps_own_api_is_counted_by_its_last_answer() {
    let datas = [
        r#"{"index":0,"content":"Par","tokens":[1],"stop":false,"tokens_predicted":1,"tokens_evaluated":5}"#,
        r#"{"index":0,"content":"is","tokens":[2],"stop":false,"tokens_predicted":2,"tokens_evaluated":5}"#,
        r#"{"index":0,"content":"","tokens":[],"stop":true,"model":"s","tokens_predicted":2,"tokens_evaluated":5,"stop_type":"eos","tokens_cached":7,"timings":{"cache_n":4}}"#,
    ];
    let asked = r#"{"prompt":"The capital is","n_predict":6}"#;
    let decoded = Decoded::of(&events("/completion", asked, &datas));
    decoded.check_root(&[("offpath.end_reason", "complete")]);
    decoded.check_upstream(&[
        (
            "mlflow.spanInputs",
            r#"[{"role":"user","content":"The capital is"}]"#,
        ),
        (OUT, r#"[{"role":"assistant","content":"Paris"}]"#),
        (REASONS, "eos"),
        (
            USAGE,
            r#"{"input_tokens":5,"output_tokens":2,"cache_read_input_tokens":4}"#,
        ),
        ("gen_ai.request.max_tokens", "6"),
        ("mlflow.llm.model", "s"),
    ]);
    let torn = Decoded::of(&events("/completion", asked, &datas[..2]));
    torn.check_root(&[("offpath.end_reason", "incomplete")]);
}

#[test]
fn tokens_that_are_only_counted_are_no_usage() {
    for path in [
        "/v1/messages/count_tokens",
        "/v1beta/models/m:countTokens",
        "/v1/responses/input_tokens",
    ] {
        let answer = r#"{"input_tokens":37,"totalTokens":37}"#;
        let decoded = Decoded::of(&json(path, r#"{"messages":[]}"#, answer));
        decoded.check_upstream(&[(USAGE, "-")]);
    }
}

#[test]
fn the_first_content_is_timed_by_the_chunk_that_brought_it() {
    let datas = [
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"Hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":40}}"#,
    ];
    let framed = datas.map(|data| format!("data: {data}\n\n"));
    let at = Duration::from_millis;
    let chunks = framed.iter().zip([51, 60, 99]).map(|(data, ms)| Chunk {
        at: at(ms),
        bytes: Bytes::copy_from_slice(data.as_bytes()),
    });
    let chunks: Vec<_> = chunks.collect();
    let bytes = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
    let timed = stream(&[]).response_body(Body {
        chunks,
        bytes,
        truncated: false,
    });
    let decoded = Decoded::of(&timed);
    decoded.check_root(&[("offpath.first_content_ms", "60")]);
    decoded.check_upstream(&[
        ("offpath.first_content_ms", "59"),
        ("gen_ai.response.time_to_first_chunk", "0.059"),
        ("offpath.tokens_per_second", "1000"),
    ]);
}

#[test]
fn metadata_of_a_conversation_holds_counts_and_names_alone() {
    for exchange in [
        bedrock(CONVERSE, r#"{"messages":["Sunny"]}"#, &converse_frames()),
        events(
            "/v1/messages",
            r#"{"model":"c","stop_sequences":["Sun"],"tools":[{"name":"Sun"}],"messages":["Sun"]}"#,
            &[
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Sun"}}"#,
                r#"{"type":"error","error":{"type":"x","message":"Sunny"}}"#,
            ],
        ),
        json("/v1/chat", r#"{"message":"Sun"}"#, r#"{"text":"Sun"}"#),
    ] {
        let decoded = Decoded::of(&exchange.plan(|plan| plan.level = Level::Metadata));
        let shown = format!("{:?}", decoded.trace);
        assert!(!shown.contains("Sun"), "{shown}");
        assert_eq!(decoded.upstream("mlflow.message.format"), "-");
    }
}
