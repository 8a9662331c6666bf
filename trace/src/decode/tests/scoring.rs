use super::*;

/// Each row: the body, then format, shape, columns and types.
#[track_caller]
fn check(body: &str, expect: [&str; 4]) {
    check_exchange(
        exchange("/invocations", body, "").request_header("content-type", "application/json"),
        "input",
        expect,
    );
}

#[track_caller]
fn check_exchange(exchange: Exchange, side: &str, expect: [&str; 4]) {
    let decoded = Decoded::of(&exchange);
    for (part, expect) in ["format", "shape", "columns", "types"].iter().zip(expect) {
        let key = format!("offpath.{side}.{part}");
        assert_eq!(decoded.root(&key), expect, "{key}");
        assert_eq!(decoded.upstream(&key), expect, "{key}");
    }
    decoded.check_upstream(&[("mlflow.spanType", "TASK"), ("mlflow.spanInputs", "-")]);
}

#[test]
fn frames_are_measured_whatever_they_are_written_in() {
    check(
        r#"{"dataframe_split": {"index": [0, 1], "columns": ["a", "b", 3], "data": [[1, "x", null], [2.5, "y", true]]}}"#,
        ["dataframe_split", "[2,3]", "a,b,3", "double,string,boolean"],
    );
    check(
        r#"{"dataframe_split": {"data": [[1, 2]]}, "params": {}}"#,
        ["dataframe_split", "[1,2]", "-", "long,long"],
    );
    check(
        r#"{"dataframe_records": [{"a": 1, "b": "2024-01-01"}, {"a": null, "c": [1]}]}"#,
        ["dataframe_records", "[2,3]", "a,b,c", "long,datetime,array"],
    );
    check(
        r#"{"dataframe_records": []}"#,
        ["dataframe_records", "[0]", "-", "-"],
    );
    check(
        r#"{"instances": [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 1, 2]]]}"#,
        ["instances", "[2,2,3]", "-", "array,array"],
    );
    check(
        r#"{"instances": ["a", "b", "c"]}"#,
        ["instances", "[3]", "-", "string"],
    );
    check(
        r#"{"instances": [{"x": 1}]}"#,
        ["instances", "[1,1]", "x", "long"],
    );
    check(
        r#"{"inputs": {"a": [1, 2, 3], "b\n": [true, false, null]}}"#,
        ["inputs", "[3,2]", "a,b\n", "long,boolean"],
    );
    check(
        r#"{"inputs": {"question": "why"}}"#,
        ["inputs", "[1,1]", "question", "string"],
    );
    check(r#"{"inputs": "text"}"#, ["inputs", "-", "-", "-"]);
    check(r#"{"prompt": "something else"}"#, ["-"; 4]);
}

#[test]
fn csv_is_measured_with_its_quotes() {
    let csv = "id,\"na,me\",when\r\n1,\"a\nb\",2024-05-01\r\n,\"say \"\"hi\"\"\",\n3,,2024-05-02";
    let exchange = exchange("/invocations", csv, "").request_header("content-type", "text/csv");
    check_exchange(
        exchange,
        "input",
        ["csv", "[3,3]", "id,na,me,when", "long,string,datetime"],
    );
}

#[test]
fn predictions_are_measured() {
    let check = |response: &str, expect| {
        let exchange = exchange("/invocations", r#"{"inputs":[1]}"#, response)
            .response_header("content-type", "application/json");
        check_exchange(exchange, "output", expect);
    };
    check(
        r#"{"predictions": [0.5, 1]}"#,
        ["predictions", "[2]", "-", "double"],
    );
    check(
        r#"{"predictions": [{"a": 1}, {"a": 2}]}"#,
        ["predictions", "[2,1]", "a", "long"],
    );
    check(
        r#"{"predictions": {"a": [1, 2], "b": [1, 2]}}"#,
        ["predictions", "[2,2]", "a,b", "long,long"],
    );
    check("[1, 2, 3]", ["predictions", "[3]", "-", "long"]);
    check(r#"{"error_code": "BAD_REQUEST"}"#, ["-"; 4]);
}

#[test]
fn a_cut_frame_tells_what_came_before_the_cut() {
    let frame = r#"{"dataframe_split":{"index":[0,1,2,3],"columns":["a","b"],"data":[[1,2],[3,4],[5,6],[7,8]]}}"#;
    let cut = exchange("/invocations", "", "")
        .request_header("content-type", "application/json")
        .with(|exchange| exchange.request.body = cut_body(frame.as_bytes(), frame.len() - 20));
    let decoded = Decoded::of(&cut);
    assert_eq!(decoded.root("offpath.input.shape"), "[4,2]");
    let inputs: serde_json::Value =
        serde_json::from_str(&decoded.root("mlflow.spanInputs")).unwrap();
    let inputs = &inputs["offpath.body"];
    assert_eq!(inputs["columns"], serde_json::json!(["a", "b"]));
    assert_eq!(inputs["shape"], serde_json::json!([4, 2]));
    assert_eq!(inputs["text"], frame[..frame.len() - 20]);
}

#[test]
fn missing_values_as_python_writes_them_are_read() {
    let decoded = Decoded::of(
        &exchange(
            "/invocations",
            r#"{"instances":[[1.5,NaN],[-Infinity,2]]}"#,
            "",
        )
        .request_header("content-type", "application/json"),
    );
    assert_eq!(decoded.root("offpath.input.shape"), "[2,2]");
    assert_eq!(decoded.defects, [Defect::NonFiniteNumber]);
}

#[test]
fn names_of_columns_are_bounded() {
    let names: Vec<String> = (0..5000)
        .map(|n| format!("\"column number {n}\""))
        .collect();
    let body = format!(
        r#"{{"dataframe_split":{{"columns":[{}],"data":[]}}}}"#,
        names.join(",")
    );
    let decoded = Decoded::of(
        &exchange("/invocations", &body, "").request_header("content-type", "application/json"),
    );
    assert_eq!(decoded.root("offpath.input.shape"), "[0,5000]");
    assert_eq!(
        decoded.root("offpath.input.columns").split(',').count(),
        256
    );
}

#[test]
fn metadata_keeps_shapes_and_no_cells() {
    let body = r#"{"dataframe_records":[{"name":"sesame"}]}"#;
    let decoded = Decoded::of(
        &exchange("/invocations", body, r#"{"predictions":["sesame"]}"#)
            .plan(|plan| plan.level = Level::Metadata),
    );
    assert_eq!(decoded.root("offpath.input.columns"), "name");
    assert_eq!(decoded.root("offpath.output.shape"), "[1]");
    assert!(!format!("{:?}", decoded.trace).contains("sesame"));
}

#[test]
fn the_protocol_of_kserve_is_not_taken_for_a_frame() {
    let body = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
    let decoded = Decoded::of(&exchange("/v2/models/m/infer", body, "{}"));
    assert_eq!(decoded.root("offpath.input.format"), "open_inference");
}

#[test]
fn columns_are_told_by_their_numbers_where_the_route_wants_it() {
    let split = r#"{"dataframe_split":{"columns":["a","b"],"data":[[1,"x"],[null,"y"],[2.5,null],[NaN,"z"]]}}"#;
    let like = r#"[{"name":"a","count":4,"nulls":2,"min":1,"max":2.5,"mean":1.75},{"name":"b","count":4,"nulls":1}]"#;
    for (content_type, body, expect) in [
        ("application/json", split, like),
        (
            "application/json",
            r#"{"dataframe_records":[{"a":1,"b":"x"},{"b":null},{"b":"z","a":3}]}"#,
            r#"[{"name":"a","count":2,"nulls":0,"min":1,"max":3,"mean":2},{"name":"b","count":3,"nulls":1}]"#,
        ),
        (
            "application/json",
            r#"{"inputs":{"a":[1,-1]}}"#,
            r#"[{"name":"a","count":2,"nulls":0,"min":-1,"max":1,"mean":0}]"#,
        ),
        (
            "application/json",
            r#"{"instances":[[[1,2],[3,4]],[[5,6],[7,8]]]}"#,
            r#"[{"count":4,"nulls":0,"min":1,"max":6,"mean":3.5},{"count":4,"nulls":0,"min":3,"max":8,"mean":5.5}]"#,
        ),
        (
            "text/csv",
            "a,b\n1,x\n,y\n3,z\n",
            r#"[{"name":"a","count":3,"nulls":1,"min":1,"max":3,"mean":2},{"name":"b","count":3,"nulls":0}]"#,
        ),
    ] {
        let asked = |statistics| {
            exchange("/invocations", body, r#"{"predictions":[1,2]}"#)
                .request_header("content-type", content_type)
                .plan(|plan| plan.statistics = statistics)
        };
        let decoded = Decoded::of(&asked(true));
        decoded.check_root(&[
            ("offpath.input.statistics", expect),
            (
                "offpath.output.statistics",
                r#"[{"count":2,"nulls":0,"min":1,"max":2,"mean":1.5}]"#,
            ),
        ]);
        let decoded = Decoded::of(&asked(false));
        decoded.check_root(&[("offpath.input.statistics", "-")]);
    }
}
