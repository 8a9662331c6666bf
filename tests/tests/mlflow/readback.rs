//! Whatever a body or a header holds, MLflow gives the trace back, and its neighbours.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use offpath_tests::mlflow::Tracking;
use offpath_tests::{Collector, Gateway, Span, Upstream, Wire, eventually};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::{python, recording};

/// An API, as its path and bodies; each `@` is a place for a value.
struct Api {
    path: &'static str,
    request: &'static str,
    answer_type: &'static str,
    answer: &'static str,
}

const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";

const APIS: [Api; 18] = [
    Api {
        path: "/v1/chat/completions",
        request: r#"{"model":"gpt-4o","seed":@,"messages":[{"role":"user","content":"Hi","x":@}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","default":@}}}],"metadata":@}"#,
        answer_type: JSON,
        answer: r#"{"id":"c","model":"gpt-4o","choices":[{"index":0,"seed":@,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"x":@}}"#,
    },
    Api {
        path: "/v1/chat/completions",
        request: r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}],"logit_bias":@}"#,
        answer_type: SSE,
        answer: "data: {\"id\":\"c\",\"seed\":@,\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\",\"x\":@}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"logprobs\":@,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"x\":@}}\n\ndata: [DONE]\n\n",
    },
    Api {
        path: "/v1/responses",
        request: r#"{"model":"gpt-4o","input":[{"role":"user","content":"Hi"}],"metadata":{"k":@},"tools":[{"type":"function","name":"f","parameters":@}]}"#,
        answer_type: JSON,
        answer: r#"{"id":"r","object":"response","model":"gpt-4o","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hello","annotations":[@]}]}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5},"x":@}"#,
    },
    Api {
        path: "/v1/responses",
        request: r#"{"model":"gpt-4o","stream":true,"input":"Hi","text":@}"#,
        answer_type: SSE,
        answer: "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"m\",\"type\":\"message\",\"content\":[],\"x\":@}}\n\nevent: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"id\":\"m\",\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\",\"y\":@}]}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[{\"id\":\"m\",\"type\":\"message\",\"z\":@}],\"usage\":{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}\n\n",
    },
    Api {
        path: "/v1/messages",
        request: r#"{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"Hi","x":@}]}],"tools":[{"name":"f","input_schema":@}],"metadata":@}"#,
        answer_type: JSON,
        answer: r#"{"id":"m","type":"message","role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":@}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":2,"x":@}}"#,
    },
    Api {
        path: "/v1/messages",
        request: r#"{"model":"claude-sonnet-4-5","stream":true,"messages":[{"role":"user","content":"Hi"}],"thinking":@}"#,
        answer_type: SSE,
        answer: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"x\":@,\"usage\":{\"input_tokens\":3,\"y\":@}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":99999999999999999999}\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"z\":@},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    },
    Api {
        path: "/v1beta/models/gemini-2.5-pro:generateContent",
        request: r#"{"contents":[{"role":"user","parts":[{"text":"Hi"},{"functionResponse":{"name":"f","response":@}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":@}]}],"generationConfig":{"seed":@}}"#,
        answer_type: JSON,
        answer: r#"{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":@}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#,
    },
    Api {
        path: "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        request: r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"safetySettings":@}"#,
        answer_type: SSE,
        answer: "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":@}}]}}]}\n\ndata: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"x\"}]},\"finishReason\":\"STOP\",\"y\":@}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2,\"totalTokenCount\":5}}\n\n",
    },
    Api {
        path: "/model/anthropic.claude/converse",
        request: r#"{"messages":[{"role":"user","content":[{"text":"Hi"},{"toolResult":{"toolUseId":"t","content":[{"json":@}]}}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":@}}}]},"additionalModelRequestFields":@}"#,
        answer_type: JSON,
        answer: r#"{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"f","input":@}}]}},"stopReason":"tool_use","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#,
    },
    Api {
        path: "/v2/chat",
        request: r#"{"model":"command-r","messages":[{"role":"user","content":"Hi"}],"documents":[{"data":@}],"tools":[{"type":"function","function":{"name":"f","parameters":@}}]}"#,
        answer_type: JSON,
        answer: r#"{"id":"c","message":{"role":"assistant","content":[{"type":"text","text":"Hello"}],"citations":[@]},"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":3,"output_tokens":2},"x":@}}"#,
    },
    Api {
        path: "/api/chat",
        request: r#"{"model":"llama3","messages":[{"role":"user","content":"Hi"}],"format":@,"options":{"seed":@}}"#,
        answer_type: "application/x-ndjson",
        answer: "{\"model\":\"llama3\",\"message\":{\"role\":\"assistant\",\"content\":\"Hel\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":@}}]},\"done\":false}\n{\"model\":\"llama3\",\"message\":{\"role\":\"assistant\",\"content\":\"lo\"},\"done\":true,\"context\":@,\"prompt_eval_count\":3,\"eval_count\":2}\n",
    },
    Api {
        path: "/v1/completions",
        request: r#"{"model":"m","prompt":"Hi","seed":@,"suffix":@}"#,
        answer_type: JSON,
        answer: r#"{"id":"c","choices":[{"text":"Hello","index":0,"logprobs":@,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
    },
    Api {
        path: "/v1/embeddings",
        request: r#"{"model":"m","input":[[1,2,@]],"dimensions":@}"#,
        answer_type: JSON,
        answer: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-0.5,@]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
    },
    Api {
        path: "/invocations",
        request: r#"{"dataframe_split":{"columns":["user_id","x"],"data":[[1,0.5],[12345678901234567890,0.5],[@,2]]},"params":@}"#,
        answer_type: JSON,
        answer: r#"{"predictions":[1,2,@],"x":@}"#,
    },
    Api {
        path: "/v2/models/m/infer",
        request: r#"{"inputs":[{"name":"ids","shape":[2],"datatype":"UINT64","data":[18446744073709551615,@],"parameters":@}]}"#,
        answer_type: JSON,
        answer: r#"{"model_name":"m","outputs":[{"name":"y","shape":[1,2],"datatype":"UINT64","data":[[1,18446744073709551615],@]}]}"#,
    },
    Api {
        path: "/generic",
        request: "[@,@]",
        answer_type: JSON,
        answer: r#"{"a":{"b":[@,{"c":@}]}}"#,
    },
    Api {
        path: "/events",
        request: r#"{"x":@}"#,
        answer_type: SSE,
        answer: "event: a\ndata: @\n\ndata: {\"x\":[@]}\n\ndata: words\n\n",
    },
    Api {
        path: "/lines",
        request: r#"{"x":@}"#,
        answer_type: "application/x-ndjson",
        answer: "{\"x\":@}\n[@]\n{}\n",
    },
];

