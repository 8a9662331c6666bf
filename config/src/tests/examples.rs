//! The values of the example files, and the defaults of what they leave out.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use offpath_trace::{Redaction, Rules, Source};

use super::fixture::{FULL, MINIMAL, folder, full_env, parse};
use crate::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn full() -> Config {
    parse(FULL, &full_env()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn minimal() -> Config {
    parse(MINIMAL, &Env::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_smallest_useful_file_has_at_most_twelve_lines() {
    assert!(MINIMAL.lines().count() <= 12);
    assert_eq!(minimal().warnings, Vec::<String>::new());
}

#[test]
fn line_ends_and_marks_of_other_systems_make_no_difference() {
    let expect = format!("{:?}", minimal());
    let crlf = MINIMAL.replace('\n', "\r\n");
    for text in [
        crlf,
        format!("\u{feff}{MINIMAL}"),
        format!("---\n{MINIMAL}...\n"),
    ] {
        let config = parse(&text, &Env::default()).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(format!("{config:?}"), expect);
    }
}

#[test]
fn anchors_repeat_what_they_name() {
    let text =
        MINIMAL.replace("endpoints:", "endpoints: &all") + "  - {name: b, upstream: model}\n";
    let text = text.replace("routes:", "  twin: {endpoints: *all}\nroutes:");
    let config = parse(&text, &Env::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let endpoints = |name| &config.upstream(name).unwrap().endpoints;
    assert_eq!(endpoints("twin"), endpoints("model"));
}

#[test]
fn a_file_is_loaded_with_paths_from_its_own_folder() {
    let folder = folder();
    let file = folder.path().join("offpath.yaml");
    std::fs::write(&file, FULL).unwrap();
    let config = Config::load(&file, &full_env()).unwrap_or_else(|errors| panic!("{errors}"));
    let tls = config.listeners[1].tls.clone().unwrap();
    assert_eq!(
        (tls.identity.chain.len(), tls.client_ca.unwrap().len()),
        (1, 1)
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_error_without_a_line() {
    let folder = folder();
    let file = folder.path().join("absent.yaml");
    let error = Config::load(&file, &Env::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("absent.yaml: cannot be read: No such file"),
        "{error}"
    );
    std::fs::write(&file, b"a: \xff").unwrap();
    let error = Config::load(&file, &Env::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("not UTF-8 from byte 3 on"), "{error}");
    std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
    let error = Config::load(&file, &Env::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("larger than 1 MiB"), "{error}");
}

#[test]
fn process_wide_defaults_are_the_documented_ones() {
    let config = minimal();
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].tls, None);
    let limits = Limits {
        connections: 10_000,
        head_bytes: 64 << 10,
        drain: secs(30),
        capture_bytes: 256 << 20,
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.telemetry.address.to_string(), "127.0.0.1:9902");
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9901");
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.log.format, LogFormat::Text);
}

#[test]
fn upstream_defaults_are_the_documented_ones() {
    let config = minimal();
    let upstream = config.upstream("model").unwrap();
    assert_eq!(upstream.host, HostHeader::Preserve);
    assert_eq!(upstream.path.strip_prefix, "");
    assert_eq!(upstream.path.add_prefix, "");
    assert_eq!(upstream.http, UpstreamHttp::Auto);
    assert_eq!(upstream.tls, UpstreamTls::default());
    let timeouts = Timeouts {
        connect: secs(1),
        read: secs(300),
        write: secs(30),
        keepalive_idle: secs(4),
    };
    assert_eq!(upstream.timeouts, timeouts);
    assert!(upstream.retry_stale_connection);
}

#[test]
fn route_defaults_are_the_documented_ones() {
    let config = minimal();
    let route = &config.routes[0];
    assert_eq!(route.matcher.path, PathMatch::Any);
    let sampling = Sampling {
        ratio: 1.0,
        by: SampleBy::Trace,
        parent: ParentPolicy::Ignore,
        max_per_second: None,
        daily: Daily::default(),
        keep: Keep {
            errors: false,
            client_left: false,
            slower_than: None,
            first_byte_slower_than: None,
            larger_than: None,
            max_per_second: 10.0,
        },
        keep_content: KeepContent {
            finish_reasons: vec![],
            stream_errors: false,
            grpc_errors: false,
            max_per_second: 10.0,
        },
    };
    assert_eq!(route.sampling, sampling);
    assert!(!route.alerts.any());
    assert_eq!(route.capture.level, CaptureLevel::Full);
    assert_eq!(route.capture.max_body, 8 << 20);
    assert_eq!(route.sinks, ["mlflow".into()]);
    let headers = ResponseHeaders {
        server_timing: true,
        overhead: true,
        trace_id: true,
    };
    assert_eq!(route.headers, headers);
    let trace = RouteTrace {
        context: TraceContextMode::Own,
        experiment: ExperimentRef::Default,
        name: "chat".into(),
        user: vec![],
        session: vec![],
        tags: vec![],
        metadata: vec![],
        client_request_id: vec![],
    };
    assert_eq!(route.trace, trace);
}

#[test]
fn export_defaults_are_the_documented_ones() {
    let export = minimal().export;
    let sink = MlflowSink {
        tracking_uri: "http://127.0.0.1:5000".to_owned(),
        auth: MlflowAuth::None,
        headers: vec![],
        ca: None,
        timeout: secs(30),
    };
    assert_eq!(export.sinks.len(), 1);
    assert_eq!(export.sinks[0].kind, SinkKind::Mlflow(sink));
    let queue = Queue {
        max_traces: 10_000,
        max_bytes: 64 << 20,
    };
    assert_eq!(export.queue, queue);
    let batch = Batch {
        max_traces: 100,
        max_bytes: 8 << 20,
        linger: secs(1),
        max_trace: 64 << 20,
    };
    assert_eq!(export.batch, batch);
    let retry = Retry {
        initial: Duration::from_millis(500),
        max: secs(30),
        give_up_after: secs(300),
    };
    assert_eq!(export.retry, retry);
    assert_eq!(export.spool, None);
    let encoders = Encoders {
        threads: 1,
        nice: 19,
    };
    assert_eq!(export.encoders, encoders);
}

#[test]
fn the_full_example_sets_listeners_limits_and_services() {
    let config = full();
    assert_eq!(config.listeners[1].address.to_string(), "[::1]:8443");
    assert_eq!(config.limits.connections, 5000);
    assert_eq!(config.limits.head_bytes, 32 << 10);
    assert_eq!(config.limits.drain, secs(10));
    assert_eq!(config.limits.capture_bytes, 128 << 20);
    assert_eq!(config.telemetry.address.port(), 19902);
    assert_eq!(config.admin.address.port(), 19901);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.log.format, LogFormat::Json);
    let warnings = [
        "routes[0].sampling.keep_content: every exchange of the route is captured",
        "routes[0].trace.metadata: costs one more call to MLflow per trace",
        "routes[0].trace.client_request_id: costs one more call to MLflow per trace",
    ];
    assert_eq!(config.warnings.len(), warnings.len());
    for (warning, begins) in config.warnings.iter().zip(warnings) {
        assert!(warning.starts_with(begins), "{warning}");
    }
}

#[test]
fn the_full_example_sets_what_is_masked() {
    let config = full();
    let redact = format!("{:?}", config.routes[0].redact);
    let rules = [
        "x-customer",
        "/messages/*/content",
        "email",
        "ticket",
        "T-[0-9]+",
        "***",
    ];
    for rule in rules {
        assert!(redact.contains(rule), "{rule} in {redact}");
    }
    let plain = Redaction::from(Rules {
        replace: "[REDACTED]".to_owned(),
        ..Rules::default()
    });
    assert_eq!(
        format!("{:?}", config.routes[1].redact),
        format!("{plain:?}")
    );
}

#[test]
fn the_full_example_sets_upstreams() {
    let config = full();
    let upstream = config.upstream("support-llm").unwrap();
    let endpoint = &upstream.endpoints[1];
    assert_eq!(
        (endpoint.scheme, &*endpoint.host, endpoint.port),
        (Scheme::Https, "10.0.0.7", 443)
    );
    assert_eq!(upstream.sni(endpoint), "llm.internal");
    assert_eq!(upstream.host, HostHeader::Upstream);
    assert_eq!(upstream.path.strip_prefix, "/support");
    assert_eq!(upstream.path.add_prefix, "/v1");
    assert_eq!(upstream.http, UpstreamHttp::Http2);
    assert!(upstream.tls.ca.is_some() && upstream.tls.client.is_some());
    let timeouts = Timeouts {
        connect: Duration::from_millis(250),
        read: secs(3600),
        write: secs(300),
        keepalive_idle: secs(2),
    };
    assert_eq!(upstream.timeouts, timeouts);
    assert!(!upstream.retry_stale_connection);
    let scorer = config.upstream("scorer").unwrap();
    assert_eq!(scorer.host, HostHeader::Name("scorer.internal:5001".into()));
    assert_eq!(scorer.sni(&scorer.endpoints[0]), "127.0.0.1");
}

#[test]
fn the_full_example_sets_routes() {
    let config = full();
    let route = &config.routes[0];
    let matcher = RouteMatch {
        path: PathMatch::Exact("/v1/chat/completions".into()),
        host: Some("api.example.com".into()),
        methods: vec![Method::POST, Method::PUT],
        headers: vec![HeaderMatch {
            name: HeaderName::from_static("x-task"),
            value: HeaderValue::from_static("billing"),
        }],
    };
    assert_eq!(route.matcher, matcher);
    assert_eq!(&*route.upstream, "support-llm");
    let sampling = Sampling {
        ratio: 0.05,
        by: SampleBy::Session,
        parent: ParentPolicy::Cap,
        max_per_second: Some(0.5),
        daily: Daily {
            max_traces: Some(10_000),
            max_bytes: Some(2 << 30),
        },
        keep: Keep {
            errors: true,
            client_left: true,
            slower_than: Some(secs(5)),
            first_byte_slower_than: Some(secs(2)),
            larger_than: Some(1 << 20),
            max_per_second: 3.0,
        },
        keep_content: KeepContent {
            finish_reasons: vec!["content_filter".into(), "length".into()],
            stream_errors: true,
            grpc_errors: true,
            max_per_second: 0.2,
        },
    };
    assert_eq!(route.sampling, sampling);
    let alerts = Alerts {
        window: secs(600),
        min_requests: 50,
        max_error_rate: Some(0.02),
        max_client_left_rate: Some(0.1),
        max_p50: Some(secs(1)),
        max_p95: Some(secs(5)),
        max_p99: Some(secs(20)),
    };
    assert_eq!(route.alerts, alerts);
    assert_eq!(route.capture.level, CaptureLevel::Metadata);
    assert_eq!(route.capture.max_body, 1_000_000);
    assert_eq!(route.sinks, ["collector".into()]);
    assert!(!route.headers.server_timing && !route.headers.overhead && !route.headers.trace_id);
    let [_, scores, rest] = config.routes.as_slice() else {
        panic!("{:?}", config.routes);
    };
    assert_eq!(
        scores.matcher.path,
        PathMatch::Glob("/models/*/invocations".into())
    );
    assert_eq!(scores.sampling.ratio, 0.5);
    assert_eq!(scores.trace.experiment, ExperimentRef::Id("007".into()));
    assert_eq!(rest.matcher.path, PathMatch::Prefix("".into()));
    assert_eq!(
        rest.sinks,
        ["mlflow".into(), "tokened".into(), "collector".into()]
    );
    assert_eq!(rest.capture.level, CaptureLevel::Off);
}

#[test]
fn the_full_example_sets_names_identity_and_tags_of_traces() {
    let trace = full().routes[0].trace.clone();
    let header = |name: &'static str| Source::Header(HeaderName::from_static(name));
    let constant = |value: &str| Source::Constant(value.into());
    let tag = |key: &str, value| Tag {
        key: key.into(),
        value,
    };
    let expect = RouteTrace {
        context: TraceContextMode::Join,
        experiment: ExperimentRef::Name("billing-prod".into()),
        name: "billing chat".into(),
        user: vec![
            header("x-user-id"),
            Source::Body(["metadata".into(), "user/id".into()].into()),
            constant("nobody"),
        ],
        session: vec![header("x-session-id"), Source::Query("session".into())],
        tags: vec![
            tag("environment", constant("production")),
            tag("version", constant("1.10")),
            tag("tenant", header("x-tenant")),
            tag("model", Source::Path(2)),
        ],
        metadata: vec![
            tag("release", constant("1.4")),
            tag("cart", Source::Body(["cart".into()].into())),
        ],
        client_request_id: vec![header("x-request-id")],
    };
    assert_eq!(trace, expect);
}

#[test]
fn the_full_example_sets_the_export_and_shows_no_secret() {
    let export = full().export;
    let [mlflow, tokened, collector] = export.sinks.as_slice() else {
        panic!("{:?}", export.sinks);
    };
    let SinkKind::Mlflow(mlflow) = &mlflow.kind else {
        panic!("{mlflow:?}");
    };
    assert_eq!(mlflow.tracking_uri, "https://mlflow.internal/ml");
    let basic = MlflowAuth::Basic {
        username: "offpath".to_owned(),
        password: Secret::new("hunter2"),
    };
    assert_eq!(mlflow.auth, basic);
    assert_eq!(mlflow.headers[0].value, "a");
    assert_eq!(mlflow.timeout, secs(10));
    let SinkKind::Mlflow(tokened) = &tokened.kind else {
        panic!("{tokened:?}");
    };
    assert_eq!(tokened.auth, MlflowAuth::Token(Secret::new("secret-token")));
    let SinkKind::Otlp(collector) = &collector.kind else {
        panic!("{collector:?}");
    };
    assert_eq!(collector.endpoint, "http://127.0.0.1:4318/v1/traces");
    assert_eq!(collector.headers[0].name, "authorization");
    assert_eq!(collector.headers[0].value, "Bearer hunter3");
    assert_eq!(collector.compression, Compression::None);
    assert_eq!(export.batch.max_trace, 32 << 20);
    assert_eq!(export.retry.give_up_after, secs(60));
    let spool = export.spool.as_ref().unwrap();
    assert!(spool.path.ends_with("spool"));
    assert_eq!((spool.max_bytes, spool.when), (2 << 30, SpoolWhen::Always));
    assert_eq!(
        (export.queue.max_traces, export.queue.max_bytes),
        (500, 16 << 20)
    );
    assert_eq!((export.encoders.threads, export.encoders.nice), (2, 10));
    let shown = format!("{:?}", full());
    assert!(
        !shown.contains("hunter") && !shown.contains("secret-token"),
        "{shown}"
    );
}
