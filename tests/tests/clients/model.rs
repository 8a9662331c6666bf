//! A model whose every answer is the same text, in the APIs of OpenAI and Anthropic, whole and
//! streamed, each event in a chunk of its own, and with the end that its request asks for.

use offpath_tests::{Ending, Head, Upstream};
use serde_json::{Value, json};

/// The text of each answer, in the pieces that it is streamed in.
pub(crate) const PIECES: [&str; 5] = ["Your", " parcel", " is", " in", " Köln."];

/// Input and output tokens of each answer.
pub(crate) const USAGE: [u64; 2] = [11, 5];

/// What it has an agent call that has a tool and has not called it yet.
const CALL: (&str, &str) = ("find_parcel", r#"{"number": "17"}"#);

/// Numbers that a 32-bit float holds exactly.
const VECTOR: [f32; 4] = [0.5, -0.25, 0.125, 1.0];

/// Starts it.
pub(crate) async fn start() -> Upstream {
    Upstream::script(|_, mut wire| async move {
        while let Some(request) = wire.try_head().await {
            let body = wire.body(&request).await;
            let asked: Value = serde_json::from_slice(&body).expect("a client sends JSON");
            let (kind, pieces) = answer(&request, &asked);
            wire.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
            ))
            .await;
            if !Ending::asked(&request).send(&mut wire, &pieces).await {
                return;
            }
        }
    })
    .await
}

/// The content's type and pieces.
fn answer(request: &Head, asked: &Value) -> (&'static str, Vec<String>) {
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let streams = asked["stream"] == true;
    match (name, streams) {
        ("completions", true) if path.ends_with("/chat/completions") => events(chat_chunks(asked)),
        ("completions", true) => events(completion_chunks()),
        ("responses", true) => events(response_events(asked)),
        ("messages", true) => events(message_events()),
        ("completions", false) => whole(&chat(asked)),
        ("responses", false) => whole(&response(asked)),
        ("messages", false) => whole(&message()),
        ("embeddings", false) => whole(&embedding(asked)),
        _ => panic!("no API of this model: {path}, {asked}"),
    }
}

/// A whole answer, in two pieces.
fn whole(answer: &Value) -> (&'static str, Vec<String>) {
    let text = answer.to_string();
    let (begin, end) = text.split_at(text.len() / 3);
    ("application/json", vec![begin.to_owned(), end.to_owned()])
}

/// Server-sent events with these names and contents.
fn events(events: Vec<(Option<&str>, String)>) -> (&'static str, Vec<String>) {
    let write = |(name, data): (Option<&str>, String)| match name {
        None => format!("data: {data}\n\n"),
        Some(name) => format!("event: {name}\ndata: {data}\n\n"),
    };
    ("text/event-stream", events.into_iter().map(write).collect())
}

/// Whether this is an agent's first question: it has a tool and no result of it.
fn wants_call(asked: &Value) -> bool {
    let tools = asked["tools"]
        .as_array()
        .is_some_and(|tools| !tools.is_empty());
    let history = [&asked["messages"], &asked["input"]];
    let called = history
        .iter()
        .flat_map(|turns| turns.as_array().into_iter().flatten())
        .any(|turn| turn["role"] == "tool" || turn["type"] == "function_call_output");
    tools && !called
}

