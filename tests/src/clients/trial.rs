//! Calls with every end, on a route that keeps all and on one that keeps what its rules name.

use std::collections::BTreeMap;
use std::time::Duration;

use offpath::demo::mlflow::Installation;
use serde_json::json;

use super::verdict::Wrong;
use super::{Report, Step, drive, record};
use crate::{Collector, Ending, Gateway, Metrics, Setup, Trace, eventually};

/// Between an API's last word and the last chunk.
const TAILS_MS: [u64; 6] = [0, 1, 2, 5, 20, 50];

/// Keeps every exchange.
const ALL: &str = "all";

/// Keeps what failed, and what its client left.
const RULES: &str = "rules";

/// A call of a client, and what it consists of.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    name: &'static str,
    leaves: bool,
    exchanges: usize,
    /// Whether its answer comes in the chunked coding, so that it can end otherwise.
    chunked: bool,
    /// Whether the client reports a stream that is cut before its last word.
    notices_cut: bool,
}

impl Call {
    /// One exchange; the client can leave before its answer is whole.
    pub const fn streamed(name: &'static str) -> Self {
        Self {
            name,
            leaves: true,
            exchanges: 1,
            chunked: true,
            notices_cut: true,
        }
    }

    /// One exchange; the client waits for the whole answer.
    pub const fn whole(name: &'static str) -> Self {
        Self {
            leaves: false,
            ..Self::streamed(name)
        }
    }

    /// The same, answered with a length, so that it has one end only.
    pub const fn with_length(name: &'static str) -> Self {
        Self {
            chunked: false,
            ..Self::whole(name)
        }
    }

    /// So many exchanges, where none of them ends early.
    pub const fn of(self, exchanges: usize) -> Self {
        Self { exchanges, ..self }
    }

    /// The client is content once it has a finish reason, and does not report a cut after it.
    pub const fn content_with_finish_reason(self) -> Self {
        Self {
            notices_cut: false,
            ..self
        }
    }

    fn endings(&self, times: usize) -> Vec<Ending> {
        let mut endings = TAILS_MS
            .map(|tail| Ending::Tail(Duration::from_millis(tail)))
            .repeat(times);
        if self.leaves {
            endings.push(Ending::Held);
        }
        if self.chunked {
            endings.push(Ending::Cut);
        }
        endings
    }
}

/// A gateway before `server`, with both routes.
pub fn two_routes(server: impl AsRef<str>) -> Setup {
    let keep = json!({"errors": true, "client_left": true, "max_per_second": 1000});
    Gateway::before(server).set(
        "routes",
        json!([
            {"name": RULES, "match": {"headers": {"x-route": RULES}}, "upstream": "model",
                "sampling": {"ratio": 0, "keep": keep}},
            {"name": ALL, "upstream": "model"},
        ]),
    )
}

/// A driver, and the calls that it makes.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The environment that it runs in.
    pub installation: &'a Installation,
    /// The program.
    pub driver: &'a str,
    /// The calls.
    pub calls: &'a [Call],
    /// How often each tail is tried on the route that keeps all.
    pub times: usize,
}

impl Client<'_> {
    /// Makes the calls with every end against the server at this URL, and compares the traces, the
    /// metrics and the client's own reports.
    pub async fn check(&self, server: impl AsRef<str>) {
        let collector = Collector::start().await;
        let setup = two_routes(server).collect(&collector);
        self.check_with(setup, &collector).await;
    }

    /// Like [`Client::check`], through a gateway of [`two_routes`] with further settings, and with
    /// this collector as a sink.
    pub async fn check_with(&self, setup: Setup, collector: &Collector) {
        let gateway = setup.start().await;
        let trials: Vec<Trial> = self
            .calls
            .iter()
            .flat_map(|call| Trial::all(call, self.times))
            .collect();
        let steps: Vec<Step> = trials.iter().map(|trial| trial.step.clone()).collect();
        let reports = drive(self.installation, self.driver, &gateway.url(), &steps).await;
        let metrics = settled(&gateway, trials.iter().map(|trial| trial.exchanges).sum()).await;
        assert!(gateway.terminate().await.status.success());
        let mut traces = by_request(collector);
        let mut wrong = Wrong::default();
        for (trial, report) in trials.iter().zip(&reports) {
            let found = traces.remove(&trial.step.id).unwrap_or_default();
            wrong.add(&trial.kind(), trial.look(report, &found));
        }
        for route in [ALL, RULES] {
            for end in ["complete", "client_left", "upstream_cut"] {
                let alike = |trial: &&Trial| trial.route == route && trial.end() == end;
                let expected = trials.iter().filter(alike).map(|trial| trial.exchanges);
                let labels = [format!("route=\"{route}\""), format!("reason=\"{end}\"")];
                let counted = metrics.sum("offpath_ends_total", &labels.each_ref().map(|l| &**l));
                wrong.count(&format!("ends_total {labels:?}"), counted, expected.sum());
            }
        }
        wrong.check(self.driver);
    }
}

