//! Faults on the users' side and behind: capture changes nothing of what is seen, and loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use offpath_tests::{Collector, Gateway, Upstream, Wire};
use tokio::task::JoinSet;

use super::{balances, dropped, number, pending, post, settled};

const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nb\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n";

/// A response's status and fields.
type Seen = (u16, Vec<(String, String)>);

/// All that a client sees, but for offpath's own fields.
async fn seen(gateway: &Gateway) -> (Option<Seen>, Bytes) {
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("POST /v1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nword")
        .await;
    let head = client.try_head().await.map(|head| {
        let status = head.status();
        let own = [
            "server-timing",
            "x-offpath-overhead-us",
            "x-offpath-trace-id",
            "date",
        ];
        let fields = head.fields.into_iter();
        (
            status,
            fields
                .filter(|(name, _)| !own.contains(&&*name.to_lowercase()))
                .collect(),
        )
    });
    // An answer of offpath's own names its trace.
    let body = client.rest().await;
    let own = head.as_ref().is_some_and(|(status, _)| *status >= 500);
    (head, if own { Bytes::new() } else { body })
}

#[tokio::test]
async fn an_upstream_that_dies_at_any_byte_looks_the_same_with_capture_and_without() {
    let cut = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&cut);
    let upstream = Upstream::script(move |_, mut wire| {
        let bytes = RESPONSE.as_bytes()[..at.load(SeqCst)].to_vec();
        async move {
            let Some(head) = wire.try_head().await else {
                return;
            };
            wire.body(&head).await;
            wire.send(bytes).await;
        }
    })
    .await;
    let collector = Collector::start().await;
    let with = Gateway::before(upstream.url())
        .collect(&collector)
        .start()
        .await;
    let off = Gateway::before(upstream.url()).set("routes/0/capture/level", "off");
    let without = off.start().await;
    for bytes in 0..=RESPONSE.len() {
        cut.store(bytes, SeqCst);
        assert_eq!(
            strip(seen(&with).await),
            strip(seen(&without).await),
            "cut after {bytes} bytes"
        );
    }
    let account = settled(&with, RESPONSE.len() as u64 + 1).await;
    assert_eq!(dropped(&account), 0, "{account}");
    assert_eq!(collector.times().len(), RESPONSE.len() + 1);
}

/// The length of offpath's own answers depends on the id in them.
fn strip((head, body): (Option<Seen>, Bytes)) -> (Option<Seen>, Bytes) {
    let head = head.map(|(status, mut fields)| {
        fields.retain(|(name, _)| status < 500 || !name.eq_ignore_ascii_case("content-length"));
        (status, fields)
    });
    (head, body)
}

#[tokio::test]
async fn clients_that_leave_in_any_phase_are_recorded_and_cost_nothing() {
    let upstream = Upstream::script(|_, mut wire| async move {
        while let Some(head) = wire.try_head().await {
            wire.body(&head).await;
            wire.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\nhalf",
            )
            .await;
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            wire.send("half").await;
        }
    })
    .await;
    let (collector, gateway) = Gateway::collected(upstream.url()).await;
    let request = post("word");
    // After each byte of the request, and in each part of the response.
    let head_bytes = request.find("\r\n\r\n").unwrap() + 4;
    for bytes in 0..=request.len() {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(&request.as_bytes()[..bytes]).await;
    }
    for bytes in [0, 1, 4, 8] {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(&request).await;
        client.head().await;
        client.exact(bytes).await;
    }
    // A head that came whole is an exchange.
    let exchanges = (request.len() - head_bytes + 1 + 4) as u64;
    let account = gateway
        .account(|account| {
            number(account, "/kept") == exchanges && pending(account) == 0 && balances(account)
        })
        .await;
    assert_eq!(dropped(&account), 0, "{account}");
    assert_eq!(collector.times().len() as u64, exchanges);
    // And the next user is served.
    let (head, body) = gateway.exchange(&request).await;
    assert_eq!((head.status(), &body[..]), (200, &b"halfhalf"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_one_time_are_whole_and_recorded() {
    const STREAMS: usize = 1_000;
    let all_open = Arc::new(tokio::sync::Barrier::new(STREAMS));
    let barrier = Arc::clone(&all_open);
    let upstream = Upstream::script(move |_, mut wire| {
        let all_open = Arc::clone(&barrier);
        async move {
            let head = wire.head().await;
            wire.body(&head).await;
            let (first, rest) = RESPONSE.split_at(RESPONSE.find("data: two").unwrap());
            wire.send(first).await;
            // No stream ends before all have begun.
            all_open.wait().await;
            wire.send(rest).await;
            wire.rest().await;
        }
    })
    .await;
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let setup = setup.set("upstreams/model/timeouts/connect", "30s");
    let gateway = setup.spool(folder.path(), "overflow").start().await;
    let address = gateway.address();
    let mut clients = JoinSet::new();
    for _ in 0..STREAMS {
        clients.spawn(async move {
            let mut client = Wire::connect(address).await;
            client.exchange(post("word")).await
        });
    }
    while let Some(client) = clients.join_next().await {
        let (head, body) = client.unwrap();
        assert_eq!(
            (head.status(), &body[..]),
            (200, &b"data: one\n\ndata: two\n\n"[..])
        );
    }
    let account = settled(&gateway, STREAMS as u64).await;
    assert_eq!(dropped(&account), 0, "{account}");
    assert_eq!(collector.times().len(), STREAMS);
}
