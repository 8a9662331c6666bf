//! What the content keeps, how much of it, and what the books say.

use std::time::Duration;

use http::StatusCode;
use offpath_config::Config;
use offpath_trace::{Chunk, Headers};

use super::*;
use crate::tests::stub::Stub;
use crate::tests::support::{Export, config, decode, eventually, exchange, metric};

fn rules() -> KeepContent {
    KeepContent {
        finish_reasons: vec!["length".into(), "content_filter".into()],
        stream_errors: true,
        grpc_errors: true,
        max_per_second: 1e6,
    }
}

fn origin() -> Instant {
    Instant::now()
}

fn undecided(export: &Export) -> Exchange {
    let mut exchange = exchange(&export.door.plan, 1, "{}".into());
    exchange.kept = None;
    exchange.weight = Some(50.0);
    exchange
}

/// An exchange to be judged, and its trace with one attribute more on the root.
fn judged(change: impl FnOnce(&mut Exchange, &mut Trace)) -> Option<KeptBecause> {
    let stub = Stub::willing();
    let mut exchange = undecided(&Export::open(&config(&stub)));
    let (mut trace, _) = decode(&exchange);
    change(&mut exchange, &mut trace);
    let judge = Judge::new(&rules(), origin()).unwrap();
    let taken = judge.take(&exchange, &trace, origin());
    assert!(taken.is_none_or(|(_, weight)| weight == Some(1.0)));
    taken.map(|(because, _)| because)
}

fn says(key: &'static str, value: impl Into<Value>) -> Option<KeptBecause> {
    let value = value.into();
    judged(|_, trace| trace.spans[0].attributes.push((key.into(), value)))
}

#[test]
fn each_rule_keeps_what_it_names() {
    let reasons = |list: &[&'static str]| {
        let texts = list.iter().map(|reason| (*reason).into()).collect();
        says("gen_ai.response.finish_reasons", Value::Texts(texts))
    };
    assert_eq!(reasons(&["stop"]), None);
    assert_eq!(reasons(&[]), None);
    let stopped = Some(KeptBecause::FinishReason);
    assert_eq!(reasons(&["stop", "length"]), stopped);
    let ended = |reason: EndReason| says("offpath.end_reason", reason.as_str());
    assert_eq!(ended(EndReason::Complete), None);
    assert_eq!(ended(EndReason::UpstreamCut), None);
    let broken = Some(KeptBecause::StreamError);
    assert_eq!(ended(EndReason::InBandError), broken);
    assert_eq!(ended(EndReason::Incomplete), broken);
}

/// Why an answer of status 200 is kept, by what it says.
fn kept_for(path: &str, kind: &'static str, answer: &'static str) -> Option<KeptBecause> {
    judged(|exchange, trace| {
        exchange.request.uri = path.parse().unwrap();
        let response = exchange.response.as_mut().unwrap();
        response.status = StatusCode::OK;
        response.headers = Headers::from_iter([("content-type", kind)]);
        response.body.bytes = answer.len() as u64;
        response.body.chunks = vec![Chunk {
            at: Duration::ZERO,
            bytes: answer.into(),
        }];
        *trace = offpath_trace::decode(exchange).0;
    })
}

