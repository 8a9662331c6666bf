//! What sampling and the rules for an exchange's end keep, against exchanges that differ in the one
//! thing that is looked at, and against arithmetic that owes nothing to the code under test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use offpath_tests::{Collector, Gateway, Head, Upstream, Wire, eventually, within};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::xxh3_64;

/// A POST with a body of so many bytes, for an answer of so many.
fn post(fields: &str, asked: usize, answered: usize) -> String {
    let body = "x".repeat(asked);
    format!(
        "POST /{answered} HTTP/1.1\r\nhost: a\r\n{fields}content-type: text/plain\r\n\
         content-length: {asked}\r\n\r\n{body}"
    )
}

/// Answers with as many bytes as the path says.
async fn sized() -> Upstream {
    Upstream::script(|_, mut wire| async move {
        while let Some(head) = wire.try_head().await {
            wire.body(&head).await;
            let size = head.line.split(['/', ' ']).nth(2).unwrap();
            let body = "y".repeat(size.parse().unwrap());
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
            wire.send(format!("{head}content-length: {size}\r\n\r\n{body}"))
                .await;
        }
    })
    .await
}

fn id(head: &Head) -> Option<String> {
    let id = head.field("x-offpath-trace-id")?;
    Some(id.strip_prefix("tr-").unwrap().to_owned())
}

/// Once so many exchanges are decided: how many are kept.
async fn kept(gateway: &Gateway, decided: usize) -> f64 {
    eventually("decisions", async || {
        let metrics = gateway.metrics().await;
        let all = metrics.sum("offpath_exchanges_total", &[]);
        let kept = metrics.sum("offpath_exchanges_total", &["decision=\"kept\""]);
        (all == decided as f64).then_some(kept)
    })
    .await
}

/// A gateway that keeps nothing but by this rule.
async fn ruled(collector: &Collector, upstream: &Upstream, rule: Value) -> Gateway {
    let setup = Gateway::before(upstream.url()).collect(collector);
    let sampling = json!({"ratio": 0, "keep": rule});
    setup.set("routes/0/sampling", sampling).start().await
}

#[tokio::test]
async fn an_exchange_is_large_whichever_of_its_bodies_is() {
    let (collector, upstream) = (Collector::start().await, sized().await);
    let gateway = ruled(&collector, &upstream, json!({"larger_than": "1000B"})).await;
    let sizes = [
        (10, 10),
        (10, 1_001),
        (1_001, 10),
        (1_000, 1_000),
        (600, 600),
    ];
    let mut large = BTreeSet::new();
    for (asked, answered) in sizes {
        let (head, _) = gateway.exchange(post("", asked, answered)).await;
        if asked.max(answered) > 1_000 {
            large.insert(id(&head).unwrap());
        }
    }
    assert_eq!(kept(&gateway, sizes.len()).await, 2.0);
    let traces = collector.wait_for(2).await;
    let ids = traces.iter().map(|trace| trace.root.trace_id.clone());
    assert_eq!(ids.collect::<BTreeSet<_>>(), large);
    assert!(
        traces
            .iter()
            .all(|trace| trace.text("offpath.kept_because") == "large")
    );
}

/// Pauses before the answer to `/head`, in the middle of that to `/body`, and answers any other
/// request at once.
struct Pausing {
    upstream: Upstream,
    /// Has a permit for each pause that began.
    paused: Arc<Semaphore>,
    /// Ends a pause for each permit.
    go_on: Arc<Semaphore>,
}

