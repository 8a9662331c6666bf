use std::future;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::bootstrap::{Interval, QUANTILES};
use super::*;
use crate::bodies;
use crate::report::Metric;
use crate::schedule::Arrivals;
use crate::upstream::Server;

fn plan(baseline: &str, other: &str, cases: Vec<Case>) -> Plan {
    let named = |name: &str, url: &str| NamedTarget {
        name: name.to_owned(),
        target: url.parse().unwrap(),
    };
    Plan {
        baseline: named("direct", baseline),
        others: vec![named("proxy", other)],
        cases,
        http: Http::One,
        trust: None,
        permitted_host: None,
        load: Load::Open {
            arrivals: Arrivals::Constant,
            rate: 1000.0,
            ramp_to: None,
            seed: 0,
            connections: 16,
        },
        block: Duration::from_millis(10),
        settle: Duration::ZERO,
        rounds: ROUNDS_MIN,
        seed: 1,
        timeout: Duration::from_secs(20),
        with_control: true,
        processes: Vec::new(),
        gates: Vec::new(),
    }
}

fn case(name: &str, body: Bytes) -> Case {
    Case {
        name: name.to_owned(),
        method: Method::POST,
        headers: HeaderMap::new(),
        body,
    }
}

async fn compared(plan: &Plan) -> Comparison {
    compare(plan, future::pending(), |_| ()).await.unwrap()
}

async fn start() -> Server {
    Server::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

const CLAIM: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-offpath-overhead-us: 40\r\n\r\n";

/// Answers each request with an empty body and a claimed overhead of 40 us. After `responses`
/// requests it closes every connection.
async fn claiming(responses: usize) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let left = std::sync::Arc::new(tokio::sync::Semaphore::new(responses));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            let left = std::sync::Arc::clone(&left);
            connections.spawn(async move {
                let mut socket = socket;
                while read_head(&mut socket).await {
                    let Ok(permit) = left.try_acquire() else {
                        return;
                    };
                    permit.forget();
                    socket.write_all(CLAIM).await.unwrap();
                }
            });
        }
    });
    (url, tasks)
}

