//! The maximum rate of the endpoint. Load on a program under test must stay well below it.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};

use super::Server;
use crate::bodies;
use crate::client::{Http, PreparedRequest};

use crate::run::{self, Error, Plan, Requests};
use crate::schedule::Load;

/// Number of requests in flight during the measurement.
const WORKERS: usize = 32;

/// Responses per second in a closed loop, with the client on the same machine.
#[derive(Clone, Debug)]
pub struct Ceiling {
    /// The rate of each kind of request.
    pub rates: Vec<CeilingRate>,
}

/// The maximum rate of one kind of request.
#[derive(Clone, Debug)]
pub struct CeilingRate {
    /// Description of the requests.
    pub name: &'static str,
    /// Responses per second.
    pub per_second: f64,
}

/// Starts a server of its own and measures its maximum rate of chats, streams and DataFrames, for
/// `duration` in all.
///
/// # Errors
/// When the server cannot be started or reached.
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
    let mut rates = Vec::new();
    for (name, path, body) in cases {
        let target = server.url(path).parse().map_err(Error::Request)?;
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let request = PreparedRequest::new(&target, Http::One, Method::POST, headers, body);
        let plan = Plan {
            requests: Requests::repeat(request.map_err(Error::Request)?),
            target,
            http: Http::One,
            trust: None,
            load: Load::Closed { workers: WORKERS },
            duration: duration / 3,
            timeout: Duration::from_secs(30),
            permitted_host: None,
        };
        let summary = run::run(&plan, std::future::pending(), |_, _| ()).await?;
        rates.push(CeilingRate {
            name,
            per_second: summary.rate.achieved,
        });
    }
    Ok(Ceiling { rates })
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for CeilingRate { name, per_second } in &self.rates {
            writeln!(
                f,
                "ceiling      {per_second:.0}/s {name}, {WORKERS} in flight, client on the same machine"
            )?;
        }
        Ok(())
    }
}
