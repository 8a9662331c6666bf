//! How much the endpoint can take: what a program under test must stay well below.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};

use super::Server;
use crate::bodies;
use crate::client::{Http, Template};
use crate::report::Summary;
use crate::run::{self, Error, Plan, Requests};
use crate::schedule::Load;

/// Requests in flight while it is measured.
const WORKERS: usize = 32;

/// Whole answers per second, closed loop, the client on the same machine.
#[derive(Clone, Debug)]
pub struct Ceiling {
    /// One per kind of request: its name and its rate.
    pub per_second: Vec<(&'static str, f64)>,
}

/// Loads a server of its own for `duration` in all, in turns of chats, streams and DataFrames.
///
/// # Errors
/// When no server can be started or reached.
pub async fn ceiling(duration: Duration) -> Result<Ceiling, Error> {
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(addr).await.map_err(Error::Thread)?;
    let cases = [
        (
            "1 KB chats",
            "/v1/chat/completions",
            bodies::chat(140, false, "m"),
        ),
        (
            "streams of 32 tokens without gaps",
            "/v1/chat/completions?gap-us=0",
            bodies::chat(140, true, "m"),
        ),
        (
            "DataFrames of 1,000 x 20",
            "/invocations",
            bodies::dataframe_split(1000, 20, 1),
        ),
    ];
    let mut per_second = Vec::new();
    for (name, path, body) in cases {
        let target = server.url(path).parse().map_err(Error::Request)?;
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let template = Template::new(&target, Http::One, Method::POST, headers, body);
        let plan = Plan {
            requests: Requests::same(template.map_err(Error::Request)?),
            target,
            http: Http::One,
            trust: None,
            load: Load::Closed { workers: WORKERS },
            duration: duration / 3,
            timeout: Duration::from_secs(30),
            permitted_host: None,
        };
        let found: Summary = run::run(&plan, std::future::pending(), |_, _| ()).await?;
        per_second.push((name, found.rate.achieved));
    }
    Ok(Ceiling { per_second })
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, per_second) in &self.per_second {
            writeln!(
                f,
                "ceiling      {per_second:.0}/s {name}, {WORKERS} in flight, client beside it"
            )?;
        }
        Ok(())
    }
}