/// Reads a request head. Returns false if the connection ended instead.
async fn read_head(socket: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

#[tokio::test]
async fn every_case_is_sent_to_every_lane_equally_often_and_a_delay_shows_as_added_latency() {
    let server = start().await;
    let (direct, proxy) = (server.url("/echo"), server.url("/echo?delay-us=50000"));
    let cases = vec![
        case("small", Bytes::from("1")),
        case("large", Bytes::from(vec![b'x'; 9000])),
    ];
    let found = compared(&plan(&direct, &proxy, cases)).await;
    assert_eq!((found.rounds, found.failure.as_ref()), (ROUNDS_MIN, None));
    for (case, bytes) in found.cases.iter().zip([1, 9000]) {
        assert_eq!(case.request_bytes, bytes);
        let names: Vec<&str> = case.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(names, ["direct", "proxy", "control"]);
        // The requests of the warm-up do not count.
        assert!(
            case.lanes
                .iter()
                .all(|lane| lane.requests == 10 * ROUNDS_MIN as u64)
        );
        assert!(case.audits.is_empty());
        let added = |lane: &str| {
            let mut found = case.differences.iter();
            let latency =
                |found: &&Difference| found.lane == lane && found.metric == Metric::Latency;
            found.find(latency).unwrap().added.0[0].unwrap()
        };
        let measured = |lane: usize| case.lanes[lane].us[&Metric::Latency].0[0].unwrap();
        assert!((added("proxy").us - (measured(1) - measured(0))).abs() < 0.001);
        assert!((added("control").us - (measured(2) - measured(0))).abs() < 0.001);
        assert!(measured(1) >= 50_000.0, "{found}");
        let detectable = case
            .detectable
            .iter()
            .find(|of| of.metric == Metric::Latency)
            .unwrap();
        let Interval { low, high, .. } = added("control");
        assert_eq!(detectable.us.0[0], Some(low.abs().max(high.abs())));
    }
}

#[tokio::test]
async fn a_claimed_overhead_is_compared_with_the_difference_of_the_heads() {
    let server = start().await;
    let (proxy, _tasks) = claiming(usize::MAX >> 4).await;
    let found = compared(&plan(
        &server.url("/echo"),
        &proxy,
        vec![case("empty", Bytes::new())],
    ))
    .await;
    let case = &found.cases[0];
    let [audit] = case.audits.as_slice() else {
        panic!("{found}")
    };
    assert_eq!(
        (audit.lane.as_str(), audit.claimed_us.0[0]),
        ("proxy", Some(40.0))
    );
    let head = |found: &&Difference| found.lane == "proxy" && found.metric == Metric::Head;
    let head = case.differences.iter().find(head).unwrap().added.0[0].unwrap();
    let residual = audit.head_residual.0[0].unwrap();
    assert!((head.us - 40.0 - residual.us).abs() < 0.001);
    assert!((head.low - 40.0 - residual.low).abs() < 0.001);
}

#[tokio::test]
async fn a_target_that_goes_down_ends_the_comparison_and_the_measurements_are_kept() {
    let server = start().await;
    // These are enough for the warm-up and ROUNDS_MIN + 1 rounds of 10 requests.
    let (proxy, _tasks) = claiming(10 * (ROUNDS_MIN + 2)).await;
    let mut plan = plan(
        &server.url("/echo"),
        &proxy,
        vec![case("empty", Bytes::new())],
    );
    plan.rounds = 3 * ROUNDS_MIN;
    plan.with_control = false;
    let found = compared(&plan).await;
    assert_eq!(found.rounds, ROUNDS_MIN + 1);
    assert_eq!(found.cases.len(), 1);
    let failure = found.failure.unwrap();
    assert!(
        failure.contains("no request to `proxy` succeeded in round 10"),
        "{failure}"
    );

    let down = TcpListener::bind("127.0.0.1:0").await.unwrap();
    plan.baseline.target = format!("http://{}/", down.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(down);
    let error = compare(&plan, future::pending(), |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Down(_)), "{error}");
    plan.baseline.target = "http://192.0.2.1/".parse().unwrap();
    let error = compare(&plan, future::pending(), |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_closed_loop_can_be_compared() {
    let server = start().await;
    let (direct, slow) = (server.url("/echo"), server.url("/echo?delay-us=20000"));
    let mut plan = plan(&direct, &slow, vec![case("one", Bytes::from("1"))]);
    plan.load = Load::Closed { workers: 1 };
    plan.block = Duration::from_millis(50);
    let found = compared(&plan).await;
    let requests = |lane: usize| found.cases[0].lanes[lane].requests;
    // One request at a time takes 20 ms and must begin within the block of 50 ms.
    assert!(requests(1) <= 3 * ROUNDS_MIN as u64, "{found}");
    assert!(
        requests(1) >= ROUNDS_MIN as u64 && requests(0) > requests(1),
        "{found}"
    );
    let table = found.to_string();
    assert!(
        table.contains("load         closed loop, 1 in flight"),
        "{table}"
    );
}

#[tokio::test]
async fn streams_processes_and_gates_have_their_rows() {
    let server = start().await;
    let url = server.url("/v1/chat/completions?tokens=4&gap-us=100");
    let mut plan = plan(&url, &url, vec![case("stream", bodies::chat(3, true, "m"))]);
    plan.processes = vec![
        format!("this={}", std::process::id()).parse().unwrap(),
        format!("gone={}", u32::MAX).parse().unwrap(),
    ];
    plan.gates = vec![
        "added_itl_p50 > 24h".parse().unwrap(),
        "added_p99.9 > 1us".parse().unwrap(),
    ];
    let found = compared(&plan).await;
    let metrics: Vec<Metric> = found.cases[0].lanes[0].us.keys().copied().collect();
    assert_eq!(
        metrics,
        [Metric::Latency, Metric::Head, Metric::Ttft, Metric::Itl]
    );
    let [this, gone] = found.processes.as_slice() else {
        panic!("{found}")
    };
    assert_eq!((this.used.len(), gone.used.len()), (3, 0));
    assert!(this.used.iter().all(|used| used.cpu_us_per_request > 0.0));
    assert!(this.memory.unwrap().peak_bytes > 0 && gone.memory.is_none());
    // Gates look at the proxy, not at the control; 80 requests have no p99.9.
    let verdicts: Vec<_> = found
        .gates
        .iter()
        .map(|result| (result.lane.as_str(), result.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [("proxy", Verdict::Passed), ("proxy", Verdict::Undecidable)]
    );
    assert_eq!(found.verdict(), Some(Verdict::Undecidable));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["gates"][0]["gate"], "added_itl_p50 > 24h");
    let latency = &json["cases"][0]["differences"][0];
    assert_eq!(latency["metric"], "latency");
    assert!(latency["added"]["p50"]["low"].is_f64() && latency["added"]["p99.9"].is_null());
    assert_eq!(
        QUANTILES.map(|(name, _)| name),
        ["p50", "p90", "p99", "p99.9"]
    );
    let table = found.to_string();
    for part in [
        "control (A/A)",
        "detection limit",
        "(1 bytes)",
        "cannot be read",
        "UNDECIDABLE",
    ] {
        let part = part.replace(
            "(1 bytes)",
            &format!("stream ({} bytes)", found.cases[0].request_bytes),
        );
        assert!(table.contains(&part), "no `{part}` in\n{table}");
    }
}
