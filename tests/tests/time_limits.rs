//! Each time limit of an upstream ends what it names, and nothing else does: the others are an hour,
//! which no test waits for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use offpath_tests::{Authority, Collector, Gateway, Head, Setup, Upstream, Wire, within};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A limit that is short, between others that no test lives to see.
fn short(setup: Setup, limit: &str) -> Setup {
    let mut limits = json!({"connect": "1h", "read": "1h", "write": "1h", "keepalive_idle": "1h"});
    *limits.get_mut(limit).unwrap() = "150ms".into();
    setup.set("upstreams/model/timeouts", limits)
}

/// What a client got for a limit that was reached, and what was recorded of it.
async fn check_timeout(
    gateway: &Gateway,
    collector: &Collector,
    answer: (Head, Bytes),
    kind: &str,
) {
    let (head, body) = answer;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let error = body.pointer("/error/type").unwrap();
    assert_eq!((head.status(), error), (504, &kind.into()));
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.end_reason"), "timeout");
    let metrics = gateway.metrics().await;
    assert_eq!(
        metrics.sum("offpath_requests_total", &["code=\"504\""]),
        1.0
    );
}

/// An address where connecting never ends: the list of connections that wait to be accepted is
/// full, and the kernel answers no further one (listen(2), the backlog).
async fn black_hole() -> (SocketAddr, impl Drop) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let half_a_second = std::time::Duration::from_millis(500);
    // What does not connect at once on this machine's own network does not connect.
    while let Ok(connected) = tokio::time::timeout(half_a_second, TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    (address, Held(listener, waiting))
}

struct Held(tokio::net::TcpListener, Vec<TcpStream>);

impl Drop for Held {
    fn drop(&mut self) {
        self.1.clear();
        let _ = &self.0;
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_within_its_limit_is_504() {
    let (address, _held) = black_hole().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(format!("http://{address}")).collect(&collector);
    let gateway = short(setup, "connect").start().await;
    let answer = gateway.exchange(GET).await;
    check_timeout(&gateway, &collector, answer, "connect_timeout").await;
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_end_within_the_limit_of_connecting_is_504() {
    let authority = Authority::new();
    // Takes connections, reads, and says nothing.
    let silent = Upstream::hanging().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(silent.tls_url())
        .set("upstreams/model/tls/ca", authority.ca().to_str())
        .collect(&collector);
    let gateway = short(setup, "connect").start().await;
    let answer = gateway.exchange(GET).await;
    check_timeout(&gateway, &collector, answer, "connect_timeout").await;
}

#[tokio::test]
async fn a_silence_past_the_limit_of_reading_is_504() {
    let upstream = Upstream::hanging().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = short(setup, "read").start().await;
    let answer = gateway.exchange(GET).await;
    check_timeout(&gateway, &collector, answer, "upstream_timeout").await;
}

#[tokio::test]
async fn a_silence_within_a_response_ends_it_after_the_limit_of_reading() {
    let upstream = Upstream::stuck_halfway().await;
    let collector = Collector::start().await;
    let setup = Gateway::before(upstream.url()).collect(&collector);
    let gateway = short(setup, "read").start().await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(GET).await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.rest().await, "half");
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.end_reason"), "timeout");
    assert_eq!(trace.value("offpath.response.bytes"), 4);
}

#[tokio::test]
async fn an_upstream_that_reads_nothing_of_a_body_past_the_limit_of_writing_is_504() {
    let go_on = Arc::new(Semaphore::new(0));
    let never = Arc::clone(&go_on);
    let upstream = Upstream::script(move |_, mut wire| {
        let never = Arc::clone(&never);
        async move {
            wire.head().await;
            never.acquire().await.unwrap().forget();
        }
    })
    .await;
    let collector = Collector::start().await;
    // pingora 0.9.1 then still waits for an answer, as long as it may read.
    let setup = short(Gateway::before(upstream.url()), "write").collect(&collector);
    let gateway = setup
        .set("upstreams/model/timeouts/read", "150ms")
        .start()
        .await;
    // More than the sockets on the way take in.
    const MUCH: usize = 64 << 20;
    let (mut read, mut write) = TcpStream::connect(gateway.address())
        .await
        .unwrap()
        .into_split();
    // It is aborted when the set is dropped.
    let mut uploads = tokio::task::JoinSet::new();
    uploads.spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {MUCH}\r\n\r\n");
        write.write_all(head.as_bytes()).await.ok();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..MUCH / piece.len() {
            // The gateway may have answered and closed.
            if write.write_all(&piece).await.is_err() {
                break;
            }
        }
    });
    let mut answer = vec![0; 12];
    let read = tokio::io::AsyncReadExt::read_exact(&mut read, &mut answer);
    within("an answer", read).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 504");
    let trace = collector.trace().await;
    assert_eq!(trace.text("offpath.end_reason"), "timeout");
    drop(go_on);
}

/// An upstream that answers each request, and reports each connection's end.
async fn reporting() -> (Upstream, mpsc::Receiver<usize>) {
    let (ended, ends) = mpsc::channel(8);
    let upstream = Upstream::script(move |number, mut wire| {
        let ended = ended.clone();
        async move {
            while wire.try_head().await.is_some() {
                wire.send(OK).await;
            }
            ended.send(number).await.unwrap();
        }
    })
    .await;
    (upstream, ends)
}

#[tokio::test]
async fn an_upstream_connection_that_is_idle_past_its_limit_is_closed() {
    let (upstream, mut ends) = reporting().await;
    let setup = short(Gateway::before(upstream.url()), "keepalive_idle");
    let gateway = setup.start().await;
    assert_eq!(gateway.exchange(GET).await.0.status(), 200);
    let end = within("the idle connection to close", ends.recv()).await;
    assert_eq!(end, Some(0));
}

#[tokio::test]
async fn an_upstream_connection_is_used_again_within_its_limit() {
    let (upstream, mut ends) = reporting().await;
    // `connect` alone is short.
    let gateway = short(Gateway::before(upstream.url()), "connect")
        .start()
        .await;
    let mut client = Wire::connect(gateway.address()).await;
    for _ in 0..5 {
        assert_eq!(client.exchange(GET).await.0.status(), 200);
    }
    gateway.kill();
    // One connection, that of number 0, took them all.
    assert_eq!(within("its end", ends.recv()).await, Some(0));
    assert!(ends.try_recv().is_err());
}
