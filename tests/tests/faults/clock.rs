//! A wall clock that jumps: it is on the traces, and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use offpath_tests::{
    Collector, Gateway, Head, PATIENCE, Reaction, Setup, Trace, Upstream, Wire, World,
};
use tokio::sync::Semaphore;

use super::{check_each_once, dropped, id, number, pending, post, settled};

/// An hour and a day, both ways.
const JUMPS: [i64; 4] = [3_600, -3_600, 86_400, -86_400];

/// How long the upstream takes for each answer, at least.
const PAUSE: Duration = Duration::from_millis(20);

/// A gateway whose clock jumps, and its neighbours.
struct Scene {
    world: World,
    upstream: Upstream,
    collector: Collector,
    /// The collector takes nothing.
    down: Arc<AtomicBool>,
    /// Half-answered requests whose other half may come.
    released: Arc<Semaphore>,
}

impl Scene {
    async fn new() -> Self {
        let (down, released) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Semaphore::new(0)),
        );
        let (is_down, may_end) = (Arc::clone(&down), Arc::clone(&released));
        let upstream = Upstream::script(move |_, mut wire| {
            let may_end = Arc::clone(&may_end);
            async move {
                while let Some(head) = wire.try_head().await {
                    let body = wire.body(&head).await;
                    wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\nhalf").await;
                    tokio::time::sleep(PAUSE).await;
                    if &body[..] == b"hold" {
                        may_end.acquire().await.unwrap().forget();
                    }
                    wire.send("half").await;
                }
            }
        })
        .await;
        // The sink's clock is right, the gateway's is not: what the sink means is "at once".
        let now = httpdate::fmt_http_date(SystemTime::now());
        let busy: &'static str = format!("date: {now}\r\nretry-after: {now}\r\n").leak();
        let collector = Collector::reacting(move |_, _| match is_down.load(SeqCst) {
            true => Reaction::Refuse(503, busy),
            false => Reaction::Take,
        })
        .await;
        Self {
            world: World::build(),
            upstream,
            collector,
            down,
            released,
        }
    }

    /// All that waits, waits longer than the test, if it should wait by the wrong clock.
    fn setup(&self) -> Setup {
        Gateway::before(self.upstream.url())
            .collect(&self.collector)
            .within(&self.world)
            .set("export/batch/linger", "50ms")
            .set("export/retry/initial", "20ms")
            .set("export/retry/max", "1h")
            .set("export/retry/give_up_after", "30m")
    }
}

/// Sends so many requests, and checks the figures on their answers.
async fn send(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut client = Wire::connect(gateway.address()).await;
    let mut ids = Vec::new();
    for _ in 0..count {
        let (head, body) = client.exchange(post("word")).await;
        assert_eq!((head.status(), &body[..]), (200, &b"halfhalf"[..]));
        check_figures(&head);
        ids.push(id(&head));
    }
    ids
}

/// No figure knows of hours.
#[track_caller]
fn check_figures(head: &Head) {
    let timing = head.field("server-timing").unwrap();
    let figures = timing.split(", ").map(|figure| {
        let (_, millis) = figure.split_once(";dur=").unwrap();
        millis.parse::<f64>().unwrap()
    });
    let figures: Vec<_> = figures.collect();
    let plausible = |millis: &f64| (0.0..PATIENCE.as_millis() as f64).contains(millis);
    assert!(
        figures.len() == 4 && figures.iter().all(plausible),
        "{timing}"
    );
}

/// These traces began when a clock said so that is this far ahead, and took as long as they took.
#[track_caller]
fn check_times(traces: &[Trace], ids: &[String], ahead: i64) {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    for trace in traces {
        if !ids.contains(&trace.root.trace_id) {
            continue;
        }
        let (root, call) = (&trace.root, trace.call.as_ref().unwrap());
        let age = now + ahead - (root.start_nanos / 1_000_000_000) as i64;
        // The whole test is over within less than the smallest jump.
        assert!((-1..1_800).contains(&age), "{age} s old: {root:#?}");
        let took = Duration::from_nanos(root.nanos);
        assert!((PAUSE..PATIENCE).contains(&took), "{took:?}");
        assert!(call.start_nanos >= root.start_nanos);
        assert!(call.start_nanos + call.nanos <= root.start_nanos + root.nanos);
    }
}

/// The clock jumps in the middle of an exchange, of a pause between attempts and of a batch's linger.
async fn jump_while_it_runs(scene: &Scene, gateway: &Gateway, ahead: i64) -> Vec<String> {
    let before = send(gateway, 3).await;
    settled(gateway, 3).await;
    scene.down.store(true, SeqCst);
    let mut held = Wire::connect(gateway.address()).await;
    held.send(post("hold")).await;
    let head = held.head().await;
    let mut at_once = send(gateway, 3).await;
    at_once.push(id(&head));
    scene.world.set_wall_clock(ahead);
    let after = send(gateway, 3).await;
    scene.released.add_permits(1);
    assert_eq!(&held.body(&head).await[..], b"halfhalf");
    gateway.account(|account| pending(account) == 7).await;
    scene.down.store(false, SeqCst);
    let account = settled(gateway, 10).await;
    assert_eq!(dropped(&account), 0, "{ahead} s: {account}");
    let traces = scene.collector.traces();
    check_times(&traces, &before, 0);
    check_times(&traces, &at_once, 0);
    check_times(&traces, &after, ahead);
    [before, at_once, after].concat()
}

#[tokio::test]
async fn a_clock_that_jumps_moves_the_traces_times_and_nothing_else() {
    for ahead in JUMPS {
        let scene = Scene::new().await;
        let gateway = scene.setup().start().await;
        let mut ids = jump_while_it_runs(&scene, &gateway, ahead).await;
        // And back, while the process drains.
        ids.extend(send(&gateway, 3).await);
        gateway.ask_to_stop();
        scene.world.set_wall_clock(0);
        let stopped = gateway.stopped().await;
        assert!(stopped.status.success(), "{ahead} s: {stopped:?}");
        assert!(!stopped.log.contains("panicked"), "{}", stopped.log);
        check_each_once(&scene.collector, &ids);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_loses_nothing_on_disk_and_across_a_restart() {
    for ahead in JUMPS {
        let scene = Scene::new().await;
        let folder = tempfile::tempdir().unwrap();
        let start = || scene.setup().spool(folder.path(), "always").start();
        let gateway = start().await;
        let mut ids = jump_while_it_runs(&scene, &gateway, ahead).await;
        scene.down.store(true, SeqCst);
        ids.extend(send(&gateway, 5).await);
        gateway
            .account(|account| number(account, "/kept") == 15)
            .await;
        assert!(gateway.terminate().await.status.success());
        // The next process begins before this one, or long after it.
        scene.world.set_wall_clock(-ahead);
        let gateway = start().await;
        let later = send(&gateway, 3).await;
        scene.down.store(false, SeqCst);
        let account = settled(&gateway, 18).await;
        assert_eq!(dropped(&account), 0, "{ahead} s: {account}");
        assert_eq!(number(&account, "/since_start/recovered"), 5, "{account}");
        check_times(&scene.collector.traces(), &later, -ahead);
        ids.extend(later);
        check_each_once(&scene.collector, &ids);
        assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    }
}