fn chat_usage() -> Value {
    let [input, output] = USAGE;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn chat(asked: &Value) -> Value {
    let (message, finish) = if wants_call(asked) {
        let function = json!({"name": CALL.0, "arguments": CALL.1});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        (
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            "tool_calls",
        )
    } else {
        (
            json!({"role": "assistant", "content": PIECES.concat()}),
            "stop",
        )
    };
    json!({"id": "chat-1", "object": "chat.completion", "created": 1, "model": asked["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": chat_usage()})
}

fn chat_chunks(asked: &Value) -> Vec<(Option<&'static str>, String)> {
    let with_choices = |choices: Value, usage: Value| {
        json!({"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"],
            "choices": choices, "usage": usage})
    };
    let delta = |delta: Value, finish: Value| {
        let choice = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        with_choices(choice, Value::Null)
    };
    let mut chunks = vec![delta(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    if wants_call(asked) {
        let (begin, end) = CALL.1.split_at(5);
        let function = json!({"name": CALL.0, "arguments": begin});
        let call = json!([{"index": 0, "id": "call_1", "type": "function", "function": function}]);
        let more = json!([{"index": 0, "function": {"arguments": end}}]);
        chunks.push(delta(json!({"tool_calls": call}), Value::Null));
        chunks.push(delta(json!({"tool_calls": more}), Value::Null));
        chunks.push(delta(json!({}), "tool_calls".into()));
    } else {
        chunks.extend(PIECES.map(|piece| delta(json!({"content": piece}), Value::Null)));
        chunks.push(delta(json!({}), "stop".into()));
    }
    if asked["stream_options"]["include_usage"] == true {
        chunks.push(with_choices(json!([]), chat_usage()));
    }
    unnamed(chunks)
}

fn completion_chunks() -> Vec<(Option<&'static str>, String)> {
    let chunk = |choices: Value, usage: Value| {
        json!({"id": "text-1", "object": "text_completion", "created": 1, "model": "parcel-1",
            "choices": choices, "usage": usage})
    };
    let text = |piece: &str, finish: Value| {
        let choice =
            json!([{"index": 0, "text": piece, "logprobs": null, "finish_reason": finish}]);
        chunk(choice, Value::Null)
    };
    let mut chunks: Vec<Value> = PIECES
        .iter()
        .map(|piece| text(piece, Value::Null))
        .collect();
    chunks.push(text("", "stop".into()));
    chunks.push(chunk(json!([]), chat_usage()));
    unnamed(chunks)
}

/// OpenAI's chunks, and the word that ends them.
fn unnamed(chunks: Vec<Value>) -> Vec<(Option<&'static str>, String)> {
    let last = (None, "[DONE]".to_owned());
    let chunks = chunks.into_iter().map(|chunk| (None, chunk.to_string()));
    chunks.chain([last]).collect()
}

/// A response's only item, as it begins and as it is done.
fn item(asked: &Value) -> [Value; 2] {
    if wants_call(asked) {
        let item = |status: &str, arguments: &str| {
            json!({"id": "fc_1", "type": "function_call", "status": status, "call_id": "call_1",
                "name": CALL.0, "arguments": arguments})
        };
        return [item("in_progress", ""), item("completed", CALL.1)];
    }
    let item = |status: &str, content: Value| json!({"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content});
    [
        item("in_progress", json!([])),
        item("completed", json!([part(&PIECES.concat())])),
    ]
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}

fn response(asked: &Value) -> Value {
    let [_, done] = item(asked);
    let [input, output] = USAGE;
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {}, "model": asked["model"],
        "output": [done], "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "temperature": 1.0, "top_p": 1.0,
        "usage": {"input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input + output}})
}

fn response_events(asked: &Value) -> Vec<(Option<&'static str>, String)> {
    let [begun, done] = item(asked);
    let mut begins = response(asked);
    begins["status"] = "in_progress".into();
    begins["output"] = json!([]);
    begins["usage"] = Value::Null;
    let mut events = vec![
        ("response.created", json!({"response": begins})),
        (
            "response.output_item.added",
            json!({"output_index": 0, "item": begun}),
        ),
    ];
    if wants_call(asked) {
        let at = json!({"output_index": 0, "item_id": "fc_1"});
        events.extend(["{\"number\"", ": \"17\"}"].map(|delta| {
            (
                "response.function_call_arguments.delta",
                with(&at, "delta", delta.into()),
            )
        }));
        events.push((
            "response.function_call_arguments.done",
            with(&at, "arguments", CALL.1.into()),
        ));
    } else {
        let at = json!({"output_index": 0, "item_id": "msg_1", "content_index": 0});
        events.push(("response.content_part.added", with(&at, "part", part(""))));
        events.extend(PIECES.map(|piece| {
            let delta = with(&at, "delta", piece.into());
            (
                "response.output_text.delta",
                with(&delta, "logprobs", json!([])),
            )
        }));
        let text = with(&at, "text", PIECES.concat().into());
        events.push((
            "response.output_text.done",
            with(&text, "logprobs", json!([])),
        ));
        events.push((
            "response.content_part.done",
            with(&at, "part", part(&PIECES.concat())),
        ));
    }
    events.push((
        "response.output_item.done",
        json!({"output_index": 0, "item": done}),
    ));
    events.push(("response.completed", json!({"response": response(asked)})));
    let numbered = events
        .into_iter()
        .enumerate()
        .map(|(number, (name, event))| {
            let event = with(&event, "type", name.into());
            let event = with(&event, "sequence_number", number.into());
            (Some(name), event.to_string())
        });
    numbered.collect()
}

/// The object, and one member more.
fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[key] = value;
    object
}

fn message() -> Value {
    let [input, output] = USAGE;
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "parcel-1",
        "content": [{"type": "text", "text": PIECES.concat()}], "stop_reason": "end_turn",
        "stop_sequence": null, "usage": {"input_tokens": input, "output_tokens": output}})
}

fn message_events() -> Vec<(Option<&'static str>, String)> {
    let [_, output] = USAGE;
    let mut begins = message();
    begins["content"] = json!([]);
    begins["stop_reason"] = Value::Null;
    begins["usage"]["output_tokens"] = 1.into();
    let block = json!({"index": 0, "content_block": {"type": "text", "text": ""}});
    let mut events = vec![
        ("message_start", json!({"message": begins})),
        ("content_block_start", block),
        ("ping", json!({})),
    ];
    events.extend(PIECES.map(|piece| {
        let delta = json!({"index": 0, "delta": {"type": "text_delta", "text": piece}});
        ("content_block_delta", delta)
    }));
    let stop = json!({"stop_reason": "end_turn", "stop_sequence": null});
    events.push(("content_block_stop", json!({"index": 0})));
    events.push((
        "message_delta",
        json!({"delta": stop, "usage": {"output_tokens": output}}),
    ));
    events.push(("message_stop", json!({})));
    let named = events
        .into_iter()
        .map(|(name, event)| (Some(name), with(&event, "type", name.into()).to_string()));
    named.collect()
}

/// In the encoding that the request asks for: numbers, or the base64 of their bytes, the least first.
fn embedding(asked: &Value) -> Value {
    use base64::Engine as _;
    let embedding = if asked["encoding_format"] == "base64" {
        let bytes: Vec<u8> = VECTOR
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into()
    } else {
        json!(VECTOR)
    };
    json!({"object": "list", "model": asked["model"],
        "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
        "usage": {"prompt_tokens": USAGE[0], "total_tokens": USAGE[0]}})
}
