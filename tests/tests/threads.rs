//! A connection is one thread's, and the threads share connections evenly.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use offpath_tests::{Gateway, Upstream, Wire, eventually, within};

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

/// The name and the niceness of each thread: proc(5), the 19th field; the name is the second.
fn priorities(pid: u32) -> Vec<(String, i32)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let priority = |stat: String| {
        let (name, rest) = stat.rsplit_once(") ")?;
        let (_, name) = name.split_once('(')?;
        let nice = rest.split(' ').nth(16)?.parse().ok()?;
        Some((name.to_owned(), nice))
    };
    stats.map(|stat| priority(stat).unwrap()).collect()
}

/// The threads that are off the path. The last reads the spool for the exporter.
const BACKGROUND: [&str; 3] = ["offpath-encode", "offpath-export", "tokio-rt-worker"];

#[tokio::test]
async fn background_threads_have_the_configured_niceness_and_all_others_none() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    for (nice, expect) in [(None, 19), (Some(7), 7)] {
        let mut setup = Gateway::before(upstream.url())
            .spool(folder.path(), "always")
            .set("export/encoders/threads", 2);
        if let Some(nice) = nice {
            setup = setup.set("export/encoders/nice", nice);
        }
        let gateway = setup.start().await;
        let is_background = |thread: &&(String, i32)| {
            let mut names = BACKGROUND.iter();
            names.any(|name| thread.0.starts_with(name))
        };
        // Each sets it as it begins: two encoders, and the exporter.
        let threads = eventually("the background's priority", async || {
            let threads = priorities(gateway.pid());
            let background = threads.iter().filter(is_background);
            let low: Vec<_> = background.collect();
            let all = low.len() >= 3 && low.iter().all(|thread| thread.1 == expect);
            all.then_some(threads)
        })
        .await;
        let others = threads.iter().filter(|thread| !is_background(thread));
        let others: Vec<_> = others.collect();
        assert!(others.iter().any(|thread| thread.0 == "offpath-proxy"));
        assert!(others.iter().all(|thread| thread.1 == 0), "{others:?}");
    }
}
