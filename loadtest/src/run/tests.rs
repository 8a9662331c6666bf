use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::*;
use crate::bodies;
use crate::client::PreparedRequest;
use crate::schedule::Arrivals;
use crate::upstream::Server;

fn plan(url: &str, headers: &[(&'static str, &'static str)], body: Bytes, load: Load) -> Plan {
    let target: Target = url.parse().unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    Plan {
        requests: repeat(&target, Http::One, map, body),
        target,
        http: Http::One,
        trust: None,
        load,
        duration: Duration::from_millis(100),
        timeout: Duration::from_secs(20),
        permitted_host: None,
    }
}

fn repeat(target: &Target, http: Http, headers: HeaderMap, body: Bytes) -> Requests {
    Requests::repeat(PreparedRequest::new(target, http, Method::POST, headers, body).unwrap())
}

fn open(rate: f64, connections: usize) -> Load {
    Load::Open {
        arrivals: Arrivals::Constant,
        rate,
        ramp_to: None,
        seed: 1,
        connections,
    }
}

async fn summary_of(plan: &Plan) -> Summary {
    run(plan, future::pending(), |_, _| ()).await.unwrap()
}

async fn start() -> Server {
    Server::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_scheduled_request_is_sent_and_counted_on_both_versions() {
    let server = start().await;
    for http in [Http::One, Http::Two] {
        let mut plan = plan(
            &server.url("/echo"),
            &[],
            Bytes::from("12345"),
            open(400.0, 16),
        );
        plan.http = http;
        let body = Bytes::from("12345");
        plan.requests = repeat(&plan.target, http, HeaderMap::new(), body);
        let summary = summary_of(&plan).await;
        assert_eq!(summary.requests, 40);
        assert_eq!(summary.statuses.get(&200), Some(&40));
        assert!(summary.errors.is_empty(), "{summary}");
        assert_eq!(
            (summary.body_bytes.sent, summary.body_bytes.received),
            (200, 200)
        );
        assert!(!summary.has_failed());
        for name in ["latency", "latency from send", "dispatch lag"] {
            assert_eq!(summary.figure(name).unwrap().count, 40, "{name}");
        }
        if http == Http::Two {
            assert_eq!(summary.connections, 1);
        }
    }
}

#[tokio::test]
async fn waiting_for_a_connection_is_in_the_latency_from_the_intended_start() {
    let server = start().await;
    let delay = [("x-delay-us", "20000")];
    let plan = plan(&server.url("/echo"), &delay, Bytes::new(), open(100.0, 1));
    let summary = summary_of(&plan).await;
    assert_eq!((summary.requests, summary.connections), (10, 1));
    // Ten responses of 20 ms one after the other, the last of which was due at 90 ms.
    let latency = summary.figure("latency").unwrap();
    assert!(latency.max >= 200_000 - 90_000, "{summary}");
    // The last request was sent after 180 ms or more, which is at most 56/s.
    assert!(!summary.degraded.is_empty(), "{summary}");
}

#[tokio::test]
async fn a_stream_has_token_times_and_no_overhead_figure_without_the_header() {
    let server = start().await;
    let url = server.url("/v1/chat/completions?tokens=4&gap-us=300");
    let plan = plan(&url, &[], bodies::chat(3, true, "m"), open(50.0, 4));
    let summary = summary_of(&plan).await;
    let count = |name| summary.figure(name).map(|figure| figure.count);
    assert_eq!(count("ttft"), Some(5));
    assert_eq!(count("itl"), Some(5 * 3));
    assert_eq!(count("tpot"), Some(5));
    assert_eq!(count("x-offpath-overhead-us"), None);
    // The first token is sent one gap after the head.
    assert!(summary.figure("ttft").unwrap().p50 >= 300);
}

#[tokio::test]
async fn a_truncated_response_is_an_error_and_not_a_success() {
    let server = start().await;
    let body = Bytes::from("0123456789");
    let plan = plan(
        &server.url("/echo"),
        &[("x-cut-after", "4")],
        body,
        open(50.0, 4),
    );
    let summary = summary_of(&plan).await;
    assert_eq!(summary.errors.get("cut"), Some(&5), "{summary}");
    assert!(summary.statuses.is_empty());
    assert!(summary.has_failed());
    assert_eq!(summary.figure("latency"), None);
}

#[tokio::test]
async fn a_response_later_than_the_timeout_is_an_error() {
    let server = start().await;
    let headers = [("x-stall-ms", "5000")];
    let body = Bytes::from("0123456789");
    let mut plan = plan(&server.url("/echo"), &headers, body, open(50.0, 1));
    plan.timeout = Duration::from_millis(50);
    let summary = summary_of(&plan).await;
    assert_eq!(summary.errors.get("timeout"), Some(&5), "{summary}");
}

#[tokio::test]
async fn a_target_that_is_down_is_named_and_not_loaded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let plan = plan(&format!("http://{addr}/"), &[], Bytes::new(), open(50.0, 4));
    let summary = summary_of(&plan).await;
    assert!(summary.has_failed());
    assert_eq!(
        (summary.requests, summary.errors.get("connect")),
        (0, Some(&1))
    );
    assert!(summary.first_error.unwrap().contains(&addr.to_string()));
}