/// Header values that look like JSON, or nearly.
const WORDS: [&str; 14] = [
    "alice",
    "9223372036854775808",
    "[9223372036854775808]",
    "{\"a\":true,\"b\":-9223372036854775809}",
    "\"quoted\"",
    "\"half",
    "[[[[",
    "NaN",
    "1e400",
    "null",
    "{}",
    "[1, 2]",
    "\"\\ud83d\"",
    "\"[9223372036854775808]\"",
];

fn nested(open: &str, core: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + core + &close.repeat(depth)
}

fn integer(rng: &mut StdRng) -> String {
    let known = [
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "0",
        "-0",
    ];
    let digits = *[18, 19, 20, 30, 4000].choose(rng).unwrap();
    match rng.random_range(0..3) {
        0 => (*known.choose(rng).unwrap()).to_owned(),
        _ => {
            let sign = if rng.random() { "" } else { "-" };
            let first = rng.random_range(1..10);
            let rest = (1..digits).map(|_| char::from(rng.random_range(b'0'..=b'9')));
            format!("{sign}{first}{}", rest.collect::<String>())
        }
    }
}

fn float(rng: &mut StdRng) -> String {
    let known = [
        "1e400",
        "-1E-400",
        "1e30",
        "0.1234567890123456789",
        "12345678901234567890.5",
        "12345678901234567890e2",
        "NaN",
        "Infinity",
        "-Infinity",
    ];
    (*known.choose(rng).unwrap()).to_owned()
}

fn string(rng: &mut StdRng) -> String {
    let known = [
        r#""""#,
        r#""\ud83d""#,
        r#""\u0000\u0007\u2028""#,
        r#""[9223372036854775808]""#,
        r#""{\"a\":[[""#,
        r#""9223372036854775808""#,
        r#""mlflow-attachment://x?content_type=image%2Fpng&trace_id=tr-1""#,
        r#""data:image/png;base64,AAAA""#,
        "\"\u{1f600}\u{feff}\"",
    ];
    match rng.random_range(0..6) {
        0 => format!("\"{}\"", "long ".repeat(20_000)),
        _ => (*known.choose(rng).unwrap()).to_owned(),
    }
}