async fn pausing() -> Pausing {
    let (paused, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let semaphores = (Arc::clone(&paused), Arc::clone(&go_on));
    let upstream = Upstream::script(move |_, mut wire| {
        let (paused, go_on) = semaphores.clone();
        async move {
            while let Some(head) = wire.try_head().await {
                let path = head.line.split(' ').nth(1).unwrap();
                let pieces = [
                    "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n",
                    "half",
                    "more",
                ];
                for (at, piece) in pieces.into_iter().enumerate() {
                    if (path, at) == ("/head", 0) || (path, at) == ("/body", 2) {
                        paused.add_permits(1);
                        go_on.acquire().await.unwrap().forget();
                    }
                    wire.send(piece).await;
                }
            }
        }
    })
    .await;
    Pausing {
        upstream,
        paused,
        go_on,
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_exchange_is_slow_by_its_whole_time_and_late_by_its_first_byte() {
    let world = offpath_tests::World::build();
    let minute = Duration::from_secs(60);
    // Nothing takes half a minute here but what the test makes take a whole one.
    let rules = [
        ("slower_than", &["/head", "/body"][..], "slow"),
        ("first_byte_slower_than", &["/head"], "first_byte"),
    ];
    for (rule, expect, because) in rules {
        let collector = Collector::start().await;
        let model = pausing().await;
        let sampling = json!({"ratio": 0, "keep": {rule: "30s"}});
        let gateway = Gateway::before(model.upstream.url())
            .collect(&collector)
            .set("routes/0/sampling", sampling)
            .within(&world)
            .start()
            .await;
        for path in ["/none", "/head", "/body"] {
            let mut client = Wire::connect(gateway.address()).await;
            client
                .send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
                .await;
            if path == "/body" {
                client.head().await;
                assert_eq!(client.exact(4).await, "half");
            }
            if path != "/none" {
                within("the pause", model.paused.acquire())
                    .await
                    .unwrap()
                    .forget();
                world.pass(minute, &gateway);
                model.go_on.add_permits(1);
            }
            if path != "/body" {
                client.head().await;
                assert_eq!(client.exact(4).await, "half");
            }
            assert_eq!(client.exact(4).await, "more");
        }
        assert_eq!(kept(&gateway, 3).await, expect.len() as f64, "{rule}");
        for trace in collector.wait_for(expect.len()).await {
            assert!(
                expect.contains(&&*trace.text("url.path")),
                "{rule}: {trace:#?}"
            );
            assert_eq!(trace.text("offpath.kept_because"), because);
            assert!(Duration::from_nanos(trace.root.nanos) >= minute);
        }
    }
}

/// Where a ratio cuts: XXH3's 64 bits of the key as a share of all, in a float's 53
/// (ARCHITECTURE, "Decisions").
fn is_below(key: &[u8], ratio: f64) -> bool {
    ((xxh3_64(key) >> 11) as f64) / ((1_u64 << 53) as f64) < ratio
}

#[tokio::test]
async fn a_ratio_by_user_keeps_a_users_exchanges_whatever_their_sessions_are() {
    const RATIO: f64 = 0.25;
    let (collector, upstream) = (Collector::start().await, sized().await);
    for by in ["user", "session"] {
        let trace = json!({
            "user": [{"header": "x-user"}],
            "session": [{"header": "x-session"}],
        });
        let gateway = Gateway::before(upstream.url())
            .collect(&collector)
            .set("routes/0/sampling", json!({"ratio": RATIO, "by": by}))
            .set("routes/0/trace", trace)
            .start()
            .await;
        let (mut seen, mut expect) = (0, BTreeMap::new());
        for user in 0..12 {
            for session in 0..12 {
                let (user, session) = (format!("u-{user}"), format!("s-{session}"));
                let fields = format!("x-user: {user}\r\nx-session: {session}\r\n");
                let (head, _) = gateway.exchange(post(&fields, 1, 1)).await;
                let key = if by == "user" { &user } else { &session };
                let keeps = is_below(key.as_bytes(), RATIO);
                assert_eq!(id(&head).is_some(), keeps, "{by}: {user} {session}");
                seen += 1;
                if let Some(id) = id(&head) {
                    expect.insert(id, (user, session));
                }
            }
        }
        assert!((1..seen).contains(&expect.len()), "{}", expect.len());
        assert_eq!(kept(&gateway, seen).await, expect.len() as f64);
        assert!(gateway.terminate().await.status.success());
        for (id, (user, session)) in expect {
            let mut traces = collector.traces().into_iter();
            let trace = traces.find(|trace| trace.root.trace_id == id).unwrap();
            assert_eq!(
                (trace.text("user.id"), trace.text("session.id")),
                (user, session)
            );
            assert_eq!(trace.value("offpath.weight"), 1.0 / RATIO);
            assert_eq!(trace.text("offpath.kept_because"), "ratio");
        }
    }
}

#[tokio::test]
async fn a_request_without_a_user_is_sampled_by_its_trace() {
    const RATIO: f64 = 0.5;
    let upstream = sized().await;
    let gateway = Gateway::before(upstream.url())
        .set("routes/0/sampling", json!({"ratio": RATIO, "by": "user"}))
        .set("routes/0/trace", json!({"user": [{"header": "x-user"}]}))
        .start()
        .await;
    let mut kept = 0;
    for number in 1..=100_u128 {
        // The caller's trace id decides where there is one.
        let caller = number << 64 | 0xabc;
        let field = format!("traceparent: 00-{caller:032x}-00000000000000ff-00\r\n");
        let (head, _) = gateway.exchange(post(&field, 1, 1)).await;
        let keeps = is_below(&caller.to_be_bytes(), RATIO);
        assert_eq!(id(&head).is_some(), keeps, "{caller:032x}");
        kept += usize::from(keeps);
    }
    assert!((20..80).contains(&kept), "{kept}");
}

#[cfg(target_os = "linux")]
mod daily {
    use std::time::SystemTime;

    use offpath_tests::World;

    use super::*;

    const DAY: i64 = 86_400;

    /// A wall clock at which it is eleven at night.
    fn late() -> World {
        let world = World::build();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        world.set_wall_clock(23 * 3_600 - now % DAY);
        world
    }

    /// The share that is kept once a hundred exchanges of a thousand bytes each way were.
    async fn share_after_a_hundred(budget: Value) -> f64 {
        let (world, upstream) = (late(), sized().await);
        let gateway = Gateway::before(upstream.url())
            .set("routes/0/sampling", json!({"ratio": 1, "daily": budget}))
            .within(&world)
            .start()
            .await;
        let mut client = Wire::connect(gateway.address()).await;
        for _ in 0..100 {
            client.exchange(post("", 1_000, 1_000)).await;
        }
        assert_eq!(kept(&gateway, 100).await, 100.0);
        // The share is set every ten seconds, by the next exchange.
        world.pass(Duration::from_secs(15), &gateway);
        gateway.exchange(post("", 1, 1)).await;
        let metrics = gateway.metrics().await;
        metrics.sum("offpath_sampling_ratio", &["route=\"model\""])
    }

    #[tokio::test]
    async fn a_days_budget_is_spent_by_what_is_kept() {
        // A twenty-fourth of a budget is for the day's last hour, and each lasts for all that came so
        // far: only what was spent is in the way.
        const LEAST: f64 = 0.001;
        for (budget, expect) in [
            (json!({"max_traces": 24 * 99}), LEAST),
            (json!({"max_bytes": 24 * 199_000}), LEAST),
            (json!({"max_traces": 24 * 100_000}), 1.0),
            (json!({"max_bytes": 24 * 200_000_000_u64}), 1.0),
        ] {
            assert_eq!(
                share_after_a_hundred(budget.clone()).await,
                expect,
                "{budget}"
            );
        }
    }
}
