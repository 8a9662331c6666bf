//! Orderly ends and starts: what is not delivered waits on disk, and the accounts go on.

use offpath_tests::{Collector, Gateway, Setup, Upstream, Wire};
use serde_json::json;

use super::{balances, check_each_once, id, keep, number, post, said, settled, spool};

fn nowhere(upstream: &Upstream, folder: &std::path::Path, when: &str) -> Setup {
    Gateway::before(upstream.url())
        .set("export/retry/initial", "20ms")
        .spool(folder, when)
}

#[tokio::test]
async fn what_the_sink_did_not_take_waits_on_disk_for_the_next_start_and_arrives_once() {
    let upstream = Upstream::echo().await;
    for when in ["overflow", "always"] {
        let folder = tempfile::tempdir().unwrap();
        let setup = nowhere(&upstream, folder.path(), when).set("limits/drain", "1h");
        let gateway = setup.start().await;
        let mut client = Wire::connect(gateway.address()).await;
        let mut ids = Vec::new();
        for _ in 0..60 {
            ids.push(keep(&mut client, "word").await);
        }
        let stopped = gateway.terminate().await;
        assert!(stopped.status.success(), "{stopped:?}");
        // A sink that fails is not waited for: that would take an hour.
        let listed = said(&spool("ls", folder.path()));
        assert!(listed.ends_with("60 traces wait\n"), "{listed}");
        assert!(spool("verify", folder.path()).status.success());
        let exported = said(&spool("export", folder.path()));
        assert!(
            ids.iter().all(|id| exported.contains(id.as_str())),
            "{exported}"
        );

        let collector = Collector::start().await;
        let endpoint =
            json!({"type": "otlp", "endpoint": collector.endpoint(), "compression": "none"});
        let setup = nowhere(&upstream, folder.path(), when);
        let gateway = setup.set("export/sinks/nowhere", endpoint).start().await;
        let account = settled(&gateway, 60).await;
        assert_eq!(number(&account, "/since_start/recovered"), 60, "{account}");
        ids.push(keep(&mut Wire::connect(gateway.address()).await, "more").await);
        settled(&gateway, 61).await;
        check_each_once(&collector, &ids);
        assert!(gateway.terminate().await.status.success());
        assert!(said(&spool("ls", folder.path())).ends_with("0 traces wait\n"));
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once_with_everything_on_disk() {
    let upstream = Upstream::stuck_halfway().await;
    let folder = tempfile::tempdir().unwrap();
    let sink = Upstream::hanging().await;
    let setup = nowhere(&upstream, folder.path(), "overflow")
        .set("limits/drain", "1h")
        .set(
            "export/sinks/nowhere/endpoint",
            format!("{}/v1/traces", sink.url()),
        );
    let gateway = setup.start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send("GET /v1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let id = id(&client.head().await);
    gateway.ask_to_stop();
    offpath_tests::eventually("the drain to begin", async || {
        gateway.log().contains("Draining").then_some(())
    })
    .await;
    gateway.ask_to_stop();
    let stopped = gateway.stopped().await;
    assert!(stopped.status.success(), "{stopped:?}");
    let exported = said(&spool("export", folder.path()));
    assert!(
        exported.contains(&id) && exported.contains("shutdown"),
        "{exported}"
    );
}

#[tokio::test]
async fn a_signal_while_the_export_drains_sends_it_to_disk() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let sink = Upstream::hanging().await;
    let setup = nowhere(&upstream, folder.path(), "overflow")
        .set("limits/drain", "1h")
        .set("export/batch/linger", "1ms")
        .set(
            "export/sinks/nowhere/endpoint",
            format!("{}/v1/traces", sink.url()),
        );
    let gateway = setup.start().await;
    gateway.exchange(post("word")).await;
    gateway
        .account(|account| number(account, "/pending/in_flight") == 1)
        .await;
    // The requests are done, and the sink hangs: the first signal waits for it.
    gateway.ask_to_stop();
    offpath_tests::eventually("the listeners to be closed", async || {
        let address = gateway.address();
        tokio::net::TcpStream::connect(address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    gateway.ask_to_stop();
    assert!(gateway.stopped().await.status.success());
    assert!(said(&spool("ls", folder.path())).ends_with("1 traces wait\n"));
}

#[tokio::test]
async fn a_spool_is_drained_without_a_proxy() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let gateway = nowhere(&upstream, folder.path(), "always").start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(keep(&mut client, "word").await);
    }
    gateway
        .account(|account| number(account, "/kept") == 10 && balances(account))
        .await;
    assert!(gateway.terminate().await.status.success());
    let collector = Collector::start().await;
    let config = json!({
        "listeners": [{"address": "127.0.0.1:1"}],
        "upstreams": {"model": {"endpoints": ["http://127.0.0.1:1"]}},
        "routes": [{"name": "another", "upstream": "model"}],
        "export": {
            "sinks": {"nowhere": {"type": "otlp", "endpoint": collector.endpoint(), "compression": "none"}},
            "spool": {"path": folder.path().to_str().unwrap()},
        },
    });
    let file = folder.path().join("offpath.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = std::process::Command::new(offpath_tests::offpath());
    command.args(["spool", "drain", "--config"]).arg(&file);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = run.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(said(&output).contains("10 traces delivered"), "{output:?}");
    check_each_once(&collector, &ids);
}

#[tokio::test]
async fn why_traces_were_kept_is_counted_on_after_a_restart() {
    const FAILS: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
    let upstream = Upstream::answering(FAILS).await;
    let folder = tempfile::tempdir().unwrap();
    let setup = || {
        let rules = json!({"ratio": 0, "keep": {"errors": true}});
        nowhere(&upstream, folder.path(), "always").set("routes/0/sampling", rules)
    };
    for run in 1..=3 {
        let gateway = setup().start().await;
        gateway.exchange(post("word")).await;
        gateway
            .account(|account| number(account, "/kept") == run)
            .await;
        let metrics = gateway.metrics().await;
        let kept = |because| metrics.sum("offpath_kept_total", &[because]);
        assert_eq!(kept("because=\"error\""), run as f64);
        assert_eq!(kept(""), run as f64, "kept for another reason");
        assert!(gateway.terminate().await.status.success());
    }
}