/// All traces by their request's id, oldest first.
pub fn by_request(collector: &Collector) -> BTreeMap<String, Vec<Trace>> {
    let mut all = collector.traces();
    all.sort_by_key(|trace| trace.root.start_nanos);
    let mut traces: BTreeMap<String, Vec<Trace>> = BTreeMap::new();
    for trace in all {
        let id = trace.text("offpath.request_id");
        traces.entry(id).or_default().push(trace);
    }
    traces
}

/// The metrics, once so many exchanges have been decided.
async fn settled(gateway: &Gateway, exchanges: usize) -> Metrics {
    eventually("all exchanges to be decided", async || {
        let metrics = gateway.metrics().await;
        let decided = metrics.sum("offpath_exchanges_total", &[]);
        (decided >= exchanges as f64).then_some(metrics)
    })
    .await
}

/// A call with one of the ends, on one of the routes.
struct Trial {
    step: Step,
    route: &'static str,
    exchanges: usize,
    notices_cut: bool,
}

impl Trial {
    fn all(call: &Call, times: usize) -> Vec<Self> {
        let mut trials = Vec::new();
        for (route, times) in [(ALL, times), (RULES, 1)] {
            let endings = call.endings(times).into_iter().enumerate();
            trials.extend(endings.map(|(number, ending)| Self {
                step: Step {
                    id: format!("{route}-{}-{}-{number}", call.name, ending.value()),
                    call: call.name.to_owned(),
                    ending,
                    headers: vec![("x-route", route.to_owned())],
                },
                route,
                notices_cut: call.notices_cut,
                exchanges: match ending {
                    Ending::Tail(_) => call.exchanges,
                    Ending::Held | Ending::Cut => 1,
                },
            }));
        }
        trials
    }

    fn kind(&self) -> String {
        let Step { call, ending, .. } = &self.step;
        format!("{} {call} {}", self.route, ending.value())
    }

    /// How it must end, in the words of `offpath.end_reason`.
    fn end(&self) -> &'static str {
        match self.step.ending {
            Ending::Tail(_) => "complete",
            Ending::Held => "client_left",
            Ending::Cut => "upstream_cut",
        }
    }

    /// Why its route keeps it; `None`: it does not.
    fn kept_because(&self) -> Option<&'static str> {
        match (self.route, self.step.ending) {
            (ALL, _) => Some("ratio"),
            (_, Ending::Tail(_)) => None,
            (_, Ending::Held) => Some("client_left"),
            (_, Ending::Cut) => Some("error"),
        }
    }

    /// What is wrong.
    fn look(&self, report: &Report, traces: &[Trace]) -> Vec<String> {
        let mut wrong = Vec::new();
        let kept = self.kept_because().map_or(0, |_| self.exchanges);
        if traces.len() != kept {
            wrong.push(format!("{} traces, not {kept}", traces.len()));
        }
        match (report, self.step.ending) {
            (Ok(_), Ending::Cut) if self.notices_cut => {
                wrong.push("the client saw no error".to_owned())
            }
            (Err(error), Ending::Tail(_) | Ending::Held) => {
                wrong.push(format!("the client failed: {error}"));
            }
            _ => {}
        }
        for (number, trace) in traces.iter().enumerate() {
            wrong.extend(self.look_at(trace));
            if let Some(seen) = report.as_ref().ok().and_then(|said| said.get(number)) {
                wrong.extend(match self.step.ending {
                    Ending::Held => record::text_differs(trace, seen),
                    Ending::Tail(_) | Ending::Cut => record::differences(trace, seen),
                });
            }
        }
        wrong
    }

    fn look_at(&self, trace: &Trace) -> Vec<String> {
        let is_error = trace.root.error.is_some();
        let expected = [
            ("ended", trace.text("offpath.end_reason"), self.end()),
            (
                "kept because",
                trace.text("offpath.kept_because"),
                self.kept_because().unwrap_or("never"),
            ),
            (
                "status",
                if is_error { "ERROR" } else { "OK" }.to_owned(),
                match self.step.ending {
                    Ending::Cut => "ERROR",
                    Ending::Tail(_) | Ending::Held => "OK",
                },
            ),
        ];
        let wrong = expected
            .into_iter()
            .filter(|(_, found, right)| found != right);
        wrong
            .map(|(what, found, right)| format!("{what} {found}, not {right}"))
            .collect()
    }
}
