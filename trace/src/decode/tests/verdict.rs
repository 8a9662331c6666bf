//! The verdict on a stream, from how far it came and how its transport ended.

use proptest::prelude::*;
use proptest::sample::Index;

use super::partial::{Streamed, streams};
use super::*;
use crate::Status;

const ENDS: [EndReason; 6] = [
    EndReason::Complete,
    EndReason::ClientLeft,
    EndReason::UpstreamCut,
    EndReason::UpstreamError,
    EndReason::Timeout,
    EndReason::Shutdown,
];

/// Bytes of a stream after which each of these is known.
#[derive(Debug)]
struct Marks {
    /// Its API.
    begun: usize,
    /// The reason to finish.
    finished: usize,
    /// The last word of its API.
    last: usize,
    /// The error in it.
    failed: Option<usize>,
}

/// Returns texts that only the piece with the reason to finish has, and only the last one.
fn words(path: &str) -> (&'static str, &'static str) {
    match path {
        "/v1/chat/completions" => (r#""finish_reason":"tool_calls""#, "[DONE]"),
        "/v1/messages" => (r#""stop_reason":"tool_use""#, r#"{"type":"message_stop"}"#),
        "/v1/responses" => (
            r#"{"type":"response.incomplete""#,
            r#"{"type":"response.incomplete""#,
        ),
        "/v2/chat" => (r#"{"type":"message-end""#, r#"{"type":"message-end""#),
        "/api/chat" => (r#""done":true"#, r#""done":true"#),
        "/model/m/converse-stream" => ("messageStop", "metadata"),
        _ => (r#""finishReason""#, r#""finishReason""#),
    }
}

/// Returns the end of each piece: of its JSON in text, of the frame in frames.
fn pieces(streamed: &Streamed) -> Vec<usize> {
    let bytes = &streamed.stream;
    if streamed.content_type.contains("amazon") {
        let mut ends = vec![];
        let mut at = 0;
        while let Some(length) = bytes.get(at..at + 4) {
            at += u32::from_be_bytes(length.try_into().unwrap()) as usize;
            ends.push(at);
        }
        return ends;
    }
    let feeds = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends = feeds.map(|(at, _)| at).chain([bytes.len()]);
    let starts = |at: &usize| matches!(bytes[..*at].last(), Some(b'}' | b']'));
    ends.filter(starts).collect()
}

/// Returns the end of the piece that has `word`.
fn end_of(streamed: &Streamed, word: &str) -> usize {
    let at = memchr::memmem::find(&streamed.stream, word.as_bytes()).unwrap();
    let mut ends = pieces(streamed).into_iter();
    ends.find(|end| *end > at).unwrap()
}

fn marks(streamed: &Streamed) -> Marks {
    let (finish, last) = words(streamed.path);
    Marks {
        begun: pieces(streamed)[0],
        finished: end_of(streamed, finish),
        last: end_of(streamed, last),
        failed: None,
    }
}

/// Inserts an error after the first piece, in the stream's framing. Returns its end.
fn fail(streamed: &mut Streamed) -> usize {
    let first = pieces(streamed)[0];
    let (error, at, back) = match streamed.content_type {
        "text/event-stream" => {
            let error = br#"data: {"error":{"type":"overloaded_error","message":"busy"}}"#;
            ([error, &b"\n\n"[..]].concat(), first + 2, 2)
        }
        "application/x-ndjson" => (b"{\"error\":\"busy\"}\n".to_vec(), first + 1, 1),
        _ => {
            let headers = [(":exception-type", "throttlingException")];
            (frame_of(&headers, br#"{"message":"busy"}"#), first, 0)
        }
    };
    let end = at + error.len() - back;
    streamed.stream.splice(at..at, error);
    end
}

/// The table of `docs/formats.md`.
fn expected(kept: usize, marks: &Marks, end: EndReason) -> EndReason {
    if marks.failed.is_some_and(|failed| kept >= failed) {
        return EndReason::InBandError;
    }
    match end {
        _ if kept >= marks.last => EndReason::Complete,
        EndReason::Complete if kept >= marks.begun && kept < marks.finished => {
            EndReason::Incomplete
        }
        end => end,
    }
}

fn check(streamed: &Streamed, kept: usize, marks: &Marks, end: EndReason) {
    let exchange = streamed
        .exchange(body(&[&streamed.stream[..kept]]))
        .with(|exchange| exchange.outcome.end = end);
    let decoded = Decoded::of(&exchange);
    let expect = expected(kept, marks, end);
    let about = format!("{} at {kept} of {marks:?}, {end:?}", streamed.path);
    assert_eq!(
        decoded.root("offpath.end_reason"),
        expect.as_str(),
        "{about}"
    );
    let fine = matches!(expect, EndReason::Complete | EndReason::ClientLeft);
    for span in &decoded.trace.spans {
        assert_eq!(span.status == Status::Ok, fine, "{about}");
        let error = show(span, "error.type");
        assert_eq!(error, if fine { "-" } else { expect.as_str() }, "{about}");
    }
}

proptest! {
    #[test]
    fn how_a_stream_ended_follows_from_its_last_word_its_errors_and_its_transport(
        stream in any::<Index>(),
        kept in any::<Index>(),
        end in any::<Index>(),
        fails in any::<bool>(),
    ) {
        let mut streams = streams();
        let mut streamed = streams.swap_remove(stream.index(streams.len()));
        let failed = fails.then(|| fail(&mut streamed));
        let marks = Marks { failed, ..marks(&streamed) };
        let kept = kept.index(streamed.stream.len()) + 1;
        check(&streamed, kept, &marks, ENDS[end.index(ENDS.len())]);
    }
}

#[test]
fn every_end_around_every_mark_of_a_stream_is_as_the_table_has_it() {
    for mut streamed in streams() {
        for fails in [false, true] {
            let failed = fails.then(|| fail(&mut streamed));
            let marks = Marks {
                failed,
                ..marks(&streamed)
            };
            let words = [marks.begun, marks.finished, marks.last];
            let words = words.into_iter().chain(failed);
            let beside = words.flat_map(|at| [at - 1, at, at + 1]);
            for kept in beside.filter(|at| *at <= streamed.stream.len()) {
                ENDS.iter()
                    .for_each(|end| check(&streamed, kept, &marks, *end));
            }
        }
    }
}
