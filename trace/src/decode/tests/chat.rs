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
