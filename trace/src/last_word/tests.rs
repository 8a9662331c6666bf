//! Streams of every API, up to their last word and up to the event before it, in pieces of any size.

use proptest::prelude::*;

use super::*;

/// A stream of these events, in pieces of at most `most` bytes; the first event comes whole.
fn end_of(events: &[Vec<u8>], most: usize) -> Option<Box<StreamEnd>> {
    let (first, rest) = events.split_first()?;
    let mut end = StreamEnd::of(first)?;
    end.pass(first);
    rest.concat().chunks(most).for_each(|piece| end.pass(piece));
    Some(end)
}

/// The last of the events is a last word, and none before it is, nor the last one as long as it is
/// not whole.
#[track_caller]
fn check(name: &str, events: &[Vec<u8>]) {
    for most in [1, 3, 100, 1_023, 3_072, 3_073, 4_096, 4_097, 70_000] {
        for count in 1..events.len() {
            let early = end_of(&events[..count], most).unwrap();
            assert!(
                !early.is_last_word(),
                "{name}: {count} events, {most} bytes"
            );
        }
        let whole = end_of(events, most).unwrap();
        assert!(whole.is_last_word(), "{name}: {most} bytes: {whole:?}");
        assert!(whole.held.capacity() <= HELD_MAX && whole.start.capacity() <= START_BYTES);
    }
    let (last, before) = events.split_last().unwrap();
    let half = [before, &[last[..last.len() / 2].to_vec()]].concat();
    let torn = end_of(&half, 70_000).unwrap();
    assert!(!torn.is_last_word(), "{name}: torn: {torn:?}");
}

/// A frame of Amazon's event stream; its checksums are not looked at.
fn frame(name: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (header, value) in [(":event-type", name), (":message-type", "event")] {
        headers.push(u8::try_from(header.len()).unwrap());
        headers.extend_from_slice(header.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let lengths = [
        length(16 + headers.len() + payload.len()),
        length(headers.len()),
    ];
    [
        &lengths.concat(),
        &[0; 4][..],
        &headers,
        payload.as_bytes(),
        &[0; 4],
    ]
    .concat()
}

fn each(events: &[&str]) -> Vec<Vec<u8>> {
    events
        .iter()
        .map(|event| event.as_bytes().to_vec())
        .collect()
}

fn data(objects: &[&str]) -> Vec<Vec<u8>> {
    let event = |object: &&str| format!("data: {object}\n\n").into_bytes();
    objects.iter().map(event).collect()
}

/// Server-sent events, named after their type.
fn named(objects: &[&str]) -> Vec<Vec<u8>> {
    let event = |object: &&str| {
        let kind = Raw(object.as_bytes())
            .get("type")
            .and_then(Raw::quoted)
            .unwrap();
        let kind = String::from_utf8_lossy(kind).into_owned();
        format!("event: {kind}\ndata: {object}\n\n").into_bytes()
    };
    objects.iter().map(event).collect()
}

fn with_newline(event: Vec<u8>, newline: &str) -> Vec<u8> {
    let event = String::from_utf8(event).unwrap();
    event.replace('\n', newline).into_bytes()
}

fn lines(objects: &[&str]) -> Vec<Vec<u8>> {
    objects
        .iter()
        .map(|object| format!("{object}\n").into_bytes())
        .collect()
}

const WORDS: &str = r#"data: [DONE]\n\n \"done\":true \"finishReason\":\"STOP\" and so on "#;

const FINISHED: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn an_openai_stream_ends_with_done_and_not_with_a_reason_or_usage() {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let text = format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{WORDS}"}}}}]}}"#);
    check("chat", &data(&[&text, &text, FINISHED, usage, "[DONE]"]));
    let large = format!(
        r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#,
        WORDS.repeat(200)
    );
    check("large", &data(&[&text, &large, "[DONE]"]));
    let piece = |object: &str| format!("data:{object}\r\n\r\n");
    let windows = [piece(&text), piece(FINISHED), piece("[DONE]")];
    check("CRLF", &windows.map(String::into_bytes));
    let mut pinged = data(&[&text, "[DONE]"]);
    pinged.push(b": ping\n\n".to_vec());
    assert!(end_of(&pinged, 1).unwrap().is_last_word());
}

#[test]
fn an_event_by_name_ends_the_answers_of_messages_responses_and_cohere() {
    let begun = r#"{"type":"message_start","message":{"stop_reason":null}}"#;
    let reason = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#;
    let stop = r#"{"type":"message_stop"}"#;
    check("messages", &named(&[begun, reason, stop]));
    for kind in ["completed", "incomplete", "failed", "cancelled"] {
        for length in [1, 40, 4_000] {
            let output = WORDS.repeat(length);
            let response = |kind: &str, text: &str| {
                format!(
                    r#"{{"type":"response.{kind}","response":{{"id":"r","output":["{text}"],"metadata":{{}}}}}}"#
                )
            };
            let (made, last) = (response("created", &output), response(kind, &output));
            let delta = r#"{"type":"response.output_text.delta","delta":"response.completed"}"#;
            let item = response("output_item.done", &output);
            check(kind, &named(&[&made, delta, &item, &last]));
        }
    }
    let delta = r#"{"type":"content-delta","delta":{"message":{"content":{"text":"a"}}}}"#;
    let end = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{}}}"#;
    check("cohere", &named(&[delta, end]));
    let text = r#"{"is_finished":false,"event_type":"text-generation","text":"a"}"#;
    let last = format!(
        r#"{{"is_finished":true,"event_type":"stream-end","response":{{"text":"{}"}}}}"#,
        WORDS.repeat(500)
    );
    check("cohere's first", &lines(&[text, &last]));
}