#[tokio::test]
async fn a_host_that_is_not_this_machine_is_refused_unless_it_is_named() {
    let refused = async |url: &str, permitted: Option<&str>| {
        let mut plan = plan(url, &[], Bytes::new(), open(50.0, 4));
        plan.permitted_host = permitted.map(str::to_owned);
        plan.timeout = Duration::from_millis(1);
        let result = run(&plan, future::pending(), |_, _| ()).await;
        matches!(result, Err(Error::Refused(_)))
    };
    // TEST-NET-1 (RFC 5737): nobody answers there.
    assert!(refused("http://192.0.2.1/", None).await);
    assert!(refused("http://192.0.2.1/", Some("192.0.2.2")).await);
    assert!(refused("http://model.invalid/", None).await);
    assert!(!refused("http://192.0.2.1:9/", Some("192.0.2.1")).await);
}

#[tokio::test]
async fn a_stopped_run_keeps_what_it_measured() {
    let server = start().await;
    let mut plan = plan(&server.url("/echo"), &[], Bytes::new(), open(200.0, 4));
    plan.duration = Duration::from_secs(3600);
    let (seen, mut enough) = tokio::sync::watch::channel(0);
    let stop = async {
        enough.wait_for(|finished| *finished >= 5).await.unwrap();
    };
    let progress = |_, finished| {
        seen.send_replace(finished);
    };
    let summary = run(&plan, stop, progress).await.unwrap();
    assert!(summary.requests >= 5);
    assert!(summary.duration_s < 3600.0);
}

/// Counts requests in flight. None of the first `together` is answered before all have arrived.
#[derive(Debug)]
struct Gathering {
    barrier: Barrier,
    together: usize,
    seen: AtomicUsize,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl Gathering {
    async fn answer(&self) {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        if self.seen.fetch_add(1, Ordering::SeqCst) < self.together {
            self.barrier.wait().await;
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn closed_loop_keeps_n_in_flight_and_never_more() {
    const WORKERS: usize = 7;
    let gathering = Arc::new(Gathering {
        barrier: Barrier::new(WORKERS),
        together: WORKERS,
        seen: AtomicUsize::new(0),
        in_flight: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    let counted = Arc::clone(&gathering);
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            let service = service_fn(move |_| {
                let counted = Arc::clone(&counted);
                async move {
                    counted.answer().await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            connections.spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    let summary = summary_of(&plan(
        &url,
        &[],
        Bytes::new(),
        Load::Closed { workers: WORKERS },
    ))
    .await;
    assert!(summary.errors.is_empty(), "{summary}");
    assert!(summary.requests >= WORKERS as u64);
    assert_eq!(gathering.most.load(Ordering::SeqCst), WORKERS);
    assert_eq!(summary.connections, WORKERS as u64);
    assert_eq!(summary.figure("dispatch lag"), None);
}