/// What MLflow's reader, or another, may trip over.
fn value(rng: &mut StdRng) -> String {
    match rng.random_range(0..9) {
        0 | 1 => integer(rng),
        2 => float(rng),
        3 => string(rng),
        4 => {
            let core = integer(rng);
            nested(r#"{"n":"#, &core, "}", rng.random_range(20..45))
        }
        5 => {
            let core = *["{}", "[]", "1", "null", "\"x\""].choose(rng).unwrap();
            nested("[", core, "]", rng.random_range(38..110))
        }
        6 => nested(r#"[{"k":"#, "1", "}]", rng.random_range(10..60)),
        7 => {
            let row = format!("[{},0.5,{}],", integer(rng), rng.random::<u32>());
            format!("[{}[1,2,3]]", row.repeat(rng.random_range(1..9)))
        }
        _ => {
            let key = *["", "\\u0000", "offpath.body", "9", "\\ud83d"]
                .choose(rng)
                .unwrap();
            let (one, other) = (integer(rng), float(rng));
            format!(
                r#"{{"{key}":{one},"{}":{other},"{key}":[]}}"#,
                "k".repeat(3000)
            )
        }
    }
}

/// A body with a value in each place for one.
fn filled(template: &str, rng: &mut StdRng) -> String {
    let mut pieces = template.split('@');
    let mut body = pieces.next().unwrap().to_owned();
    for piece in pieces {
        body += &value(rng);
        body += piece;
    }
    body
}

/// One exchange to be made.
struct Case {
    path: String,
    request: String,
    /// User, session, tenant, user agent.
    words: [String; 4],
    answer_type: &'static str,
    answer: String,
}

impl Case {
    fn random(api: &Api, rng: &mut StdRng) -> Self {
        let mut words = [(); 4].map(|()| (*WORDS.choose(rng).unwrap()).to_owned());
        if rng.random_range(0..4) == 0 {
            words[3] = nested("[", "", "]", rng.random_range(45..200));
            words[2] = nested("[", "", "]", rng.random_range(45..120));
        }
        let query = ["", "9223372036854775808", "[9223372036854775808]", "a=[[["];
        let query = query.choose(rng).unwrap();
        let mark = if api.path.contains('?') { "&" } else { "?" };
        Self {
            path: format!("{}{mark}{query}", api.path),
            request: filled(api.request, rng),
            words,
            answer_type: api.answer_type,
            answer: filled(api.answer, rng),
        }
    }

    /// A chat that asks with this value among its members; the answer repeats it.
    fn chat(value: &str) -> Self {
        let request = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"metadata":@}"#;
        let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"x":@}"#;
        Self {
            path: "/v1/chat/completions".to_owned(),
            request: request.replace('@', value),
            words: [(); 4].map(|()| "plain".to_owned()),
            answer_type: JSON,
            answer: answer.replace('@', value),
        }
    }

    fn sent(&self, index: usize) -> String {
        let [user, session, tenant, agent] = &self.words;
        format!(
            "POST {} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nx-case: {index}\r\n\
             x-user: {user}\r\nx-session: {session}\r\nx-tenant: {tenant}\r\nuser-agent: {agent}\r\n\
             content-length: {}\r\n\r\n{}",
            self.path,
            self.request.len(),
            self.request
        )
    }

    fn answered(&self) -> Vec<u8> {
        let (kind, length) = (self.answer_type, self.answer.len());
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), self.answer.as_bytes()].concat()
    }
}

