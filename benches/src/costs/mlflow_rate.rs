//! Measures the traces per second into a real MLflow, of a bare client and of the exporter.
//!
//! The bare client posts bodies that the exporter produced before, one after another on one
//! connection, and does nothing else. The exporter is offered the same number of exchanges at once,
//! so that batches are full and one is always waiting. No trace is sent twice, because a server
//! updates faster than it inserts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, ensure};
use offpath_benches::background::Background;
use offpath_benches::request_path::RequestPath;
use offpath_benches::stub_sink::StubSink;
use offpath_benches::traffic::Traffic;
use offpath_trace::Exchange;
use serde_json::{Value, json};

/// Number of traces in a batch.
const BATCH: u64 = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Address of the server, for example http://127.0.0.1:5000
    #[arg(long)]
    tracking_uri: String,
    /// Name of the traffic
    #[arg(long, default_value = "chat_1k")]
    traffic: String,
    /// Number of turns of each client
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Number of batches of 100 traces in a turn
    #[arg(long, default_value_t = 10)]
    batches: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Value> {
    let traffic = super::traffic(&options.traffic)?;
    let count = options.batches * BATCH;
    let mut exchanges = Exchanges {
        path: RequestPath::new(1.0),
        traffic,
        // No earlier run on the same server has used these ids.
        seed: std::time::UNIX_EPOCH.elapsed()?.as_micros().try_into()?,
    };
    // The first requests warm up the server.
    bare(&options.tracking_uri, &exchanges.bodies(BATCH)?)?;
    let mut bare_rates = Vec::new();
    let mut offpath_rates = Vec::new();
    for round in 0..options.rounds {
        let bodies = exchanges.bodies(count)?;
        let offered = exchanges.make(count);
        let mut bare_turn =
            || bare(&options.tracking_uri, &bodies).map(|s| bare_rates.push(rate(count, s)));
        if round % 2 == 0 {
            bare_turn()?;
        }
        let seconds = exported(&options.tracking_uri, offered)?;
        offpath_rates.push(rate(count, seconds));
        if round % 2 == 1 {
            bare_turn()?;
        }
    }
    Ok(json!({
        "traffic": exchanges.traffic.name,
        "traces_per_turn": count,
        "bare_per_second": bare_rates,
        "offpath_per_second": offpath_rates,
    }))
}

fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Generates exchanges with distinct ids.
struct Exchanges {
    path: RequestPath,
    traffic: Traffic,
    seed: u64,
}

impl Exchanges {
    fn make(&mut self, count: u64) -> Vec<Exchange> {
        self.seed += count;
        let seeds = self.seed..self.seed + count;
        seeds
            .filter_map(|seed| self.path.pass(&self.traffic.fresh(), seed))
            .collect()
    }

    /// Returns the batches that the exporter sends for `count` exchanges.
    fn bodies(&mut self, count: u64) -> anyhow::Result<Vec<Vec<u8>>> {
        let sink = StubSink::recording()?;
        // The long linger ensures full batches, however slow the machine is.
        let background = Background::open(&sink.uri(), "{linger: 60s}")?;
        background.encode(self.make(count))?;
        background.close();
        let bodies = sink.take();
        let full = count / BATCH;
        ensure!(
            bodies.len() as u64 == full,
            "{} batches, not {full}",
            bodies.len()
        );
        Ok(bodies)
    }
}

/// Returns the seconds that the exporter takes from the first offer to the last confirmation.
fn exported(uri: &str, exchanges: Vec<Exchange>) -> anyhow::Result<f64> {
    let count = exchanges.len() as u64;
    let background = Background::open(uri, "{}")?;
    let began = Instant::now();
    for exchange in exchanges {
        background.handle().offer(exchange);
    }
    background.rest()?;
    let seconds = began.elapsed().as_secs_f64();
    let account = background.account();
    ensure!(account.exported == count, "{account:?} of {count}");
    background.close();
    Ok(seconds)
}

/// Returns the seconds that a bare client takes to post these bodies.
fn bare(uri: &str, bodies: &[Vec<u8>]) -> anyhow::Result<f64> {
    let authority = uri
        .strip_prefix("http://")
        .context("the tracking URI must begin with http://")?;
    let mut stream = TcpStream::connect(authority)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let began = Instant::now();
    for body in bodies {
        let length = body.len();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/x-protobuf\r\nx-mlflow-experiment-id: 0\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        read_response(&mut reader)?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Reads one response and fails unless its status is 200.
fn read_response(reader: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    ensure!(
        line.contains(" 200 "),
        "the server responded with `{}`",
        line.trim_end()
    );
    let mut length = 0;
    while line.trim_end() != "" {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(())
}
