use super::*;

const JSON: &str = "application/json";
const IN: &str = "mlflow.spanInputs";
const OUT: &str = "mlflow.spanOutputs";

#[track_caller]
fn check(content_type: &str, body_bytes: &[u8], output: &str, defects: &[Defect]) {
    let decoded = Decoded::of(
        &exchange("/predict", "{}", "")
            .response_header("content-type", content_type)
            .response_body(body(&[body_bytes])),
    );
    assert_eq!(decoded.root(OUT), output);
    assert_eq!(decoded.defects, defects);
    assert_eq!(decoded.root("offpath.defects") == "-", defects.is_empty());
}

#[test]
fn a_body_is_shown_by_what_it_is() {
    check(JSON, br#" {"a": [1,  2]} "#, r#" {"a": [1,  2]} "#, &[]);
    check("application/problem+json; charset=utf-8", b"{}", "{}", &[]);
    check(
        "text/plain",
        br#"{"mislabelled":1}"#,
        r#"{"mislabelled":1}"#,
        &[],
    );
    check("text/plain", b"two\n\"lines\"", r#""two\n\"lines\"""#, &[]);
    check("text/plain", b"{not json", r#""{not json""#, &[]);
    check("application/x-ndjson", b"{}\n\n[1]\n", "[{},[1]]", &[]);
    check("application/x-ndjson", b"{}\n{\n", r#""{}\n{\n""#, &[]);
    check("", b"{\"a\":1}\n{\"a\":2}", r#"[{"a":1},{"a":2}]"#, &[]);
    check(JSON, b"\xef\xbb\xbf{}", "{}", &[]);
    check(JSON, b"", "-", &[]);
    check("text/event-stream", b"data: x\n\n", r#""data: x\n\n""#, &[]);
    check(
        "text/event-stream",
        b"event: tick\ndata: {\"n\":1}\n\ndata: end\n\n",
        r#"[{"event":"tick","data":{"n":1}},{"data":"end"}]"#,
        &[],
    );
}

#[test]
fn a_broken_body_is_kept_as_text_and_said_to_be_broken() {
    check(JSON, b"{\"a\":", r#""{\"a\":""#, &[Defect::MalformedJson]);
    check(
        JSON,
        b"{} trailing",
        r#""{} trailing""#,
        &[Defect::MalformedJson],
    );
    check(
        "text/plain",
        b"caf\xe9",
        "\"caf\u{fffd}\"",
        &[Defect::InvalidUtf8],
    );
    check(
        JSON,
        br#"{"a":"\ud83d!"}"#,
        r#"{"a":"\ufffd!"}"#,
        &[Defect::LoneSurrogate],
    );
}

#[test]
fn what_would_choke_the_reader_is_text_in_an_object() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let long = "1".repeat(5000);
    for (content_type, text, defects) in [
        (JSON, &deep, vec![Defect::TooDeep]),
        (JSON, &long, vec![Defect::LongNumber]),
        ("text/plain", &deep, vec![Defect::TooDeep]),
        ("text/plain", &long, vec![]),
        ("text/csv", &long, vec![]),
    ] {
        let size = text.len();
        let output = format!(
            "{{\"offpath.body\":{{\"bytes\":{size},\"content_type\":\"{content_type}\",\"text\":\"{text}\"}}}}"
        );
        check(content_type, text.as_bytes(), &output, &defects);
    }
}

#[test]
fn what_is_not_text_is_named_by_its_hash() {
    check(
        "image/png",
        b"\x89PNG\0\x01",
        "{\"offpath.body\":{\"bytes\":6,\"content_type\":\"image/png\",\"sha256\":\
         \"09824c6bec844d272dd1a01cd876409dfaf7b650d0ec2fc2e88a1e6a8596f762\",\"sha256_of\":\"body\"}}",
        &[],
    );
    check(
        "application/x-www-form-urlencoded",
        b"user=a&password=b",
        "{\"offpath.body\":{\"bytes\":17,\"content_type\":\"application/x-www-form-urlencoded\",\
         \"content\":\"not captured\"}}",
        &[],
    );
}

#[test]
fn parts_are_named_and_measured_and_not_kept() {
    let upload = b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFFsecret\r\n--XX--\r\n";
    check(
        "multipart/form-data; boundary=XX",
        upload,
        r#"{"offpath.body":{"bytes":116,"content_type":"multipart/form-data; boundary=XX","parts":[{"bytes":10,"name":"file","filename":"a.wav","content_type":"audio/wav"}]}}"#,
        &[],
    );
}

#[test]
fn a_request_without_a_body_shows_what_it_asks_for() {
    let get = exchange("/models?limit=2&key=secret", "", "[]")
        .with(|exchange| exchange.request.method = Method::GET);
    let decoded = Decoded::of(&get);
    assert_eq!(
        decoded.root(IN),
        r#"{"method":"GET","path":"/models","query":"limit=2&key=[REDACTED]"}"#
    );
    assert_eq!(decoded.trace.spans[1].name, "GET /models");
    assert_eq!(decoded.root("mlflow.spanType"), "UNKNOWN");
}

#[test]
fn a_cut_body_is_an_object_in_place_of_itself() {
    let whole = "{\"text\":\"ééé\"}".as_bytes();
    let cut = exchange("/predict", "{}", "")
        .response_header("content-type", JSON)
        .response_body(cut_body(whole, 12));
    let decoded = Decoded::of(&cut);
    assert_eq!(
        decoded.root(OUT),
        "{\"offpath.body\":{\"truncated\":true,\"bytes\":17,\"kept_bytes\":11,\
         \"content_type\":\"application/json\",\"text\":\"{\\\"text\\\":\\\"é\"}}"
    );
    assert_eq!(decoded.defects, [Defect::BodyTruncated]);
}

#[test]
fn metadata_holds_no_content() {
    let secret = "sesame";
    let decoded = Decoded::of(
        &exchange("/x?q=sesame", r#"{"a":"sesame"}"#, "sesame")
            .plan(|plan| plan.level = Level::Metadata)
            .response_header("content-type", "text/plain"),
    );
    assert_eq!(
        decoded.root(OUT),
        r#"{"offpath.body":{"bytes":6,"content_type":"text/plain","content":"not captured"}}"#
    );
    assert!(!format!("{:?}", decoded.trace).contains(secret));
}

#[test]
fn an_api_that_is_kept_as_it_is_names_its_model() {
    let asked = |path: &str| {
        let decoded = Decoded::of(&exchange(path, r#"{"model":"m","query":"q"}"#, "{}"));
        ["gen_ai.request.model", "mlflow.llm.model"].map(|key| decoded.upstream(key))
    };
    assert_eq!(asked("/v2/rerank"), ["m", "m"]);
    assert_eq!(asked("/v1/cars"), ["-", "-"]);
}