#[test]
fn a_flag_ends_what_comes_as_answers_in_a_row() {
    let more = r#"{"model":"m","message":{"content":"a","tool_calls":[{"arguments":{"done":true}}]},"done":false}"#;
    let context = format!("[{}7]", "1234,".repeat(5_000));
    let last = format!(
        r#"{{"model":"m","response":"","done":true,"done_reason":"stop","context":{context}}}"#
    );
    check("ollama", &lines(&[more, more, &last]));
    check(
        "ollama's chat",
        &lines(&[more, r#"{"message":{"content":""},"done":true}"#]),
    );
    let last = format!(
        r#"{{"content":"","stop":true,"prompt":"{}"}}"#,
        WORDS.repeat(100)
    );
    check(
        "llama.cpp",
        &data(&[r#"{"content":"a","stop":false}"#, &last]),
    );
    let more = r#"{"token":{"text":"a"},"generated_text":null,"details":null}"#;
    let last = r#"{"token":{"text":"b"},"generated_text":"ab","details":null}"#;
    check("tgi", &data(&[more, last]));
}

#[test]
fn a_first_line_in_pieces_does_not_hide_the_last_one() {
    let stream = lines(&[&format!("{{\"response\":\"{WORDS}\"}}"), r#"{"done":true}"#]).concat();
    for at in [1, 9, 30] {
        let (first, rest) = stream.split_at(at);
        let mut end = StreamEnd::of(first).unwrap();
        end.pass(first);
        assert!(!end.is_last_word() && end.held.capacity() == 0);
        end.pass(rest);
        assert!(end.is_last_word(), "{at}");
    }
}

#[test]
fn a_gemini_stream_ends_with_a_reason_as_events_and_as_a_list() {
    let piece = |reason: &str, signature: &str| {
        format!(
            r#"{{"candidates": [{{"content": {{"parts": [{{"text": "{WORDS}","thoughtSignature":"{signature}"}}]}}{reason}}}],"usageMetadata": {{"totalTokenCount": 3}}}}"#
        )
    };
    let reason = r#","finishReason": "STOP""#;
    for signature in ["", &"A1".repeat(4_000)] {
        let (more, last) = (piece("", signature), piece(reason, signature));
        check("events", &data(&[&more, &more, &last]));
        let list = [
            format!("[{more}\n"),
            format!(",\r\n{more}\n"),
            format!(",\r\n{last}\n"),
        ];
        check("list", &list.map(String::into_bytes));
    }
    let refused = r#"{"promptFeedback": {"blockReason": "SAFETY"}}"#;
    check("refused", &data(&[r#"{"candidates":[]}"#, refused]));
}

#[test]
fn amazons_frames_end_with_metadata_or_with_what_a_chunk_wraps() {
    let delta = frame("contentBlockDelta", r#"{"delta":{"text":"messageStop"}}"#);
    let stop = frame("messageStop", r#"{"stopReason":"end_turn"}"#);
    let usage = frame("metadata", r#"{"usage":{"totalTokens":3}}"#);
    let converse = [delta.clone(), delta, stop, usage];
    for most in [1, 5, 5_000] {
        for count in 1..=converse.len() {
            let end = end_of(&converse[..count], most).unwrap();
            assert_eq!(end.is_last_word(), count == converse.len(), "{count}");
        }
    }
    let chunk = |object: &str| {
        frame(
            "chunk",
            &format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(object)),
        )
    };
    let text = chunk(r#"{"type":"content_block_delta","delta":{"text":"a"}}"#);
    let stop = chunk(r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{}}"#);
    check("messages", &[text, stop]);
    let titan = chunk(
        r#"{"outputText":"b","completionReason":"FINISH","amazon-bedrock-invocationMetrics":{}}"#,
    );
    check(
        "titan",
        &[
            chunk(r#"{"outputText":"a","completionReason":null}"#),
            titan,
        ],
    );
}

#[test]
fn a_json_rpc_answer_ends_a_stream_and_its_notices_and_requests_do_not() {
    let event = |object: &str| format!("event: message\r\ndata: {object}\r\n\r\n").into_bytes();
    let notice =
        event(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"result":1}}"#);
    let asked = event(r#"{"method":"sampling/createMessage","params":{},"jsonrpc":"2.0","id":0}"#);
    let large = format!(r#"{{"content":"{}"}}"#, WORDS.repeat(200));
    for result in ["{}", &large] {
        let python = event(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#));
        let typescript = event(&format!(r#"{{"result":{result},"jsonrpc":"2.0","id":1}}"#));
        let failed = event(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{result}}}"#));
        for answer in [python, typescript, failed] {
            check("answer", &[notice.clone(), asked.clone(), answer]);
        }
    }
    let params = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{large}}}"#);
    assert!(
        !end_of(&[notice, event(&params)], 500)
            .unwrap()
            .is_last_word()
    );
}

#[test]
fn an_error_is_a_last_word() {
    let text = r#"{"choices":[{"delta":{"content":"a"}}],"error":null}"#;
    check(
        "chat",
        &data(&[text, r#"{"error":{"message":"overloaded"}}"#]),
    );
    let failed = r#"{"type":"error","error":{"type":"overloaded_error"}}"#;
    check("messages", &named(&[r#"{"type":"ping"}"#, failed]));
}

#[test]
fn what_is_no_stream_of_events_has_no_last_word() {
    for body in [
        "{\"done\":true}",
        "Data: [DONE]\n\n",
        "<html>",
        "\u{1f}\u{8b}",
        "",
    ] {
        assert!(StreamEnd::of(body.as_bytes()).is_none(), "{body}");
    }
    let answers = each(&["[[1.5, 2.5],\n", "[3.5, 4.5]]"]);
    assert!(!end_of(&answers, 9).unwrap().is_last_word());
}

proptest! {
    #[test]
    fn any_bytes_pass_within_the_bound(
        first in prop::sample::select(vec![&b"data:"[..], b"{}\n", b"[", b"\0\0\0\x10\0\0"]),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5_000), 0..12),
    ) {
        let mut end = StreamEnd::of(first).unwrap();
        for piece in &pieces {
            end.pass(piece);
            end.is_last_word();
            prop_assert!(end.held.capacity() <= HELD_MAX && end.start.len() <= START_BYTES);
        }
    }
}

/// Streams whose last event begins at each offset from where bytes are let go, in pieces of any size.
#[test]
fn how_a_stream_is_cut_into_pieces_does_not_matter() {
    for newline in ["\n", "\r\n"] {
        for length in (0..1_200).chain([5_000]) {
            let text = format!(
                r#"{{"type":"response.output_text.delta","delta":"{}"}}"#,
                "a".repeat(length)
            );
            let last = format!(
                r#"{{"type":"response.completed","response":"{}"}}"#,
                "b".repeat(5_000 - length)
            );
            let events = named(&[&text, &text, &text, &last]).into_iter();
            let events: Vec<_> = events.map(|event| with_newline(event, newline)).collect();
            for most in [7, 500, 1_500, 4_000] {
                let early = end_of(&events[..3], most).unwrap();
                let whole = end_of(&events, most).unwrap();
                let found = (early.is_last_word(), whole.is_last_word());
                assert_eq!(found, (false, true), "{length} {most}");
            }
        }
    }
}
