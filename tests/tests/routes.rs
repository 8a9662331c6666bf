//! Which route takes a request, and whose the request is: each rule against requests that meet it, and
//! those that miss it by one thing.

use offpath_tests::{Collector, Gateway, Upstream, Wire};
use serde_json::{Value, json};

/// Routes that differ in what they match. Each has an upstream of its own, which is asked under the
/// route's name; the last takes everything.
fn matches() -> Vec<(&'static str, Value)> {
    vec![
        ("exact", json!({"path": "/exact"})),
        ("prefix", json!({"path_prefix": "/prefix/"})),
        ("glob", json!({"path_glob": "/glob/*/end"})),
        ("deep", json!({"path_glob": "/deep/**/end"})),
        ("host", json!({"host": "models.example"})),
        ("methods", json!({"methods": ["PUT", "DELETE"]})),
        (
            "headers",
            json!({"headers": {"x-task": "billing", "x-team": "one"}}),
        ),
        ("both", json!({"path": "/both", "methods": ["PATCH"]})),
        ("rest", json!({})),
    ]
}

#[tokio::test]
async fn a_request_matches_the_first_route_all_of_whose_conditions_it_meets() {
    let upstream = Upstream::echo().await;
    let mut setup = Gateway::before(upstream.url());
    let mut routes = Vec::new();
    for (name, matcher) in matches() {
        let endpoints = json!([upstream.url()]);
        let path = json!({"add_prefix": format!("/{name}")});
        let to = json!({"endpoints": endpoints, "path": path});
        setup = setup.set(&format!("upstreams/{name}"), to);
        routes.push(json!({"name": name, "match": matcher, "upstream": name}));
    }
    let gateway = setup.set("routes", routes).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let rows = [
        ("GET /exact", "", "exact"),
        ("GET /exact?q=1", "", "exact"),
        ("GET /exact/", "", "rest"),
        ("GET /Exact", "", "rest"),
        ("GET /prefix/a", "", "prefix"),
        ("GET /prefixed", "", "rest"),
        ("GET /glob/a/end", "", "glob"),
        ("GET /glob/a/b/end", "", "rest"),
        ("GET /deep/a/b/end", "", "deep"),
        ("GET /deep/a/b/ends", "", "rest"),
        ("GET /a", "host: models.example\r\n", "host"),
        ("GET /a", "host: models.example:8080\r\n", "host"),
        ("GET /a", "host: example\r\n", "rest"),
        ("PUT /a", "", "methods"),
        ("DELETE /a", "", "methods"),
        ("GET /a", "x-task: billing\r\nx-team: one\r\n", "headers"),
        ("GET /a", "x-task: billing\r\nx-team: two\r\n", "rest"),
        ("GET /a", "x-task: billing\r\n", "rest"),
        ("PATCH /both", "", "both"),
        ("GET /both", "", "rest"),
        ("PATCH /a", "", "rest"),
        // The first of several that take it.
        ("PUT /exact", "host: models.example\r\n", "exact"),
    ];
    for (asked, fields, _) in rows {
        let host = if fields.contains("host: ") {
            ""
        } else {
            "host: a\r\n"
        };
        let request = format!("{asked} HTTP/1.1\r\n{host}{fields}content-length: 0\r\n\r\n");
        assert_eq!(client.exchange(request).await.0.status(), 200, "{asked}");
    }
    for (seen, (asked, fields, route)) in upstream.seen().iter().zip(rows) {
        let path = seen.head.line.split(' ').nth(1).unwrap_or_default();
        assert!(
            path.starts_with(&format!("/{route}/")),
            "{asked} {fields}: {path}"
        );
    }
}

#[tokio::test]
async fn identity_comes_from_the_first_source_that_is_present() {
    let (collector, upstream) = (Collector::start().await, Upstream::echo().await);
    let sources = json!([{"header": "x-user"}, {"query": "user"}, {"path": 2}, {"body": "/user"}]);
    let trace = json!({
        "name": "asked", "user": sources, "session": sources,
        "tags": {"plain": "always", "tenant": {"header": "x-user"}},
    });
    let gateway = Gateway::before(upstream.url())
        .collect(&collector)
        .set("routes/0/trace", trace)
        .start()
        .await;
    let rows = [
        ("/a/p?user=q", "x-user: h\r\n", "h"),
        ("/a/p?user=q", "", "q"),
        ("/a/p", "", "p"),
        ("/a", "", "b"),
    ];
    let body = r#"{"user":"b"}"#;
    for (path, fields, _) in rows {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\n{fields}content-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        gateway.exchange(request).await;
    }
    let mut traces = collector.wait_for(rows.len()).await;
    traces.sort_by_key(|trace| trace.root.start_nanos);
    for (trace, (path, _, expect)) in traces.iter().zip(rows) {
        assert_eq!(trace.root.name, "asked");
        for key in ["user.id", "session.id"] {
            assert_eq!(trace.text(key), expect, "{path}");
        }
        assert_eq!(trace.text("mlflow.traceTag.plain"), "always");
    }
    let tenant = |at: usize| traces[at].value("mlflow.traceTag.tenant");
    assert_eq!((tenant(0), tenant(1)), ("h".into(), Value::Null));
}

#[tokio::test]
async fn a_route_without_a_ratio_has_the_one_of_all_and_sends_to_the_sinks_that_it_names() {
    let (one, other) = (Collector::start().await, Collector::start().await);
    let upstream = Upstream::echo().await;
    let sink =
        |at: &Collector| json!({"type": "otlp", "endpoint": at.endpoint(), "compression": "none"});
    let route = |name: &str, more: Value| {
        let mut route =
            json!({"name": name, "upstream": "model", "match": {"path": format!("/{name}")}});
        if let (Some(route), Value::Object(more)) = (route.as_object_mut(), more) {
            route.extend(more);
        }
        route
    };
    let routes = json!([
        route("silent", json!({})),
        route("first", json!({"sampling": {"ratio": 1}, "sinks": ["one"]})),
        route("both", json!({"sampling": {"ratio": 1}, "sinks": "all"})),
    ]);
    let gateway = Gateway::before(upstream.url())
        .set("sampling", json!({"ratio": 0}))
        .set("routes", routes)
        .set(
            "export/sinks",
            json!({"one": sink(&one), "other": sink(&other)}),
        )
        .start()
        .await;
    for path in ["/silent", "/first", "/both"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(gateway.exchange(request).await.0.status(), 200);
    }
    assert!(gateway.terminate().await.status.success());
    let routes = |at: &Collector| {
        let mut all: Vec<_> = at
            .traces()
            .iter()
            .map(|trace| trace.text("offpath.route"))
            .collect();
        all.sort();
        all
    };
    assert_eq!(routes(&one), ["both", "first"]);
    assert_eq!(routes(&other), ["both"]);
}
