//! Replays: recorded exchanges are sent at their recorded instants, and the responses are compared.
//!
//! A replay is an open loop: an exchange is due at its instant whether or not earlier ones were
//! answered, even within one conversation. Requests are sent as recorded, so a later turn of a
//! conversation contains the recorded responses and not the new ones.

mod checks;
mod exchange;
mod response;
mod selection;
pub mod source;
mod table;
mod tally;

pub use self::checks::{CheckKind, Checks};
pub use self::exchange::{ChatDefaults, Exchange, Lengths, RecordedResponse, RequestBody};
pub use self::selection::{Filter, Selection};
pub use self::tally::{Counts, ExchangeMismatch, Tally};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::Mutex;
use serde::Serialize;

use crate::client::{Http, PreparedRequest, Target, Trust};
use crate::report::Summary;
use crate::run::{self, Check, Error, Recording, Requests};
use crate::schedule::Load;

/// Maximum number of responses that wait for the comparing thread.
const WAITING_MAX: usize = 256;

/// The description of a replay.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The target. If its path is `/`, each request goes to its recorded path, or to
    /// `/v1/chat/completions` if none was recorded. Otherwise all requests go to the target's path.
    pub target: Target,
    /// The exchanges to send, as returned by [`Selection::apply`]; at least one.
    pub exchanges: Arc<[Exchange]>,
    /// The speed and the number of loops.
    pub selection: Selection,
    /// Members of generated chats.
    pub chat: ChatDefaults,
    /// Header fields of every request.
    pub headers: HeaderMap,
    /// The header field that carries the session id.
    pub session_header: Option<HeaderName>,
    /// Selects what to compare in responses.
    pub checks: Checks,
    /// The HTTP version of the requests.
    pub http: Http,
    /// Certificate authorities; required for an `https` target.
    pub trust: Option<Trust>,
    /// Maximum requests in flight.
    pub connections: usize,
    /// Time allowed from a request's intended start to the last byte of its response.
    pub timeout: Duration,
    /// A host that may be loaded although it is not this machine.
    pub permitted_host: Option<String>,
}

/// The result of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// Summary of the load.
    pub load: Summary,
    /// Outcome of comparing the responses.
    pub answers: Tally,
    /// Number of traces that could not be replayed, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
}

/// Replays until every request is finished, or `stop` resolves. `progress` is called regularly with
/// the elapsed time and the number of finished requests.
///
/// # Errors
/// When no request could be attempted, or the target is down.
pub async fn replay(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<Replayed, Error> {
    // Finds an invalid request before the load.
    for exchange in plan.exchanges.iter() {
        prepare(plan, exchange).map_err(Error::Request)?;
    }
    let at: Vec<Duration> = plan.exchanges.iter().map(|exchange| exchange.at).collect();
    let duration = plan.selection.duration(&at);
    let schedule = plan.selection.schedule(at);
    let comparer = Comparer::start(plan).map_err(Error::Thread)?;
    let recording = Recording {
        schedule: Box::new(schedule),
        check: comparer.check,
    };
    let run = run::Plan {
        target: plan.target.clone(),
        requests: requests(plan.clone()),
        http: plan.http,
        trust: plan.trust.clone(),
        load: Load::Recorded {
            exchanges: plan.exchanges.len(),
            speed: plan.selection.speed,
            loops: plan.selection.loops,
            connections: plan.connections,
        },
        duration,
        timeout: plan.timeout,
        permitted_host: plan.permitted_host.clone(),
    };
    let load = run::run_recorded(&run, recording, stop, progress).await;
    // The recording, and with it the channel's sender, is dropped. So the thread ends after it has
    // compared the responses that still wait.
    comparer.thread.join().ok();
    let answers = std::mem::take(&mut *comparer.tally.lock());
    Ok(Replayed {
        load: load?,
        answers,
        skipped: BTreeMap::new(),
    })
}

/// A response that waits to be compared.
struct Waiting {
    /// Index of its exchange.
    index: usize,
    parts: Parts,
    body: Bytes,
}

/// A thread that compares responses, so that comparing a large one does not delay reading others.
/// If the thread falls behind, responses are compared where they were read.
struct Comparer {
    tally: Arc<Mutex<Tally>>,
    /// Passes responses to the thread. The thread ends once this is dropped.
    check: Arc<Check>,
    thread: JoinHandle<()>,
}

impl Comparer {
    fn start(plan: &Plan) -> std::io::Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let compare = {
            let (exchanges, checks) = (Arc::clone(&plan.exchanges), plan.checks.clone());
            let tally = Arc::clone(&tally);
            Arc::new(move |Waiting { index, parts, body }: Waiting| {
                let exchange = exchanges
                    .get(index)
                    .expect("the schedule is made from these exchanges");
                let checked = checks.compare(&exchange.response, &parts, &body);
                tally.lock().add(index, checked);
            })
        };
        let (sender, receiver) = sync_channel::<Waiting>(WAITING_MAX);
        let compare_in_thread = Arc::clone(&compare);
        let thread = thread::Builder::new()
            .name("compare".to_owned())
            .spawn(move || {
                for waiting in receiver {
                    compare_in_thread(waiting);
                }
            })?;
        let check = move |index: usize, parts: &Parts, body: Bytes| {
            let parts = parts.clone();
            match sender.try_send(Waiting { index, parts, body }) {
                Ok(()) => {}
                Err(TrySendError::Full(waiting) | TrySendError::Disconnected(waiting)) => {
                    compare(waiting);
                }
            }
        };
        Ok(Self {
            tally,
            check: Arc::new(check),
            thread,
        })
    }
}

/// The requests of a replay. Each is generated when it is sent, so that the prompts of a whole trace
/// need not fit in memory.
fn requests(plan: Plan) -> Requests {
    Requests::generate(move |index| prepare(&plan, plan.exchanges.get(index)?).ok())
}

fn prepare(plan: &Plan, exchange: &Exchange) -> crate::client::Result<PreparedRequest> {
    let mut target = plan.target.clone();
    if target.path_and_query.as_str() == "/" {
        target.path_and_query = exchange
            .path
            .clone()
            .unwrap_or_else(|| PathAndQuery::from_static("/v1/chat/completions"));
    }
    let (content_type, body) = match &exchange.body {
        RequestBody::Recorded { content_type, body } => (*content_type, body.clone()),
        RequestBody::Generated(lengths) => ("application/json", plan.chat.generate(lengths)),
    };
    let mut headers = plan.headers.clone();
    if !body.is_empty() {
        let content_type = HeaderValue::from_static(content_type);
        headers.entry(header::CONTENT_TYPE).or_insert(content_type);
    }
    if let (Some(name), Some(session)) = (&plan.session_header, &exchange.session)
        && let Ok(session) = HeaderValue::try_from(session)
    {
        headers.insert(name, session);
    }
    PreparedRequest::new(&target, plan.http, exchange.method.clone(), headers, body)
}

#[cfg(test)]
mod tests;