/// Makes the exchanges through a gateway that records into this experiment and into a collector.
async fn record(cases: Vec<Case>, experiment: &str) -> (Collector, Gateway) {
    let cases = Arc::new(cases);
    let answers = Arc::clone(&cases);
    let upstream = Upstream::replying(move |request| {
        let case = request.head.field("x-case").unwrap();
        answers[case.parse::<usize>().unwrap()].answered()
    })
    .await;
    let collector = Collector::start().await;
    let also = json!({"type": "otlp", "endpoint": collector.endpoint(), "compression": "none"});
    let gateway = recording(upstream.url(), experiment)
        .set("export/sinks/also", also)
        .set("export/batch/max_traces", 20)
        .set("routes/0/sinks", json!(["mlflow", "also"]))
        .set("routes/0/trace/user", json!([{"header": "x-user"}]))
        .set("routes/0/trace/session", json!([{"header": "x-session"}]))
        .set(
            "routes/0/trace/tags",
            json!({"tenant": {"header": "x-tenant"}}),
        )
        .start()
        .await;
    let mut wire = Wire::connect(gateway.address()).await;
    for (index, case) in cases.iter().enumerate() {
        let (head, answer) = wire.exchange(case.sent(index)).await;
        assert_eq!(head.status(), 200, "{}", case.path);
        assert!(answer == case.answer.as_bytes(), "{}", case.path);
    }
    // One by one: the machine may be busy, but something has to go on.
    let mut exported = 0.0;
    while exported < 2.0 * cases.len() as f64 {
        exported = eventually("one more exported", async || {
            let metrics = gateway.metrics().await;
            let now = metrics.sum("offpath_traces_total", &["outcome=\"exported\""]);
            (now > exported).then_some(now)
        })
        .await;
    }
    (collector, gateway)
}

/// Reads all in MLflow's ways; which defects each trace's values took.
async fn read(collector: &Collector, experiment: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spans");
    write_spans(collector, &file);
    let uri = Tracking::server().uri();
    let carried = python("readback.py", &[uri, experiment, file.to_str().unwrap()]).await;
    serde_json::from_str(&carried).unwrap()
}

fn write_spans(collector: &Collector, file: &Path) {
    let mut lines = String::new();
    for trace in collector.traces() {
        let spans = std::iter::once(trace.root).chain(trace.call);
        for Span {
            trace_id,
            id,
            attributes,
            ..
        } in spans
        {
            let line = json!({"trace_id": trace_id, "id": id, "attributes": attributes});
            writeln!(lines, "{line}").unwrap();
        }
    }
    std::fs::write(file, lines).unwrap();
}

#[tokio::test]
async fn a_trace_is_read_back_whatever_its_values_are() {
    let seed =
        std::env::var("OFFPATH_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("OFFPATH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let rounds = (0..8).flat_map(|_| &APIS);
    let cases = rounds.map(|api| Case::random(api, &mut rng)).collect();
    let (collector, _gateway) = record(cases, "any values").await;
    read(&collector, "any values").await;
}

#[tokio::test]
async fn integers_beyond_64_bits_and_deep_nesting_are_read_back_as_text() {
    let thirty = "1".repeat(30);
    let five_thousand = "7".repeat(5000);
    let integers = [
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-9223372036854775809",
        "12339535536277766000",
        &thirty,
        &five_thousand,
    ];
    let depths = (28..=40)
        .chain([45])
        .chain(98..=130)
        .chain([200, 900, 5000]);
    let objects = depths
        .clone()
        .map(|depth| nested(r#"{"n":"#, "{}", "}", depth));
    let lists = depths.map(|depth| nested("[", "1", "]", depth));
    let values = integers.into_iter().map(str::to_owned);
    let values: Vec<String> = values.chain(objects).chain(lists).collect();
    let cases = values.iter().map(|value| Case::chat(value)).collect();
    let (collector, gateway) = record(cases, "known values").await;
    // Another kind of sink gets the bodies as they came.
    for (trace, value) in collector.traces().iter().zip(&values) {
        let sent = Case::chat(value).request;
        if !trace
            .text("mlflow.spanInputs")
            .starts_with(r#"{"offpath.body""#)
        {
            assert_eq!(trace.text("mlflow.spanInputs"), sent);
        }
        let defects = trace.value("offpath.defects").to_string();
        assert!(!defects.contains("wide_integer"), "{defects}");
    }
    let carried = read(&collector, "known values").await;
    let times = |name: &str| {
        let all = carried.as_object().unwrap().values();
        all.filter(|found| found.to_string().contains(name)).count()
    };
    assert_eq!(times("wide_integer"), 4);
    let metrics = gateway.metrics().await;
    let counted = |kind: &str| metrics.sum("offpath_defects_total", &[&format!("kind=\"{kind}\"")]);
    assert_eq!(counted("wide_integer"), 4.0);
    assert_eq!(counted("long_number"), 1.0);
    assert!(counted("too_deep") >= times("too_deep") as f64);
}
