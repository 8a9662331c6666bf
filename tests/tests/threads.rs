//! A connection is one thread's, and the threads share connections evenly.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use offpath_tests::{Gateway, Upstream, Wire, within};

/// Clock ticks of CPU that each of the proxy's threads has taken so far.
fn ticks(pid: u32) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let of_proxy = stats.filter_map(|stat| {
        // proc(5): the name in parentheses; user and system time are the 12th and 13th after it.
        let (name, rest) = stat.split_once(") ")?;
        let fields: Vec<_> = rest.split(' ').collect();
        let time = |at: usize| fields.get(at)?.parse::<u64>().ok();
        name.ends_with("offpath-proxy")
            .then(|| Some(time(11)? + time(12)?))
            .flatten()
    });
    of_proxy.collect()
}

#[tokio::test]
async fn busy_connections_are_spread_over_the_threads() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let threads = std::thread::available_parallelism().unwrap().get();
    assert_eq!(ticks(gateway.pid()).len(), threads);
    let mut clients = Vec::new();
    for _ in 0..threads {
        clients.push(Wire::connect(gateway.address()).await);
    }
    // Each in its turn, so that none waits for another's answer: who does the work is not a matter
    // of who is free. Until the least busy thread has taken a tenth of a second.
    within("every thread to take part", async {
        while ticks(gateway.pid()).into_iter().min() < Some(10) {
            for client in &mut clients {
                client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                let head = client.head().await;
                client.body(&head).await;
            }
        }
    })
    .await;
}
