//! CPU time of the background's threads per kept exchange.
//!
//! Exchanges come at a steady rate, each in memory of its own, and batches are the default's:
//! polling, wake-ups, batching and the sink's connection are all in it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;
use offpath_benches::background::{Background, ENCODER, EXPORTER};
use offpath_benches::clock::cpu_time;
use offpath_benches::request_path::RequestPath;
use offpath_benches::stub_sink::StubSink;
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The exchange
    #[arg(long)]
    traffic: String,
    /// Exchanges per second
    #[arg(long)]
    rate: f64,
    /// How many
    #[arg(long)]
    count: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Value> {
    let traffic = super::traffic(&options.traffic)?;
    let sink = StubSink::start()?;
    let background = Background::open(&sink.uri(), "{}")?;
    let path = RequestPath::new(1.0);
    let send = |count: u64, first: u64| {
        let start = Instant::now();
        for one in 0..count {
            let due = start + Duration::from_secs_f64(one as f64 / options.rate);
            let exchange = path.pass(&traffic.fresh(), first + one);
            sleep(due.saturating_duration_since(Instant::now()));
            if let Some(exchange) = exchange {
                background.handle().offer(exchange);
            }
        }
        background.rest()
    };
    // Connects, and brings memory to its size.
    let warm_up = options.count.div_ceil(5);
    send(warm_up, 0)?;
    let before = (cpu_time(ENCODER)?, cpu_time(EXPORTER)?);
    send(options.count, warm_up)?;
    let (encoder, exporter) = (
        cpu_time(ENCODER)? - before.0,
        cpu_time(EXPORTER)? - before.1,
    );
    let account = background.account();
    ensure!(account.dropped == 0, "traces were dropped: {account:?}");
    ensure!(account.exported == warm_up + options.count, "{account:?}");
    background.close();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / options.count as f64;
    Ok(json!({
        "traffic": traffic.name,
        "body_bytes": traffic.body_bytes(),
        "count": options.count,
        "encoder_us": each(encoder),
        "exporter_us": each(exporter),
    }))
}
