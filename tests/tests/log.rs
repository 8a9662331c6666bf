//! offpath's own log: its format, its level, and who may ask for more.

use offpath_tests::{Gateway, Setup, Upstream};
use serde_json::Value;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// The log of a gateway that starts, and has a request whose upstream fails.
async fn log_of(setup: impl FnOnce(Setup) -> Setup) -> String {
    let upstream = Upstream::dying_after("").await;
    let gateway = setup(Gateway::before(upstream.url())).start().await;
    assert_eq!(gateway.exchange(GET).await.0.status(), 502);
    // A failure is logged before it is counted.
    gateway.metrics().await;
    gateway.kill()
}

#[tokio::test]
async fn each_line_is_an_object_of_json_where_that_is_the_format() {
    let log = log_of(|setup| setup.set("log/format", "json")).await;
    let lines = log.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let lines: Vec<_> = lines.collect();
    let ready = lines
        .iter()
        .find(|line| line.pointer("/fields/message") == Some(&"offpath is ready.".into()));
    let ready = ready.unwrap();
    assert_eq!(ready.pointer("/level"), Some(&"INFO".into()));
    assert!(ready.pointer("/timestamp").is_some_and(Value::is_string));
    assert!(
        ready
            .pointer("/fields/version")
            .is_some_and(Value::is_string)
    );
}

#[tokio::test]
async fn lines_are_text_where_nothing_else_is_asked_for() {
    for setup in [
        |setup: Setup| setup,
        |setup: Setup| setup.set("log/format", "text"),
    ] {
        let log = log_of(setup).await;
        let ready = log.lines().find(|line| line.contains("offpath is ready."));
        assert!(ready.unwrap().contains(" INFO "), "{log}");
        assert!(!log.contains('{'), "{log}");
    }
}

#[tokio::test]
async fn a_level_lets_through_what_is_as_grave_and_no_more() {
    for (level, ready, failed) in [
        ("error", false, false),
        ("warn", false, false),
        ("info", true, false),
        ("debug", true, true),
    ] {
        let log = log_of(|setup| setup.set("log/level", level)).await;
        assert_eq!(log.contains("offpath is ready."), ready, "{level}: {log}");
        assert_eq!(log.contains("Request failed."), failed, "{level}: {log}");
    }
    let log = log_of(|setup| {
        setup
            .set("log/level", "error")
            .env("RUST_LOG", "offpath=debug")
    });
    assert!(log.await.contains("Request failed."));
}
