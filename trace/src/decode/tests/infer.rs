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
            fields.insert("grpc-status", status.parse().unwrap());
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
