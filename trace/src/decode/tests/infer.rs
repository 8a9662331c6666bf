//! Classic model servers beside MLflow's own: the Open Inference Protocol and gRPC.

use super::*;

const IN: &str = "mlflow.spanInputs";
const OUT: &str = "mlflow.spanOutputs";

const HEAD: &str = r#"{"id":"7","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},{"name":"words","shape":[1],"datatype":"BYTES","data":["a"]}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}"#;

#[test]
fn tensors_are_named_and_measured() {
    let answer = r#"{"model_name":"iris","model_version":"2","outputs":[{"name":"y","shape":[2],"datatype":"INT64","data":[0,1]}]}"#;
    let decoded = Decoded::of(&exchange("/v2/models/iris/infer", HEAD, answer));
    assert_eq!(decoded.trace.spans[1].name, "infer iris");
    decoded.check_root(&[
        (IN, HEAD),
        (OUT, answer),
        ("offpath.input.format", "open_inference"),
        ("offpath.input.columns", "x,words"),
        ("offpath.input.types", "FP32,BYTES"),
        ("offpath.input.shape", "[[1,2],[1]]"),
        ("offpath.output.columns", "y"),
        ("offpath.output.shape", "[[2]]"),
        ("offpath.model.name", "iris"),
        ("offpath.model.version", "2"),
    ]);
    decoded.check_upstream(&[("mlflow.spanType", "TASK")]);
}

fn binary(body_bytes: &[u8]) -> Exchange {
    exchange("/v2/models/iris/infer", "", "{}")
        .request_header("content-type", "application/octet-stream")
        .request_header("inference-header-content-length", &HEAD.len().to_string())
        .with(|exchange| exchange.request.body = body(&[body_bytes]))
}

#[test]
fn tensors_after_the_json_are_told_by_size_and_hash() {
    let whole = [HEAD.as_bytes(), &[0, 0, 128, 63, 0, 0, 0, 64]].concat();
    let decoded = Decoded::of(&binary(&whole));
    let about = r#","offpath.binary":{"bytes":8,"sha256":"5f6f1e8a"#;
    let inputs = decoded.root(IN);
    assert!(
        inputs.starts_with(HEAD.strip_suffix('}').unwrap()),
        "{inputs}"
    );
    assert!(inputs.contains(&about[..32]), "{inputs}");
    assert!(serde_json::from_str::<serde_json::Value>(&inputs).is_ok());
    decoded.check_root(&[
        ("offpath.input.format", "open_inference_binary"),
        ("offpath.input.shape", "[[1,2],[1]]"),
    ]);
    assert_eq!(decoded.defects, []);
    let cut = binary(&[]).with(|exchange| exchange.request.body = cut_body(&whole, HEAD.len() + 3));
    let cut = Decoded::of(&cut);
    assert!(cut.root(IN).contains("\"truncated\":true"));
    assert_eq!(cut.root("offpath.input.columns"), "x,words");
    let cut = binary(&[]).with(|exchange| exchange.request.body = cut_body(&whole, 20));
    assert!(Decoded::of(&cut).root(IN).contains("offpath.body"));
}

#[test]
fn an_object_without_members_gets_one_that_tells_of_the_bytes_after_it() {
    for head in ["{}", "{ \n}", "{} "] {
        let whole = [head.as_bytes(), b"\x0c\n{\r"].concat();
        let request = exchange("/v2/models/iris/infer", "", "{}")
            .request_header("content-type", "application/octet-stream")
            .request_header("inference-header-content-length", &head.len().to_string())
            .with(|exchange| exchange.request.body = body(&[&whole]));
        let inputs = Decoded::of(&request).root(IN);
        let read = serde_json::from_str::<serde_json::Value>(&inputs);
        assert_eq!(read.unwrap()["offpath.binary"]["bytes"], 4, "{inputs}");
    }
}

fn message(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    [&[0], &len.to_be_bytes()[..], payload].concat()
}

