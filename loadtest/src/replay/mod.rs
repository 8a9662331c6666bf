//! Recorded exchanges again, at their recorded instants, against another target.
//!
//! Open loop: an exchange is due at its instant, whatever became of those before it, turns of one
//! conversation too; requests are as they were recorded, answers are compared afterwards. What it
//! does not know: what a model would have been asked had it answered otherwise.

mod differ;
mod exchange;
mod meaning;
mod selection;
pub mod source;
mod table;
mod tally;

pub use self::differ::{Checks, Kind};
pub use self::exchange::{Answer, Chat, Content, Exchange, Lengths};
pub use self::selection::{Filter, Selection};
pub use self::tally::{Counts, Tally, Told};

use std::collections::BTreeMap;
use std::sync::mpsc::{TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;

use crate::client::{Http, Target, Template, Trust};
use crate::report::Summary;
use crate::run::{self, Check, Due, Error, Recording, Requests};
use crate::schedule::Load;

/// Answers that may wait to be compared.
const WAITING_MAX: usize = 256;

/// All that a replay is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where requests go. With the path `/`, each goes to its recorded path, or to
    /// `/v1/chat/completions` where none was recorded; with any other, all go there.
    pub target: Target,
    /// What is sent, as [`Selection::of`] gives it; at least one.
    pub exchanges: Arc<[Exchange]>,
    /// When.
    pub selection: Selection,
    /// For exchanges of which only the lengths are known.
    pub chat: Chat,
    /// Header fields of every request.
    pub headers: HeaderMap,
    /// The header field that tells the conversation.
    pub session_header: Option<HeaderName>,
    /// What of the answers is compared.
    pub checks: Checks,
    /// The version spoken.
    pub http: Http,
    /// Authorities for an `https` target.
    pub trust: Option<Trust>,
    /// The most requests in flight.
    pub connections: usize,
    /// From a request's intended start to its last byte.
    pub timeout: Duration,
    /// A host besides this machine that the caller may load.
    pub permitted_host: Option<String>,
}

/// The result of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// What the load was like.
    pub load: Summary,
    /// How the answers compare.
    pub answers: Tally,
    /// What of the source could not be sent, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
}

/// Replays until all is sent and answered, or `stop` resolves.
///
/// # Errors
/// As [`run::run`].
pub async fn replay(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    progress: impl Fn(Duration, u64),
) -> Result<Replayed, Error> {
    // A template that cannot be made is found before the load.
    for exchange in plan.exchanges.iter() {
        template(plan, exchange).map_err(Error::Request)?;
    }
    let at: Vec<Duration> = plan.exchanges.iter().map(|exchange| exchange.at).collect();
    let duration = plan.selection.duration(&at);
    let schedule = plan.selection.schedule(at);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (comparer, check) = comparer(plan, &tally).map_err(Error::Thread)?;
    let recording = Recording {
        schedule: Box::new(schedule.map(|(offset, request)| Due { offset, request })),
        check,
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
    // The recording, and with it the sender, is gone: the thread ends with what waits.
    comparer.join().ok();
    let answers = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Replayed {
        load: load?,
        answers,
        skipped: BTreeMap::new(),
    })
}

type Waiting = (usize, Parts, Bytes);

/// A thread that compares, so that a large answer does not keep others from being read; where it
/// falls behind, answers are compared where they were read.
fn comparer(
    plan: &Plan,
    tally: &Arc<Mutex<Tally>>,
) -> std::io::Result<(thread::JoinHandle<()>, Arc<Check>)> {
    let (exchanges, checks) = (Arc::clone(&plan.exchanges), plan.checks.clone());
    let tally = Arc::clone(tally);
    let compare = Arc::new(move |(index, parts, body): Waiting| {
        let Some(exchange) = exchanges.get(index) else {
            return;
        };
        let (compared, found) = checks.compare(&exchange.answer, &parts, &body);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(index, compared, found);
    });
    let (send, receive) = sync_channel::<Waiting>(WAITING_MAX);
    let for_thread = Arc::clone(&compare);
    let thread = thread::Builder::new()
        .name("compare".to_owned())
        .spawn(move || receive.into_iter().for_each(|waiting| for_thread(waiting)))?;
    let check = move |index: usize, parts: &Parts, body: Bytes| match send.try_send((
        index,
        parts.clone(),
        body,
    )) {
        Ok(()) => {}
        Err(TrySendError::Full(waiting) | TrySendError::Disconnected(waiting)) => compare(waiting),
    };
    Ok((thread, Arc::new(check)))
}

/// The requests, each made when it is sent: a trace's prompts need not all be in memory.
fn requests(plan: Plan) -> Requests {
    Requests::made(move |index| {
        let exchange = plan.exchanges.get(index % plan.exchanges.len().max(1))?;
        template(&plan, exchange).ok()
    })
}

fn template(plan: &Plan, exchange: &Exchange) -> crate::client::Result<Template> {
    let mut target = plan.target.clone();
    if target.path_and_query.as_str() == "/" {
        let path = exchange.path.clone();
        target.path_and_query =
            path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/v1/chat/completions"));
    }
    let (content_type, body) = match &exchange.content {
        Content::Whole { content_type, body } => (*content_type, body.clone()),
        Content::Lengths(lengths) => ("application/json", plan.chat.of_lengths(lengths)),
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
    Template::new(&target, plan.http, exchange.method.clone(), headers, body)
}

#[cfg(test)]
mod tests;
