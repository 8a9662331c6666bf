//! One short answer of each API that streams, event by event. The last event is its last word.

/// A streamed answer.
pub(crate) struct Api {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) events: Vec<Vec<u8>>,
}

/// All of them, with events of a few bytes and with a last event of 20 KB where the API allows one.
pub(crate) fn all() -> Vec<Api> {
    let long = "so on and on ".repeat(1_600);
    let mut all = vec![
        chat("\n"),
        chat("\r\n"),
        messages(),
        gemini(),
        cohere(),
        converse(),
        invoke(),
    ];
    for text in ["short", &long] {
        all.extend([responses(text), ollama(text), llama_cpp(text)]);
        all.extend([false, true].map(|typescript| mcp(text, typescript)));
    }
    all
}

fn events(path: &'static str, events: Vec<Vec<u8>>) -> Api {
    Api {
        path,
        content_type: "text/event-stream",
        events,
    }
}

fn event(fields: &[&str]) -> Vec<u8> {
    let lines: Vec<String> = fields.iter().map(|field| format!("{field}\n")).collect();
    format!("{}\n", lines.concat()).into_bytes()
}

fn chat(newline: &str) -> Api {
    let chunk = |rest: &str| {
        let object = r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":"#;
        event(&[&format!("data: {object}{rest}}}")])
    };
    let all = [
        chunk(r#"[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]"#),
        chunk(r#"[{"index":0,"delta":{"content":" there"},"finish_reason":"stop"}]"#),
        chunk(r#"[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#),
        event(&["data: [DONE]"]),
    ];
    let all = all.map(|event| String::from_utf8(event).unwrap());
    let all = all.map(|event| event.replace('\n', newline).into_bytes());
    events("/v1/chat/completions", all.into())
}

fn messages() -> Api {
    let all = [
        r#"{"type":"message_start","message":{"id":"a","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    events("/v1/messages", all.map(named).into())
}

/// An event that is named after its type.
fn named(object: &str) -> Vec<u8> {
    let kind = object.split('"').nth(3).unwrap();
    event(&[&format!("event: {kind}"), &format!("data: {object}")])
}

fn responses(text: &str) -> Api {
    let whole = |status: &str| {
        format!(
            r#""response":{{"id":"r","object":"response","status":"{status}","model":"m","output":[{{"type":"message","content":[{{"type":"output_text","text":"{text}"}}]}}]}}}}"#
        )
    };
    let all = [
        format!(r#"{{"type":"response.created",{}"#, whole("in_progress")),
        r#"{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"Hello"}"#.to_owned(),
        format!(r#"{{"type":"response.completed",{}"#, whole("completed")),
    ];
    events("/v1/responses", all.map(|object| named(&object)).into())
}

fn gemini() -> Api {
    let piece = |reason: &str| {
        let object = format!(
            r#"data: {{"candidates": [{{"content": {{"parts": [{{"text": "Hello"}}],"role": "model"}}{reason}}}],"modelVersion": "m"}}"#
        );
        event(&[&object])
    };
    let all = vec![piece(""), piece(""), piece(r#","finishReason": "STOP""#)];
    events("/v1beta/models/m:streamGenerateContent", all)
}

fn cohere() -> Api {
    let all = [
        r#"{"type":"message-start","delta":{"message":{"role":"assistant"}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hello"}}}}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#,
    ];
    events("/v2/chat", all.map(named).into())
}

fn ollama(text: &str) -> Api {
    let line = |rest: &str| {
        format!(
            "{{\"model\":\"m\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},{rest}}}\n"
        )
    };
    let all = [
        line(r#""done":false"#),
        line(r#""done":false"#),
        format!(
            "{{\"model\":\"m\",\"done\":true,\"done_reason\":\"stop\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}}}}\n"
        ),
    ];
    Api {
        path: "/api/chat",
        content_type: "application/x-ndjson",
        events: all.map(String::into_bytes).into(),
    }
}

fn llama_cpp(text: &str) -> Api {
    let last = format!(r#"data: {{"content":"","stop":true,"stop_type":"eos","prompt":"{text}"}}"#);
    let more = event(&[r#"data: {"content":"Hello","stop":false}"#]);
    events("/completion", vec![more.clone(), more, event(&[&last])])
}

fn converse() -> Api {
    let all = [
        frame("messageStart", r#"{"role":"assistant"}"#),
        frame(
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"Hello"}}"#,
        ),
        frame("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        frame("messageStop", r#"{"stopReason":"end_turn"}"#),
        frame(
            "metadata",
            r#"{"usage":{"inputTokens":3,"outputTokens":1,"totalTokens":4}}"#,
        ),
    ];
    frames("/model/m/converse-stream", all.into())
}

/// Anthropic's events, as Bedrock wraps them: `content_block_delta` and `message_stop`.
fn invoke() -> Api {
    let delta = "eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0YSIsImluZGV4IjowLCJkZWx0YSI6eyJ0eXBlIjoidGV4dF9kZWx0YSIsInRleHQiOiJIZWxsbyJ9fQ==";
    let stop = "eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=";
    let chunk = |bytes| frame("chunk", &format!(r#"{{"bytes":"{bytes}"}}"#));
    let all = vec![chunk(delta), chunk(delta), chunk(stop)];
    frames("/model/m/invoke-with-response-stream", all)
}

fn frames(path: &'static str, events: Vec<Vec<u8>>) -> Api {
    Api {
        path,
        content_type: "application/vnd.amazon.eventstream",
        events,
    }
}

/// A frame of Amazon's event stream.
fn frame(name: &str, payload: &str) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let length = u16::try_from(name.len()).unwrap().to_be_bytes();
    let headers = [b"\x0b:event-type\x07", &length[..], name.as_bytes()].concat();
    let mut frame = [
        number(16 + headers.len() + payload.len()),
        number(headers.len()),
    ]
    .concat();
    frame.extend(crc(&frame).to_be_bytes());
    frame.extend([&headers, payload.as_bytes()].concat());
    frame.extend(crc(&frame).to_be_bytes());
    frame
}

/// CRC-32, as in gzip.
fn crc(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    let step = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), shift);
    !bytes.iter().fold(!0, step)
}

/// An answer of MCP's in a stream, after a notice, as its SDKs for Python and TypeScript write it.
fn mcp(text: &str, typescript: bool) -> Api {
    let message = |object: &str| {
        let fields = format!("event: message\r\ndata: {object}\r\n\r\n");
        fields.into_bytes()
    };
    let result = format!(r#""result":{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
    let answer = match typescript {
        true => format!(r#"{{{result},"jsonrpc":"2.0","id":1}}"#),
        false => format!(r#"{{"jsonrpc":"2.0","id":1,{result}}}"#),
    };
    let notice = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#;
    events(
        "/mcp",
        vec![message(notice), message(notice), message(&answer)],
    )
}