fn grpc(status: &str, trailers: &[(&str, &str)]) -> Exchange {
    let sent = message(b"\x08\x01");
    let received = [message(b"abc"), message(b"")].concat();
    exchange("/inference.GRPCInferenceService/ModelInfer", "", "")
        .request_header("content-type", "application/grpc")
        .response_header("content-type", "application/grpc+proto")
        .response_body(body(&[&received]))
        .with(|exchange| {
            exchange.request.body = body(&[&sent]);
            let mut fields = headers(trailers);
            fields.extend([("grpc-status", status)]);
            exchange.response.as_mut().unwrap().trailers = Some(fields);
        })
}

#[test]
fn calls_are_named_counted_and_judged_by_their_trailers() {
    let decoded = Decoded::of(&grpc("0", &[]));
    assert_eq!(
        decoded.trace.spans[1].name,
        "inference.GRPCInferenceService/ModelInfer"
    );
    decoded.check_root(&[
        (IN, r#"{"offpath.grpc":{"messages":1,"message_bytes":[2],"compressed":0,"bytes":7}}"#),
        (OUT, r#"{"offpath.grpc":{"messages":2,"message_bytes":[3,0],"compressed":0,"bytes":13,"status":"OK"}}"#),
        ("rpc.service", "inference.GRPCInferenceService"),
        ("rpc.method", "ModelInfer"),
        ("rpc.response.status_code", "OK"),
        ("offpath.end_reason", "complete"),
    ]);
    let failed = Decoded::of(&grpc("14", &[("grpc-message", "no model")]));
    failed.check_root(&[
        ("rpc.response.status_code", "UNAVAILABLE"),
        ("offpath.end_reason", "in_band_error"),
    ]);
    let status = format!("{:?}", failed.trace.spans[0].status);
    assert!(status.contains("UNAVAILABLE: no model"), "{status}");
    let silent = grpc("0", &[]).with(|exchange| {
        exchange.response.as_mut().unwrap().trailers = None;
    });
    assert_eq!(
        Decoded::of(&silent).root("offpath.end_reason"),
        "incomplete"
    );
}

#[test]
fn a_torn_message_is_counted_and_said_to_be_torn() {
    let torn = grpc("0", &[]).response_body(body(&[&message(b"abcdef")[..8]]));
    let shown = Decoded::of(&torn).root(OUT);
    assert!(
        shown.contains(r#""messages":1,"message_bytes":[6]"#),
        "{shown}"
    );
    assert!(shown.contains(r#""truncated":true"#), "{shown}");
}

#[test]
fn tensors_are_told_by_their_numbers_where_the_route_wants_it() {
    let whole = [HEAD.as_bytes(), &[0, 0, 128, 63, 0, 0, 0, 64]].concat();
    let answer = r#"{"outputs":[{"name":"y","shape":[2],"datatype":"INT64","data":[[0],[4]]}]}"#;
    let asked = binary(&whole)
        .response_body(body(&[answer.as_bytes()]))
        .plan(|plan| plan.statistics = true);
    Decoded::of(&asked).check_root(&[
        (
            "offpath.input.statistics",
            r#"[{"name":"x","count":2,"nulls":0,"min":1,"max":2,"mean":1.5},{"name":"words","count":1,"nulls":0}]"#,
        ),
        (
            "offpath.output.statistics",
            r#"[{"name":"y","count":2,"nulls":0,"min":0,"max":4,"mean":2}]"#,
        ),
    ]);
}

/// One binary tensor, by its numbers.
#[track_caller]
fn check_numbers(kind: &str, values: &[u8], expect: &str) {
    let size = values.len();
    let head = format!(
        r#"{{"inputs":[{{"name":"x","shape":[1],"datatype":"{kind}","parameters":{{"binary_data_size":{size}}}}}]}}"#
    );
    let asked = exchange("/v2/models/iris/infer", "", "{}")
        .request_header("inference-header-content-length", &head.len().to_string())
        .with(|exchange| exchange.request.body = body(&[head.as_bytes(), values]))
        .plan(|plan| plan.statistics = true);
    let told = Decoded::of(&asked).root("offpath.input.statistics");
    assert_eq!(told, format!(r#"[{{"name":"x",{expect}}}]"#), "{kind}");
}

#[test]
fn halves_truths_and_strings_are_counted_as_what_they_are() {
    // 0.5, and the largest.
    check_numbers(
        "FP16",
        &[0x00, 0x38, 0xff, 0x7b],
        r#""count":2,"nulls":0,"min":0.5,"max":65504,"mean":32752.25"#,
    );
    // -2^-14 and -2^-15: the last with an exponent, and one without.
    check_numbers(
        "FP16",
        &[0x00, 0x84, 0x00, 0x82],
        r#""count":2,"nulls":0,"min":-0.00006103515625,"max":-0.000030517578125,"mean":-0.0000457763671875"#,
    );
    // Infinity, which no figure of JSON is, and what is no number.
    check_numbers("FP16", &[0x00, 0x7c], r#""count":1,"nulls":0"#);
    check_numbers("FP16", &[0x01, 0x7c], r#""count":1,"nulls":1"#);
    // 1 and -3.140625.
    check_numbers(
        "BF16",
        &[0x80, 0x3f, 0x49, 0xc0],
        r#""count":2,"nulls":0,"min":-3.140625,"max":1,"mean":-1.0703125"#,
    );
    check_numbers(
        "BOOL",
        &[1, 0],
        r#""count":2,"nulls":0,"min":0,"max":1,"mean":0.5"#,
    );
    check_numbers(
        "BYTES",
        b"\x02\0\0\0ab\0\0\0\0\x09\0\0\0torn",
        r#""count":2,"nulls":0"#,
    );
    let json = r#"{"inputs":[{"name":"x","shape":[2],"datatype":"BOOL","data":[true,false]}]}"#;
    let asked = exchange("/v2/models/iris/infer", json, "{}").plan(|plan| plan.statistics = true);
    Decoded::of(&asked).check_root(&[(
        "offpath.input.statistics",
        r#"[{"name":"x","count":2,"nulls":0,"min":0,"max":1,"mean":0.5}]"#,
    )]);
}

#[test]
fn a_refusal_is_told_in_whatever_words_it_comes() {
    for (path, kind, answer, words) in [
        (
            "/v2/models/i/infer",
            "application/json",
            r#"{"detail":"too many"}"#,
            "too many",
        ),
        (
            "/v1/models/i:predict",
            "application/json",
            r#"{"detail":"too many"}"#,
            "too many",
        ),
        (
            "/v2/models/i/infer",
            "application/json",
            r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required"}]}"#,
            "Field required",
        ),
        (
            "/slots",
            "application/json",
            r#"{"error":{"type":"busy","message":"no slot"}}"#,
            "busy: no slot",
        ),
        (
            "/invocations",
            "text/plain; charset=utf-8",
            "only text/csv\n",
            "only text/csv",
        ),
        (
            "/v2/models/i/infer",
            "text/plain",
            r#"{"error":"no such model"}"#,
            "no such model",
        ),
    ] {
        let refused = exchange(path, "{", answer)
            .request_header("content-type", "application/json")
            .response_header("content-type", kind)
            .with(|exchange| {
                exchange.response.as_mut().unwrap().status = StatusCode::TOO_MANY_REQUESTS;
            });
        let status = format!("{:?}", Decoded::of(&refused).trace.spans[0].status);
        let expect = format!("Error(\"HTTP 429 Too Many Requests: {words}\")");
        assert_eq!(status, expect, "{path} {answer}");
        let metadata = refused.plan(|plan| plan.level = Level::Metadata);
        let status = format!("{:?}", Decoded::of(&metadata).trace.spans[0].status);
        assert!(
            !status.contains(words.split(": ").last().unwrap()),
            "{status}"
        );
    }
}

#[test]
fn an_error_of_the_server_is_in_its_words() {
    let refused = exchange(
        "/v2/models/iris/infer",
        HEAD,
        r#"{"error":"model not ready"}"#,
    )
    .with(|exchange| {
        exchange.response.as_mut().unwrap().status = StatusCode::SERVICE_UNAVAILABLE;
    });
    let decoded = Decoded::of(&refused);
    assert_eq!(decoded.upstream("error.type"), "503");
    let status = format!("{:?}", decoded.trace.spans[0].status);
    assert!(status.contains("model not ready"), "{status}");
}