#[test]
fn an_error_within_an_answer_is_kept_in_whatever_words_it_comes() {
    const JSON: &str = "application/json";
    const EVENTS: &str = "text/event-stream";
    const CHAT: &str = "/v1/chat/completions";

    let broken = Some(KeptBecause::StreamError);
    for (path, kind, answer) in [
        (
            CHAT,
            JSON,
            r#"{"object":"error","message":"busy","code":503}"#,
        ),
        (
            CHAT,
            EVENTS,
            "data: {\"object\":\"error\",\"message\":\"busy\"}\n\ndata: [DONE]\n\n",
        ),
        (
            CHAT,
            JSON,
            r#"{"choices":[{"error":{"message":"busy"},"finish_reason":"error"}]}"#,
        ),
        (
            CHAT,
            EVENTS,
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n",
        ),
        (CHAT, EVENTS, r#"{"error":{"message":"busy"}}"#),
        (
            CHAT,
            EVENTS,
            "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n",
        ),
        (
            "/v1/responses/r",
            JSON,
            r#"{"object":"response","status":"failed"}"#,
        ),
        (
            "/mcp",
            JSON,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}"#,
        ),
        (
            "/mcp",
            JSON,
            r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#,
        ),
        ("/run", EVENTS, "event: error\ndata: it broke\n\n"),
    ] {
        assert_eq!(kept_for(path, kind, answer), broken, "{answer}");
    }
    for (path, kind, answer) in [
        (CHAT, JSON, r#"{"error":null,"choices":[]}"#),
        (
            CHAT,
            EVENTS,
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        ),
        (
            "/generate_stream",
            EVENTS,
            "data: {\"text_output\":\"whole\"}\n\n",
        ),
        ("/score", JSON, r#"{"error":0.12}"#),
    ] {
        assert_eq!(kept_for(path, kind, answer), None, "{answer}");
    }
}

#[track_caller]
fn check_grpc(kind: &'static str, head: Option<&str>, trailer: Option<&str>, error: bool) {
    let map = |status| Headers::from_iter([("grpc-status", status)]);
    let because = judged(|exchange, _| {
        let response = exchange.response.as_mut().unwrap();
        response.status = StatusCode::OK;
        response.headers = head.map(map).unwrap_or_default();
        response.headers.extend([("content-type", kind)]);
        response.trailers = trailer.map(map);
    });
    let expect = error.then_some(KeptBecause::GrpcError);
    assert_eq!(because, expect, "{kind} {head:?} {trailer:?}");
}

#[test]
fn a_grpc_response_fails_by_its_status_or_without_one() {
    check_grpc("application/grpc", None, Some("0"), false);
    check_grpc("application/grpc", None, Some("14"), true);
    check_grpc("application/grpc", Some("5"), None, true);
    check_grpc("application/grpc+proto", None, None, true);
    check_grpc("application/grpc-web", None, None, false);
    check_grpc("application/json", None, None, false);
}

#[test]
fn past_the_cap_nothing_is_taken_and_what_was_kept_stays_as_it_was() {
    let stub = Stub::willing();
    let mut exchange = undecided(&Export::open(&config(&stub)));
    let (mut trace, _) = decode(&exchange);
    let end = ("offpath.end_reason".into(), "incomplete".into());
    trace.spans[0].attributes.push(end);
    let rules = KeepContent {
        max_per_second: 2.0,
        ..rules()
    };
    let now = origin();
    let judge = Judge::new(&rules, now).unwrap();
    let taken = judge.take(&exchange, &trace, now);
    assert_eq!(taken, Some((KeptBecause::StreamError, Some(1.0))));
    exchange.kept = Some(KeptBecause::Ratio);
    let taken = judge.take(&exchange, &trace, now);
    assert_eq!(taken, Some((KeptBecause::Ratio, Some(1.0))));
    assert_eq!(judge.take(&exchange, &trace, now), None);
    exchange.weight = None;
    let later = now + std::time::Duration::from_secs(1);
    let taken = judge.take(&exchange, &trace, later);
    assert_eq!(taken, Some((KeptBecause::Ratio, None)));
}

/// A configuration whose route keeps what stopped for its length.
fn keeping(stub: &Stub) -> Config {
    let mut config = config(stub);
    config.routes[0].sampling.ratio = 0.0;
    config.routes[0].sampling.keep_content = KeepContent {
        finish_reasons: vec!["length".into()],
        ..KeepContent::default()
    };
    config
}

fn decision(export: &Export, decision: &str) -> f64 {
    export.metric(&format!(
        "offpath_exchanges_total{{decision=\"{decision}\",route=\"r\"}}"
    ))
}

#[test]
fn the_undecided_are_kept_or_not_and_pending_only_once_they_are_kept() {
    let stub = Stub::willing();
    let export = Export::open_with(&keeping(&stub), |exchange| {
        let (mut trace, defects) = decode(exchange);
        let reason = if exchange.request.body.bytes > 5 {
            "length"
        } else {
            "stop"
        };
        let reasons = Value::Texts(vec![reason.into()]);
        trace.spans[0]
            .attributes
            .push(("gen_ai.response.finish_reasons".into(), reasons));
        (trace, defects)
    });
    for body in ["{}", "{\"long\":1}", "{}"] {
        let mut exchange = undecided(&export);
        exchange.request.body.bytes = body.len() as u64;
        export.handle.offer(exchange);
    }
    let sinks = export.wait(|sinks| sinks[0].exported == 1);
    assert_eq!(sinks[0].kept, 1);
    eventually(|| decision(&export, "not_kept") == 2.0);
    assert_eq!(decision(&export, "kept"), 1.0);
    let kept = "offpath_kept_total{because=\"finish_reason\",route=\"r\"}";
    assert_eq!(export.metric(kept), 1.0);
}

#[test]
fn what_is_lost_before_it_is_decided_is_counted_apart() {
    let stub = Stub::willing();
    let mut config = keeping(&stub);
    config.export.queue.max_bytes = 10;
    let export = Export::open(&config);
    export.handle.offer(undecided(&export));
    assert_eq!(decision(&export, "undecided_dropped"), 1.0);
    let sinks = export.wait(|_| true);
    assert_eq!((sinks[0].kept, sinks[0].dropped.len()), (0, 0));
    let export = Export::open_with(&keeping(&stub), |_| panic!("a bug"));
    export.handle.offer(undecided(&export));
    eventually(|| decision(&export, "undecided_dropped") == 1.0);
    let (late, handle) = (undecided(&export), export.handle.clone());
    drop(export.pipeline);
    handle.offer(late);
    let status = handle.status();
    assert_eq!((status.routes[0].kept, status.queue.traces), (0, 0));
    let lost = "offpath_exchanges_total{decision=\"undecided_dropped\",route=\"r\"}";
    assert_eq!(metric(&export.registry, lost), 2.0);
}

#[test]
fn who_left_before_the_answer_was_whole_is_kept_and_who_left_after_it_is_released() {
    let stub = Stub::willing();
    let mut config = config(&stub);
    config.routes[0].sampling.keep.client_left = true;
    let export = Export::open_with(&config, |exchange| {
        let (mut trace, defects) = decode(exchange);
        let whole = exchange.request.body.bytes == 2;
        let end = if whole { "complete" } else { "client_left" };
        let end = ("offpath.end_reason".into(), end.into());
        trace.spans[0].attributes.push(end);
        (trace, defects)
    });
    for (bytes, kept) in [
        (2, None),
        (9, None),
        (2, Some(KeptBecause::Ratio)),
        (9, Some(KeptBecause::Ratio)),
    ] {
        let mut exchange = undecided(&export);
        exchange.request.body.bytes = bytes;
        exchange.kept = kept;
        exchange.kept_if_left = true;
        export.handle.offer(exchange);
    }
    let sinks = export.wait(|sinks| sinks[0].exported == 3);
    assert_eq!((sinks[0].kept, sinks[0].dropped.len()), (3, 0));
    eventually(|| decision(&export, "not_kept") == 1.0);
    let kept = |because| {
        export.metric(&format!(
            "offpath_kept_total{{because=\"{because}\",route=\"r\"}}"
        ))
    };
    assert_eq!((kept("client_left"), kept("ratio")), (1.0, 2.0));
}

#[test]
fn a_client_that_left_weighs_one_and_one_that_had_its_answer_what_it_weighed() {
    let stub = Stub::willing();
    let export = Export::open(&config(&stub));
    let weight = |end: EndReason, kept, if_left| {
        let mut exchange = undecided(&export);
        (exchange.kept, exchange.kept_if_left) = (kept, if_left);
        let (mut trace, _) = decode(&exchange);
        let end = ("offpath.end_reason".into(), end.as_str().into());
        trace.spans[0].attributes.push(end);
        kept_as_left(&exchange, &trace)
    };
    let (left, ratio) = (EndReason::ClientLeft, Some(KeptBecause::Ratio));
    let certain = |because| Some((because, Some(1.0)));
    assert_eq!(weight(left, None, true), certain(KeptBecause::ClientLeft));
    assert_eq!(weight(left, ratio, true), certain(KeptBecause::Ratio));
    assert_eq!(weight(left, ratio, false), None);
    assert_eq!(weight(EndReason::Complete, ratio, true), None);
    assert_eq!(weight(EndReason::Complete, None, true), None);
}
